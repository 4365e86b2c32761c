"""What all tests share: a very small data set, the command line in this process or its own, the benchmark data."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cost import (  # noqa: F401 - hooks of pytest; the module is in tests/support
    pytest_addoption,
    pytest_runtest_logreport,
    pytest_runtest_makereport,
    pytest_runtest_protocol,
    pytest_terminal_summary,
)
from warm import Warm, shared

# Two small threads beat many: the tests run in several processes at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
TINY = {
    "dataset.options.num_train": 300,
    "dataset.options.num_val": 100,
    "dataset.options.num_test": 200,
    "model.options.hidden": [16],
    "training.epochs": 3,
    "scoring.epoch": 1,
}


@dataclass(frozen=True)
class Result:
    """What a command line left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def tiny() -> dict[str, Any]:
    """Overrides (`--set`) that make the demo set and its training take a fraction of a second."""
    return dict(TINY)


@pytest.fixture
def tiny_flags() -> list[str]:
    """The same as words of a command line."""
    return [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def run_here(*words: str | Path) -> Result:
    """Run a command line in this process, in the current folder."""
    from spurcli.cli import console
    from spurcli.cli.run import run
    from spurcli.errors import SpurWarning

    argv = [str(word) for word in words]
    console.console.cache_clear()
    out, err = io.StringIO(), io.StringIO()
    terminate = signal.getsignal(signal.SIGTERM)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("always", SpurWarning)
        code = run(argv)
    signal.signal(signal.SIGTERM, terminate)
    console.console.cache_clear()
    return Result(code, out.getvalue(), err.getvalue())


@pytest.fixture
def spurcli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run a command line in this process, in `tmp_path`: spurcli("score", "--dataset", "demo").code."""
    monkeypatch.chdir(tmp_path)
    return run_here


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with scores.h5, keep.txt, model.safetensors and history.json of a small run on the demo set; not to be changed."""
    folder = tmp_path_factory.mktemp("tiny_run")
    flags = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (
            ("score", "--dataset", "demo", *flags),
            ("prune", "--fraction", "0.1", "--per-class"),
            ("train", "--set", "training.epochs=1"),
        ):
            assert run_here(*words).code == 0
    return folder


@pytest.fixture
def in_tiny_run(tiny_run: Path, tmp_path: Path, spurcli: Callable[..., Result]) -> Callable[..., Result]:
    """`spurcli` in a copy of `tiny_run`, for tests of what is done with a finished run's files."""
    shutil.copytree(tiny_run, tmp_path, dirs_exist_ok=True)
    return spurcli


@pytest.fixture
def spurcli_process(tmp_path: Path) -> Callable[..., Result]:
    """Run a command line as a process of its own, in `tmp_path`, from the start of Python on, which takes seconds.

    For what only a real start shows: which modules are imported, variables that Python itself reads. Else take
    `spurcli_forked`.
    """

    def call(*words: str | Path, stdin: bytes = b"", **environment: str) -> Result:
        done = subprocess.run(
            [sys.executable, "-m", "spurcli", *map(str, words)],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            env={**os.environ, **environment},
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return call


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """A process with torch and spurcli loaded that forks a child a command: to be killed, signalled or run by a shell."""
    server = shared()
    yield server
    server.close()


@pytest.fixture
def spurcli_forked(warm: Warm, tmp_path: Path) -> Callable[..., Result]:
    """Run a command line as a process of its own, in `tmp_path`, forked from one that has all modules loaded."""

    def call(*words: str | Path, stdin: bytes = b"", **environment: str) -> Result:
        with tempfile.TemporaryDirectory() as name:
            given, out, err = (Path(name) / stream for stream in ("in", "out", "err"))
            given.write_bytes(stdin)
            streams = {"stdin": given, "stdout": out, "stderr": err}
            child = warm.start(["-m", "spurcli", *words], tmp_path, environment=environment, **streams)
            code = child.join(120)
            assert code is not None, err.read_text()
            return Result(code, out.read_bytes().decode(errors="replace"), err.read_bytes().decode(errors="replace"))

    return call


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """The folder with the unpacked benchmark data; skips, saying why, where it is absent. Mark the test `data`."""
    folder = Path(os.environ.get("SPURCLI_TEST_DATA") or ROOT / ".data")
    if not folder.is_dir():
        pytest.skip(f"no benchmark data in {folder} (set SPURCLI_TEST_DATA)")
    return folder
