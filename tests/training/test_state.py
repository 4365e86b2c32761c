"""OUTPUT.state/: going on to the same bits, refusing what another run left."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

import pytest
import torch
from torch import nn

from spurcli.errors import InputError, Interrupted, SpurWarning
from spurcli.runtime.distributed import ALONE
from spurcli.training import fit
from spurcli.training import state as state_module
from spurcli.training.state import Position, StateFile, state_folder


class Stop(BaseException):
    """Ends a run at once, as a kill does: nothing of ours catches it."""


class StopAfter:
    """Progress that raises at the batch number `count`."""

    def __init__(self, count: int, action=None) -> None:
        self.count, self.action = count, action

    def start(self, what, total, span=None):
        pass

    def say(self, message):
        pass

    def advance(self, num_samples):
        self.count -= num_samples > 0
        if self.count == 0:
            self.action() if self.action else (_ for _ in ()).throw(Stop())


def same(first, second) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def stable(records):
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


VARIANTS = [
    {"flip": True},
    {"optimizer": "adam", "schedule": "cosine"},
    {"optimizer": "adamw", "weight_decay": 0.1, "clip_norm": 0.5},
    {"optimizer": "adamw", "weight_decay": 0.1, "decay_norm_and_bias": False},
    {"momentum": 0.0},
    {"precision": "bf16"},
    {"selection": "best-val-mean"},
]


def with_dropout() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))


def convolutions() -> nn.Module:
    """Several channels in and out: only then does the layout of a weight in memory make a difference."""
    torch.manual_seed(3)
    layers = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_stopped_run_with_channels_last_goes_on_to_the_same_bits(build_trainer, tmp_path, optimizer):
    """Fused optimizers read memory as it lies: a momentum that was saved must come back in the layout of its weight."""
    changes = {"channels_last": True, "optimizer": optimizer, "momentum": 0.9, "save_seconds": 0.0}
    whole = fit(build_trainer(model=convolutions(), **changes), until_epoch=3)
    stopped = StateFile(tmp_path, {"run": 1})
    with pytest.raises(Stop):
        fit(
            build_trainer(model=convolutions(), state_file=stopped, progress=StopAfter(6), **changes),
            until_epoch=3,
        )
    resumed = fit(build_trainer(model=convolutions(), state_file=stopped, **changes), until_epoch=3)
    assert same(whole.chosen.weights, resumed.chosen.weights)


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_a_run_cut_anywhere_goes_on_to_the_same_bits(build_trainer, tmp_path, changes, save_seconds):
    """save_seconds = 0 saves before every step; with 1e9 nothing was saved and it starts over."""
    accuracy = [0.2, 0.9, 0.4]
    evaluate = (lambda model, epoch: {"val": {"accuracy": accuracy[epoch - 1]}}) if "selection" in changes else None
    changes = {**changes, "evaluate": evaluate, "save_seconds": save_seconds}
    whole = fit(build_trainer(model=with_dropout(), **changes), until_epoch=3)
    for count in (1, 6, 14):
        state = StateFile(tmp_path / f"{count}", {"run": 1})
        with pytest.raises(Stop):
            fit(
                build_trainer(model=with_dropout(), state_file=state, progress=StopAfter(count), **changes),
                until_epoch=3,
            )
        assert state.path.exists() == (save_seconds == 0.0)
        trainer = build_trainer(model=with_dropout(), state_file=state, **changes)
        fitted = fit(trainer, until_epoch=3)
        assert same(whole.chosen.weights, fitted.chosen.weights)
        assert stable(whole.records) == stable(fitted.records)
        assert fitted.chosen.epoch == whole.chosen.epoch == (2 if evaluate else 3)


def test_a_cut_run_of_so_many_steps_goes_on_to_the_same_bits(build_trainer, tmp_path):
    whole = fit(build_trainer(schedule="linear"), until_epoch=1, num_steps=13)
    for count in (1, 5, 8, 13):
        state = StateFile(tmp_path / f"{count}", {})
        trainer = build_trainer(schedule="linear", save_seconds=0.0, state_file=state, progress=StopAfter(count))
        with pytest.raises(Stop):
            fit(trainer, until_epoch=1, num_steps=13)
        fitted = fit(build_trainer(schedule="linear", state_file=state), until_epoch=1, num_steps=13)
        assert same(whole.chosen.weights, fitted.chosen.weights)
        assert stable(whole.records) == stable(fitted.records)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_and_says_where(build_trainer, tmp_path, number):
    state = StateFile(tmp_path / "s", {})
    stop = StopAfter(7, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match="epoch 2, step 2") as caught:
        fit(build_trainer(state_file=state, progress=stop), until_epoch=3)
    assert caught.value.exit_code == 128 + number
    saved = state.load()
    assert saved is not None
    found = saved.position
    assert (found.epoch, found.step, found.global_step, found.num_seen) == (1, 2, 7, 20)
    whole = fit(build_trainer(), until_epoch=3)
    assert same(whole.chosen.weights, fit(build_trainer(state_file=state), until_epoch=3).chosen.weights)


def test_a_finished_state_is_not_trained_again(build_trainer, tmp_path):
    state = StateFile(tmp_path / "s", {})
    first = fit(build_trainer(state_file=state), until_epoch=2)
    again = fit(build_trainer(state_file=state, progress=StopAfter(1)), until_epoch=2)
    assert same(first.chosen.weights, again.chosen.weights)
    assert first.records == again.records


def test_state_of_a_method_is_saved_and_given_back(build_trainer, tmp_path):
    class Counting(type(build_trainer().method)):
        counter = torch.zeros(2)

        def loss(self, logits, batch):
            self.counter = self.counter + torch.tensor([1.0, len(batch.index)])
            return super().loss(logits, batch) * (1 + 0.01 * self.counter[0])

        def state(self):
            return {"counter": self.counter}

        def load_state(self, state):
            self.counter = state["counter"]

    def trainer(**changes):
        built = build_trainer(**changes)
        built.method = Counting(built.method.samples)
        return built

    whole = fit(trainer(), until_epoch=2)
    state = StateFile(tmp_path / "s", {})
    with pytest.raises(Stop):
        fit(trainer(state_file=state, save_seconds=0.0, progress=StopAfter(8)), until_epoch=2)
    resumed = trainer(state_file=state)
    assert same(whole.chosen.weights, fit(resumed, until_epoch=2).chosen.weights)
    assert resumed.method.counter.tolist() == [10.0, 94.0]


def test_another_runs_state_is_refused_or_replaced(build_trainer, tmp_path):
    fit(build_trainer(state_file=StateFile(tmp_path / "s", {"run": 1})), until_epoch=1)
    with pytest.raises(InputError, match="unfinished work of another run") as caught:
        StateFile(tmp_path / "s", {"run": 2}).load()
    assert "--force" in caught.value.hint
    same_run = StateFile(tmp_path / "s", {"run": 1}, replace_other=True)
    assert same_run.load() is not None
    assert StateFile(tmp_path / "s", {"run": 2}, replace_other=True).load() is None
    assert not (tmp_path / "s").exists()


def test_one_process_at_a_time_makes_an_output(tmp_path):
    output = tmp_path / "new" / "model.safetensors"
    with state_folder(output, ALONE) as folder:
        folder.mkdir()
        with pytest.raises(InputError, match="Another process is writing"), state_folder(output, ALONE):
            pytest.fail("two at once")
        assert folder.exists()
    assert list(output.parent.iterdir()) == []
    folder.mkdir()
    with pytest.raises(InputError, match="disk"), state_folder(output, ALONE):
        raise InputError("No space left on the disk", "Free some.")
    assert list(output.parent.iterdir()) == [folder]  # of a run that fails it stays


def test_a_file_system_without_locks_will_do(tmp_path, monkeypatch):
    def refused(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with state_folder(tmp_path / "model.safetensors", ALONE) as folder:
        folder.mkdir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "garbage", "foreign"])
def test_a_damaged_state_is_an_error_that_force_clears(build_trainer, tmp_path, damage):
    state = StateFile(tmp_path / "s", {})
    fit(build_trainer(state_file=state), until_epoch=1)
    content = state.path.read_bytes()
    if damage == "foreign":
        state_module.save_tensors(state.path, {"x": torch.zeros(1)}, {})
    else:
        state.path.write_bytes(content[:-10] if damage == "cut" else b"\xff" * 100)
    with pytest.raises(InputError) as caught:
        state.load()
    assert "--force" in caught.value.hint
    assert StateFile(state.folder, {}, replace_other=True).load() is None


def test_another_environment_is_warned_about(build_trainer, tmp_path, monkeypatch):
    state = StateFile(tmp_path / "s", {})
    fit(build_trainer(state_file=state), until_epoch=1)
    here = state_module.environment("cpu")
    monkeypatch.setattr(state_module, "environment", lambda device: {**here, "threads": 77, "device": device})
    with pytest.warns(SpurWarning, match=f"threads was {here['threads']}, is 77$"):
        state.load()
    with pytest.warns(SpurWarning, match="device was cpu, is cuda, threads was"):
        StateFile(tmp_path / "s", {}, "cuda").load()


def test_position_starts_a_new_epoch_with_empty_sums():
    position = Position(epoch=1, step=4, global_step=9, loss_sum=2.0, num_correct=3, num_seen=5, seconds=1.0, rate=0.1)
    position.next_epoch()
    assert position == Position(epoch=2, global_step=9, rate=0.1)
