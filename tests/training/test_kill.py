"""Real processes, killed at random moments and run again: the files are those of a run that nobody touched.

SPURCLI_TEST_KILLS=100 tries more moments.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from warm import Child, shared

pytestmark = pytest.mark.usefixtures("warm")

NUM_KILLS = int(os.environ.get("SPURCLI_TEST_KILLS", "5"))
SIZES = ["--set", "dataset.options.num_train=1000", "--set", "dataset.options.num_val=20"]
SIZES += ["--set", "dataset.options.num_test=20", "--set", "training.save_seconds=0"]
TRAIN = ["train", "--dataset", "demo", "--keep", "all", *SIZES, "--set", "training.epochs=6"]
SCORE = ["score", "--dataset", "demo", "--runs", "2", "--epoch", "4", *SIZES]


def start(folder: Path, words: list[str]) -> Child:
    folder.mkdir(exist_ok=True)
    said = folder.parent / "stderr"
    said.unlink(missing_ok=True)
    return shared().start(["-m", "spurcli", *words], folder, stderr=said)


def stderr(folder: Path) -> str:
    return (folder.parent / "stderr").read_text()


def finish(folder: Path, words: list[str]) -> str:
    process = start(folder, words)
    process.join(60)
    assert process.exitcode == 0, stderr(folder)
    return stderr(folder)


def wait_for(is_true: Callable[[], bool], process: Child) -> None:
    """Until `is_true` or the process has ended by itself, which only a good end may be."""
    for _ in range(12000):
        with contextlib.suppress(FileNotFoundError):
            if is_true():
                return
        if process.exitcode is not None:
            assert process.exitcode == 0
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def content(folder: Path) -> dict[str, object]:
    """All that a run leaves: bytes of model and scores, and the history without its seconds."""
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        assert path.is_file(), f"{path} was left behind"
        if path.suffix == ".json":
            history = json.loads(path.read_text())
            found[path.name] = [{**epoch, "seconds": None} for epoch in history.pop("epochs")], history
        else:
            found[path.name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def untouched_train(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("untouched") / "run"
    finish(folder, TRAIN)
    return content(folder)


@pytest.fixture(scope="module")
def untouched_score(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("untouched") / "run"
    finish(folder, SCORE)
    return content(folder)


def test_a_killed_training_goes_on_to_the_same_bytes(untouched_train, tmp_path):
    """Each kill comes at a random moment after the run went on from what the one before had left."""
    assert set(untouched_train) == {"model.safetensors", "history.json"}
    rng = random.Random(1)
    folder, num_finished = tmp_path / "train", 0
    state = folder / "model.safetensors.state" / "state.safetensors"
    for _ in range(NUM_KILLS):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = start(folder, TRAIN)
        wait_for(lambda before=before: state.exists() and state.stat().st_mtime_ns > before, process)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.join()
        if process.exitcode == 0:  # done before the kill came: compare, and start afresh
            num_finished += 1
            assert content(folder) == untouched_train
            shutil.rmtree(folder)
    assert num_finished < NUM_KILLS
    unfinished = (
        state.exists() and not (folder / "model.safetensors").exists()
    )  # killed while it ended, it has all written
    said = finish(folder, TRAIN)
    assert ("Resuming after" in said) == unfinished
    assert content(folder) == untouched_train


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [("train", signal.SIGINT, 130), ("train", signal.SIGTERM, 143), ("score", signal.SIGINT, 130)],
)
def test_a_signal_stops_cleanly_and_the_same_command_goes_on(request, tmp_path, number, code, stage):
    untouched = request.getfixturevalue(f"untouched_{stage}")
    words = {"train": TRAIN, "score": SCORE}[stage]
    folder = tmp_path / stage
    state = {"train": "model.safetensors.state", "score": "scores.h5.state/run1"}[stage]
    process = start(folder, words)
    wait_for((folder / state / "state.safetensors").exists, process)
    assert process.pid
    os.kill(process.pid, number)
    process.join(60)
    said = stderr(folder)
    assert process.exitcode == code, said
    assert "the state is saved" in said
    assert "Run the same command to resume." in said
    assert "Traceback" not in said
    assert "Resuming after epoch" in finish(folder, words)
    assert content(folder) == untouched


def test_two_runs_of_a_scoring_differ(untouched_score, tmp_path):
    path = tmp_path / "scores.h5"
    path.write_bytes(untouched_score["scores.h5"])
    with h5py.File(path) as file:
        values = file["scores/el2n/values"]
        assert values.shape == (2, 1000)
        assert abs(values[0] - values[1]).max() > 0.01
