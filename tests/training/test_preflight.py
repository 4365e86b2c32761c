"""A last batch of one sample trains, whatever the count; and what a model cannot take is said before the first step."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.models import build_model
from spurcli.runtime.distributed import World
from spurcli.runtime.feed import batch_bounds, own_part
from spurcli.training import fit
from spurcli.training.method import TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.preflight import needs_company, try_out


def kept(count: int, batch_size: int = 10) -> ERM:
    positions = np.arange(count)
    return ERM(TrainingSamples(positions, np.arange(count) % 3, 3, batch_size))


def without_norm() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def with_pixels() -> nn.Module:
    """Batch norm over 16 pixels: one sample has a variance there."""
    torch.manual_seed(3)
    return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("count", [11, 21, 41])
def test_a_last_sample_joins_the_batch_before_it_where_batch_norm_needs_that(build_trainer, count):
    trainer = build_trainer(method=kept(count), epochs=2)
    assert needs_company(trainer)
    fitted = fit(trainer, until_epoch=2)
    steps = (count - 1) // 10
    assert [record["num_steps"] for record in fitted.records] == [steps, 2 * steps]
    assert [record["samples_seen"] for record in fitted.records] == [count, count]


@pytest.mark.parametrize("model", [without_norm, with_pixels])
def test_models_that_take_one_sample_train_on_it_as_before(build_trainer, model):
    trainer = build_trainer(method=kept(21), model=model(), epochs=1)
    assert not needs_company(trainer)
    assert fit(trainer, until_epoch=1).records[0]["num_steps"] == 3


def test_a_budget_of_steps_and_a_kill_keep_to_the_joined_batches(build_trainer, tmp_path, fit_killed_at):
    from spurcli.training.state import StateFile

    whole = fit(build_trainer(method=kept(21)), until_epoch=3, num_steps=5)
    assert whole.records[-1]["num_steps"] == 5
    assert [record["samples_seen"] for record in whole.records] == [21, 21, 10]
    state = StateFile(tmp_path / "state", {"run": 1})
    fit_killed_at(4, build_trainer(method=kept(21), state_file=state, save_seconds=0), until_epoch=3)
    resumed = fit(build_trainer(method=kept(21), state_file=state), until_epoch=3)
    straight = fit(build_trainer(method=kept(21)), until_epoch=3)
    for key, value in straight.chosen.weights.items():
        assert torch.equal(resumed.chosen.weights[key], value), key


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("count", range(1, 26))
def test_every_sample_is_some_process_s_and_none_is_alone(size, count):
    """But for a process's whole share of one sample, and a single sample in all."""
    batch_size = 10
    shares = [World(rank, size).share(batch_size) for rank in range(size)]
    bounds = batch_bounds(count, batch_size, joins_lone=True)
    assert [begin for begin, _ in bounds] == [0, *(end for _, end in bounds[:-1])]
    for begin, end in bounds:
        parts = [own_part(begin, end, share, joins_lone=True) for share in shares]
        assert [i for first, last in parts for i in range(first, last)] == list(range(begin, end))
        assert all(last - first != 1 for first, last in parts) or end - begin == 1


def test_one_sample_in_all_or_a_batch_of_one_is_said(build_trainer):
    with pytest.raises(UsageError, match="a batch of one sample") as caught:
        fit(build_trainer(batch_size=1), until_epoch=1)
    assert "training.batch_size=2" in caught.value.hint
    with pytest.raises(UsageError, match="the one sample"):
        fit(build_trainer(method=kept(1)), until_epoch=1)


def test_the_trial_leaves_no_trace(build_trainer):
    trainer = build_trainer()
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    random = torch.get_rng_state()
    try_out(trainer, slice(None), joins_lone=needs_company(trainer))
    assert torch.equal(torch.get_rng_state(), random)
    for key, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert all(part.grad is None for part in trainer.model.parameters())


def test_images_too_small_for_a_model_name_a_size_that_works(build_trainer):
    class Colour:
        def training(self, samples, *_):
            return samples.float().expand(-1, 3, -1, -1)

    torch.manual_seed(0)
    model = build_model("torchvision", {"arch": "squeezenet1_1"}, num_classes=3, input_shape=(3, 4, 4))
    with pytest.raises(InputError, match="squeezenet1_1 cannot take images of 4x4 pixels") as caught:
        fit(build_trainer(model=model, preprocess=Colour(), called="squeezenet1_1"), until_epoch=1)
    assert "--set preprocessing.image_size=32" in caught.value.hint


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 3)

    def forward(self, x):
        raise RuntimeError("my own mistake")


def test_what_a_users_model_raises_is_told_as_it_is(build_trainer):
    with pytest.raises(RuntimeError, match="my own mistake"):
        fit(build_trainer(model=Failing()), until_epoch=1)


def test_a_frozen_model_is_warned_of(build_trainer):
    trainer = build_trainer(model=without_norm().requires_grad_(False))
    with pytest.warns(SpurWarning, match="requires_grad is false"):
        fit(trainer, until_epoch=1)


class NoGradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)

    @torch.no_grad()
    def forward(self, x):
        return self.layer(x.flatten(1))


def test_a_model_whose_forward_has_no_gradients_is_warned_of(build_trainer):
    with pytest.warns(SpurWarning, match="without gradients"), contextlib.suppress(RuntimeError):
        fit(build_trainer(model=NoGradient(), method=kept(20)), until_epoch=1)


class OfTen(nn.Module):
    """A user's model for batches of ten, which works if their number divides the samples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)

    def forward(self, x):
        return self.layer(x.reshape(10, 16))


def test_a_users_model_is_tried_with_the_batches_that_it_will_see(build_trainer):
    assert fit(build_trainer(model=OfTen(), method=kept(20)), until_epoch=1).records[0]["num_steps"] == 2
