"""Every method goes on after a stop to the same bits; one run answers for every rule that chooses an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spurcli.datasets import ArrayImages
from spurcli.registries import METHODS
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.preprocess import ImagePreprocess
from spurcli.settings import PreprocessingSettings, TrainingSettings
from spurcli.training import Trainer, fit
from spurcli.training.method import Annotation, TrainingSamples, build_method
from spurcli.training.state import StateFile

CPU = torch.device("cpu")
NUM_ALL = 300
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM_ALL, 4, 4, 1), dtype=np.uint8)
LABEL = np.arange(NUM_ALL) % 3
GROUP = 2 * LABEL + (np.arange(NUM_ALL) % 5 == 0)
NAMES = [name for name, entry in METHODS.entries.items() if "checkpoint" not in entry.facts.get("needs", "")]
# so that three epochs are enough to see what changes in the course of a training
OPTIONS = {
    "group_dro": {"step_size": 1.0},
    "pde": {"warmup_epochs": 1, "expansion_interval": 1, "expansion_size": 40, "rate_after_warmup": 0.5},
    "cnc": {"contrastive_weight": 0.5},
}


class Stop(Exception):
    pass


class StopAfter:
    """Progress that raises in the middle of the training, once that many batches are through."""

    def __init__(self, count: int) -> None:
        self.left = count

    def start(self, what: str, total: int, span: object = None) -> None:
        pass

    def advance(self, num_samples: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stop

    def say(self, message: str) -> None:
        pass


def trainer(name: str, **fields) -> Trainer:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
    kept = np.setdiff1d(np.arange(NUM_ALL), [3, 50, 51])
    names = tuple(f"{label}/{attribute}" for label in "abc" for attribute in ("no", "yes"))
    groups, errors = Annotation(GROUP, "data set", names), Annotation(np.arange(0, NUM_ALL, 9), "file")
    samples = TrainingSamples(kept, LABEL[kept], 3, 68, groups, errors)
    parts = {
        "model": model,
        "method": build_method(name, OPTIONS.get(name, {}), samples),
        "feed": ImageFeed.build(ArrayImages(PIXELS), CPU, 0),
        "preprocess": ImagePreprocess.build(PreprocessingSettings(flip=True), 1, CPU),
        "label": torch.from_numpy(LABEL),
        "groups": groups,
        "num_classes": 3,
        "settings": TrainingSettings(epochs=3, batch_size=68, learning_rate=0.05, save_seconds=0.0),
        "seed": 5,
    }
    return Trainer(**{**parts, **fields})


@pytest.mark.parametrize("name", NAMES)
def test_a_method_cut_anywhere_goes_on_to_the_same_bits(name, tmp_path):
    whole = fit(trainer(name), until_epoch=3)
    num_steps = whole.records[-1]["num_steps"]
    for count in sorted({1, num_steps // 2, num_steps - 1}):
        state = StateFile(tmp_path / f"{count}", {"run": name})
        with pytest.raises(Stop):
            # one call of advance opens each epoch
            fit(trainer(name, state_file=state, progress=StopAfter(count + 2)), until_epoch=3)
        found = fit(trainer(name, state_file=state), until_epoch=3)
        assert all(torch.equal(value, found.chosen.weights[key]) for key, value in whole.chosen.weights.items())
        assert [record["loss"] for record in found.records] == [record["loss"] for record in whole.records]


@pytest.mark.parametrize("cut", [None, 9])
def test_one_run_answers_for_every_rule(tmp_path, cut):
    """The same weights as three runs with one rule each; also after a stop."""
    values = {1: (0.9, 0.1), 2: (0.5, 0.7), 3: (0.6, 0.3)}

    def evaluate(model: nn.Module, epoch: int) -> dict[str, dict[str, float]]:
        return {"val": dict(zip(("accuracy", "worst_group_accuracy"), values[epoch], strict=True))}

    rules = ("last", "best-val-mean", "best-val-worst-group")
    state = StateFile(tmp_path / "s", {})
    if cut:
        stopped = trainer("erm", evaluate=evaluate, selections=rules, state_file=state, progress=StopAfter(cut))
        with pytest.raises(Stop):
            fit(stopped, until_epoch=3)
    fitted = fit(trainer("erm", evaluate=evaluate, selections=rules, state_file=state), until_epoch=3)
    assert {rule: chosen.epoch for rule, chosen in fitted.selected.items()} == dict(zip(rules, (3, 1, 2), strict=True))
    for chosen in fitted.selected.values():
        alone = fit(trainer("erm"), until_epoch=chosen.epoch)
        assert all(torch.equal(value, chosen.weights[key]) for key, value in alone.chosen.weights.items())
    assert fitted.chosen.epoch == 3
