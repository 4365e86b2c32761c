"""A study in several processes that a signal stops: its processes end, and the trainings are saved (tests/training/test_kill.py resumes such states)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORDS = (
    *("compare", "--dataset", "demo", "--arms", "erm", "--seeds", "2", "--jobs", "2"),
    *("--set", "dataset.options.num_train=300", "--set", "dataset.options.num_val=60"),
    *("--set", "dataset.options.num_test=100", "--set", "model.options.hidden=[16]"),
    *("--set", "training.epochs=50000", "--set", "scoring.epoch=1"),
)
STATES = [Path(f"study/seed{seed}/erm/model.safetensors.state/state.safetensors") for seed in (1, 2)]


def start(folder: Path) -> subprocess.Popen[bytes]:
    """The study in a session of its own, as in a terminal: a shell lets jobs in the background ignore SIGINT, these tests among them."""
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "spurcli", *WORDS],
            cwd=folder,
            stderr=stderr,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def is_left(session: int) -> bool:
    """Whether a process of the session exists."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, found = path.read_text().rpartition(") ")[2].split()[:4]
        except OSError:
            continue
        if int(found) == session and state != "Z":
            return True
    return False


def wait_for(is_true, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="reads /proc")
@pytest.mark.parametrize(("is_terminal", "number", "code"), [(True, signal.SIGINT, 130), (False, signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes_and_the_trainings_are_saved(tmp_path, is_terminal, number, code):
    """Ctrl-C in a terminal reaches all processes at once, and the children once more as SIGTERM from their parent."""
    process = start(tmp_path)
    try:
        wait_for(lambda: all((tmp_path / path).parent.is_dir() for path in STATES) or process.poll() is not None, 120)
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        time.sleep(0.3)  # for the first steps
        (os.killpg if is_terminal else os.kill)(process.pid, number)
        assert process.wait(60) == code
        wait_for(lambda: not is_left(process.pid), 20)
    finally:
        if is_left(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = (tmp_path / "stderr").read_text()
    assert "Traceback" not in said
    assert "The study is stopped Run the same command to resume." in " ".join(said.split())
    assert all((tmp_path / path).is_file() for path in STATES)
