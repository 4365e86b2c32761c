"""Training on texts: cut anywhere it goes on to the same bits; every kept sample is seen once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spurcli.datasets import Texts
from spurcli.models import build_model
from spurcli.runtime.preprocess import AsRead
from spurcli.runtime.tokens import TextFeed, words_tokenizer
from spurcli.training import fit
from spurcli.training.state import StateFile

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
TEXTS = Texts(
    tuple([" ".join(RNG.choice(["cat", "dog", "never", "sat"], RNG.integers(1, 15))) for _ in range(53)] for _ in "ab")
)


class Stop(BaseException):
    """Ends a run at once, as a kill does."""


class StopAfter:
    """Progress that raises at the batch number `count`; notes the samples of each batch before."""

    def __init__(self, count: int) -> None:
        self.count = count

    def start(self, what, total, span=None): ...

    def say(self, message): ...

    def advance(self, num_samples):
        self.count -= num_samples > 0
        if self.count == 0:
            raise Stop


@pytest.fixture
def text_trainer(build_trainer):
    tokenizer = words_tokenizer(TEXTS, 24)
    feed = TextFeed.build(TEXTS, CPU, tokenizer)

    def build(**changes):
        torch.manual_seed(1)
        facts = {"vocab_size": tokenizer.vocab_size, "pad_id": tokenizer.pad_id, "max_length": 24}
        model = build_model("small_transformer", {"width": 16, "depth": 1, "num_heads": 2}, num_classes=3, **facts)
        settings = {"optimizer": "adamw", "schedule": "linear", "clip_norm": 1.0, "decay_norm_and_bias": False}
        return build_trainer(model=model, feed=feed, preprocess=AsRead(), **settings, **changes)

    return build


def test_a_run_cut_anywhere_goes_on_to_the_same_bits(text_trainer, tmp_path):
    whole = fit(text_trainer(), until_epoch=3)
    for count in (1, 4, 7, 13):
        state = StateFile(tmp_path / f"{count}", {"run": 1})
        with pytest.raises(Stop):
            fit(text_trainer(state_file=state, progress=StopAfter(count), save_seconds=0.0), until_epoch=3)
        fitted = fit(text_trainer(state_file=state), until_epoch=3)
        assert all(torch.equal(value, fitted.chosen.weights[name]) for name, value in whole.chosen.weights.items())
        assert [r["loss"] for r in fitted.records] == [r["loss"] for r in whole.records]


def test_an_epoch_sees_every_kept_sample_once_in_batches_of_the_recipes_size(text_trainer):
    trainer, seen = text_trainer(), []
    batches = trainer.feed.batches

    class Spy:
        inputs, device, training_order = TEXTS, CPU, trainer.feed.training_order

        @staticmethod
        def batches(order, batch_size, first=None, share=slice(None), **_options):
            for index, tokens in batches(order, batch_size, first or 0, share):
                if first is not None:  # a batch of training, not the trial before it
                    seen.append(index.tolist())
                yield index, tokens

    trainer.feed = Spy
    fit(trainer, until_epoch=2)
    kept = trainer.method.samples.kept.tolist()
    for epoch in (seen[:5], seen[5:]):
        assert [len(batch) for batch in epoch] == [10, 10, 10, 10, 7]
        assert sorted(sum(epoch, [])) == kept  # noqa: RUF017 - five short lists
    assert seen[:5] != seen[5:]
