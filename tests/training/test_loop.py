"""The loop against a bare PyTorch loop, to the bit, and what it does at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from spurcli.datasets import ArrayImages
from spurcli.errors import SpurError
from spurcli.randomness import generator
from spurcli.runtime.feed import ImageFeed
from spurcli.training import fit
from spurcli.training.state import StateFile


def bare_loop(trainer, epochs: int, optimizer: torch.optim.Optimizer, clip_norm: float = 0.0) -> list[dict[str, float]]:
    """What one writes by hand: shuffle, normalise, forward, mean cross-entropy, step. No part of the package's loop."""
    pixels = torch.from_numpy(trainer.feed.inputs.pixels).permute(0, 3, 1, 2)
    records, model, size = [], trainer.model.train(), trainer.settings.batch_size
    for epoch in range(epochs):
        order = generator("order", trainer.seed, epoch).permutation(trainer.method.samples.kept)
        loss_sum = num_correct = 0.0
        for start in range(0, len(order), size):
            index = torch.from_numpy(order[start : start + size])
            inputs = pixels[index].float() * trainer.preprocess.scale + trainer.preprocess.shift
            logits = model(inputs)
            loss = functional.cross_entropy(logits, trainer.label[index], reduction="sum") / len(index)
            optimizer.zero_grad()
            loss.backward()
            if clip_norm:
                total = math.sqrt(sum(float(p.grad.double().square().sum()) for p in model.parameters()))
                for parameter in model.parameters():
                    parameter.grad *= min(clip_norm / (total + 1e-6), 1.0)
            optimizer.step()
            loss_sum += loss.item() * len(index)
            num_correct += (logits.argmax(1) == trainer.label[index]).sum().item()
        records.append({"loss": loss_sum / len(order), "accuracy": num_correct / len(order)})
    return records


def assert_same_weights(first: nn.Module, second: nn.Module) -> None:
    for (name, mine), (_, other) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(mine, other), name


@pytest.mark.parametrize(
    ("changes", "optimizer_of"),
    [
        ({"weight_decay": 1e-3}, lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-3, fused=True)),
        ({"momentum": 0.0}, lambda p: torch.optim.SGD(p, 0.05, fused=True)),
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, 0.05, fused=True)),
        (
            {"optimizer": "adamw", "weight_decay": 0.1},
            lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1, fused=True),
        ),
    ],
)
def test_erm_is_a_bare_loop_to_the_bit(build_trainer, changes, optimizer_of):
    mine, other = build_trainer(**changes), build_trainer(**changes)
    fitted = fit(mine, until_epoch=2)
    expected = bare_loop(other, 2, optimizer_of(other.model.parameters()))
    assert_same_weights(mine.model, other.model)
    for record, wanted in zip(fitted.records, expected, strict=True):
        assert record["loss"] == pytest.approx(wanted["loss"], rel=1e-6)
        assert record["accuracy"] == wanted["accuracy"]
        assert record["samples_seen"] == 47
    assert [record["num_steps"] for record in fitted.records] == [5, 10]
    assert fitted.chosen.epoch == 2
    assert all(torch.equal(fitted.chosen.weights[name], value) for name, value in mine.model.state_dict().items())


def test_clip_norm_scales_the_whole_gradient(build_trainer):
    mine, other = build_trainer(clip_norm=0.1, momentum=0.0), build_trainer(momentum=0.0)
    fit(mine, until_epoch=1)
    bare_loop(other, 1, torch.optim.SGD(other.model.parameters(), 0.05), clip_norm=0.1)
    for (name, found), (_, wanted) in zip(mine.model.named_parameters(), other.model.named_parameters(), strict=True):
        torch.testing.assert_close(found, wanted, msg=name)
    unclipped = build_trainer(momentum=0.0)
    fit(unclipped, until_epoch=1)
    assert not torch.allclose(unclipped.model[1].weight, mine.model[1].weight)


def test_the_schedule_spans_the_recipe_even_when_stopped_early(build_trainer):
    short = fit(build_trainer(schedule="cosine", epochs=10), until_epoch=3).records
    full = fit(build_trainer(schedule="cosine", epochs=10), until_epoch=10).records
    assert [{**record, "seconds": 0} for record in short] == [{**record, "seconds": 0} for record in full[:3]]
    assert short[-1]["learning_rate"] == pytest.approx(0.025 * (1 + math.cos(math.pi * 14 / 50)))


@pytest.mark.parametrize("num_steps", [1, 5, 7, 15])
def test_num_steps_is_the_number_of_updates(build_trainer, num_steps):
    trainer = build_trainer(schedule="linear")
    records = fit(trainer, until_epoch=1, num_steps=num_steps).records
    assert records[-1]["num_steps"] == num_steps
    assert len(records) == math.ceil(num_steps / 5)
    assert records[-1]["learning_rate"] == pytest.approx(0.05 * (1 - (num_steps - 1) / num_steps))
    assert records[-1]["samples_seen"] == (7 + 40 if num_steps % 5 == 0 else num_steps % 5 * 10)


