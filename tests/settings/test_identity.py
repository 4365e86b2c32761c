"""Which runs are the same: options that come later leave older outputs valid, real differences are named."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pins import GOLDEN, UNFINISHED

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.envelope import sha256_of_json
from spurcli.identity import RunIdentity, given, same_state
from spurcli.session import configure
from spurcli.settings import KINDS, TrainingSettings
from spurcli.stages import train as stage


@dataclass(frozen=True)
class LaterSettings(TrainingSettings):
    """As if a later version had more settings."""

    label_smoothing: float = 0.0
    stages: tuple[int, ...] = (1, 2)
    more: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LaterOptions(stage.TrainOptions):
    """As if a later version had two more options."""

    sample_weight: str | None = None
    temperature: float = 0.5


@pytest.fixture
def later(monkeypatch):
    """Turns this version into a later one."""

    def turn() -> None:
        monkeypatch.setitem(KINDS, "training", LaterSettings)
        monkeypatch.setattr(stage, "TrainOptions", LaterOptions)

    return turn


def test_a_later_version_takes_the_finished_and_the_unfinished_for_the_same_run(spurcli, in_tiny_run, later):
    old = read_checkpoint_metadata(Path("model.safetensors"))["provenance"]
    words = [word for word in old["command"].split()[1:] if word != "--force"]
    assert "already complete" in in_tiny_run(*words).err
    later()
    again = in_tiny_run(*words)
    assert (again.code, "already complete" in again.err) == (0, True)
    other = in_tiny_run(*words, "--set", "training.label_smoothing=0.1")
    assert other.code == 1
    assert "another run (training.label_smoothing is not set there, 0.1 here)" in other.err
    seed = in_tiny_run(*words, "--seed", "5")
    assert "another run (seed is 0 there, 5 here)" in seed.err


# What `train` stored of its arguments where none was given, before it left defaults out.
ALL_STORED = dict.fromkeys(("keep_sha256", "groups_sha256", "errors_sha256", "checkpoint_sha256")) | {
    "same_steps": False,
    "evaluate_each": [],
    "checkpoints": [],
}


def made(settings: dict, arguments: dict, stage: str = "train") -> RunIdentity:
    return RunIdentity.of({"stage": stage, "settings": settings, "arguments": arguments, "parents": []})


def test_defaults_are_not_given_wherever_they_are(later):
    settings = configure("demo").to_json()
    old = made(settings, ALL_STORED | {"keep_sha256": "ab"})
    later()
    new = configure("demo").to_json()
    assert new["training"].keys() - settings["training"].keys() == {"label_smoothing", "stages", "more"}
    assert made(new, {"keep_sha256": "ab", **given(LaterOptions())}).differences(old) == []
    assert old.differences(made(new, {"keep_sha256": "ab"})) == []  # named or not
    for change in ({"temperature": 1.0}, {"keep_sha256": None}, {"unknown": 1}):
        assert made(new, {"keep_sha256": "ab", **change}).differences(old)
    stages = {**new, "training": {**new["training"], "stages": [1]}}
    assert made(stages, {"keep_sha256": "ab"}).differences(old) == ["training.stages is not set there, [1] here"]
    # an older file that states a value which was the default then, and is another one now, is another run
    other = {**settings, "training": {**settings["training"], "epsilon": 1e-7}}
    assert made(other, {"keep_sha256": "ab"}).differences(old)


def test_an_unfinished_run_of_version_1_is_the_same_under_later_settings(later):
    def state(**changes) -> dict:
        settings = configure("demo", overrides=changes).to_json()
        return {**settings, "fingerprint": {"num_samples": 3}}

    version_1, before, now = sha256_of_json(state() | ALL_STORED), state() | ALL_STORED, state()
    early = sha256_of_json(state())  # of a training for scores, which has no arguments
    later()
    for saved in (version_1, early, before, now):
        assert same_state(saved, state()) == []
        assert same_state(saved, state(**{"training.label_smoothing": 0.1}))
        assert same_state(saved, state(**{"training.epochs": 7}))
        assert same_state(saved, {**state(), "temperature": 1.0})
        assert same_state(saved, {**state(), "fingerprint": {"num_samples": 4}})
    assert same_state(now, state(**{"training.epochs": 7})) == [
        f"training.epochs is {now['training']['epochs']} there, 7 here"
    ]
    for hostile in (None, 3, [], {}, {"training": 3, "dataset": {"options": [], "injection": 1}}, "x"):
        assert same_state(hostile, state())


def test_the_golden_unfinished_run_goes_on_in_a_later_version(spurcli, later):
    later()
    shutil.copytree(GOLDEN / "unfinished-1.state", "model.safetensors.state")
    other = spurcli(*UNFINISHED, "--set", "training.label_smoothing=0.1")
    assert (other.code, "unfinished work of another run" in other.err) == (3, True)
    done = spurcli(*UNFINISHED)
    assert done.code == 0, done.err
    assert "Resuming after epoch 1, step 4" in done.err