def test_dropout_depends_on_seed_and_step_not_on_what_was_drawn_before(build_trainer):
    def model() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5), nn.Linear(8, 3))

    first, second, third = (
        build_trainer(model=model()),
        build_trainer(model=model()),
        build_trainer(model=model(), seed=6),
    )
    fit(first, until_epoch=1)
    torch.rand(100)
    fit(second, until_epoch=1)
    fit(third, until_epoch=1)
    assert_same_weights(first.model, second.model)
    assert not torch.equal(first.model[1].weight, third.model[1].weight)


def test_evaluation_and_checkpoints_see_the_model_of_each_epoch(build_trainer):
    seen = []
    trainer = build_trainer(
        evaluate=lambda model, epoch: {"val": {"accuracy": epoch / 10}},
        after_epoch=lambda model, epoch: seen.append((epoch, model[1].weight.detach().clone())),
    )
    records = fit(trainer, until_epoch=3).records
    assert [record["evaluations"]["val"]["accuracy"] for record in records] == [0.1, 0.2, 0.3]
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    for epoch, weight in seen:
        alone = build_trainer()
        fit(alone, until_epoch=epoch)
        assert torch.equal(weight, alone.model[1].weight)


@pytest.mark.parametrize(
    ("selection", "metric"), [("best-val-mean", "accuracy"), ("best-val-worst-group", "worst_group_accuracy")]
)
@pytest.mark.parametrize(("values", "best"), [([0.3, 0.9, 0.5], 2), ([0.7, 0.7, 0.1], 1), ([None, 0.1, 0.2], 3)])
def test_selection_keeps_the_first_best_epoch(build_trainer, selection, metric, values, best):
    trainer = build_trainer(
        selection=selection, evaluate=lambda model, epoch: {"val": {"accuracy": 0.5, metric: values[epoch - 1]}}
    )
    fitted = fit(trainer, until_epoch=3)
    alone = build_trainer()
    fit(alone, until_epoch=best)
    assert fitted.chosen.epoch == best
    assert all(torch.equal(fitted.chosen.weights[name], value) for name, value in alone.model.state_dict().items())


def poisoned(trainer, position: int):
    """The trainer with a method whose loss is NaN for the batch that holds `position`."""
    plain = trainer.method.loss
    trainer.method.loss = lambda logits, batch: (
        plain(logits, batch) * (math.nan if position in batch.index.tolist() else 1.0)
    )
    return trainer


def test_a_loss_that_is_not_finite_names_epoch_and_step(build_trainer, tmp_path):
    order = generator("order", 5, 0).permutation(build_trainer().method.samples.kept)
    for position, step in ((order[0], 1), (order[25], 3), (order[46], 5)):
        state = StateFile(tmp_path / "state", {})
        trainer = poisoned(build_trainer(state_file=state, save_seconds=0.0), int(position))
        with pytest.raises(SpurError, match=f"epoch 1, step {step}.*diverged") as caught:
            fit(trainer, until_epoch=2)
        assert "training.learning_rate=0.005" in caught.value.hint
        assert caught.value.exit_code == 1
        assert not state.folder.exists()


def test_weights_that_overflow_in_the_last_step_are_refused(build_trainer):
    trainer = build_trainer(batch_size=47, learning_rate=1e38, weight_decay=1e10)
    with pytest.raises(SpurError, match="weights are not finite after epoch 1, step 1"):
        fit(trainer, until_epoch=1)


def test_bf16_trains_close_to_float32_and_keeps_float32_weights(build_trainer):
    low, exact = build_trainer(precision="bf16"), build_trainer()
    low_loss = fit(low, until_epoch=3).records[-1]["loss"]
    assert low_loss == pytest.approx(fit(exact, until_epoch=3).records[-1]["loss"], rel=0.05)
    assert low.model[1].weight.dtype == torch.float32
    assert not torch.equal(low.model[1].weight, exact.model[1].weight)


def test_channels_last_changes_the_layout_only(build_trainer):
    def model() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        )

    plain, last = build_trainer(model=model()), build_trainer(model=model(), channels_last=True)
    fit(plain, until_epoch=1)
    weights = fit(last, until_epoch=1).chosen.weights
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(weights[name], value)
        assert weights[name].is_contiguous()


def test_worker_processes_change_no_bit(build_trainer):
    resident = build_trainer(flip=True)
    fit(resident, until_epoch=2)

    class OnDemand(ArrayImages):
        resident = False

    for workers in (0, 2):
        feed = ImageFeed(OnDemand(resident.feed.inputs.pixels), torch.device("cpu"), workers)
        other = build_trainer(flip=True, feed=feed)
        fit(other, until_epoch=2)
        assert_same_weights(resident.model, other.model)


def test_a_kept_list_keeps_the_rest_out(build_trainer):
    class Watching(ArrayImages):
        resident = False

        def read(self, indices: np.ndarray) -> np.ndarray:
            seen.extend(indices.tolist())
            return super().read(indices)

    seen: list[int] = []
    trainer = build_trainer()
    trainer.feed = ImageFeed(Watching(trainer.feed.inputs.pixels), torch.device("cpu"), 0)
    fit(trainer, until_epoch=2)
    assert sorted(seen) == sorted([*trainer.method.samples.kept.tolist()] * 2)
