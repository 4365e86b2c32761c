"""What the tests here share: the program that their processes run, started by torchrun or as torchrun would."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from torch.distributed import TCPStore
from warm import Child, Warm

PROGRAM = Path(__file__).with_name("runs.py")


@pytest.fixture(scope="session")
def runs() -> ModuleType:
    """tests/distributed/runs.py as a module."""
    spec = importlib.util.spec_from_file_location("distributed_runs", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["distributed_runs"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def torchrun() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a part of runs.py, or other words for torchrun, in so many processes in a folder."""

    def run(num_processes: int, part: str | list[str], folder: Path) -> subprocess.CompletedProcess[str]:
        place = ["--standalone", f"--nproc-per-node={num_processes}"]
        words = [str(PROGRAM), part, str(folder)] if isinstance(part, str) else part
        return subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", *place, *words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=900,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def forked(warm: Warm) -> Iterator[Callable[..., list[Child]]]:
    """Start the same in processes with torchrun's environment and its store, writing to FOLDER.said, and no torchrun."""
    stores, started = [], []

    def start(num_processes: int, part: str, folder: Path) -> list[Child]:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        stores.append(store)
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        common |= {"WORLD_SIZE": str(num_processes), "OMP_NUM_THREADS": "1"}
        processes = []
        for rank in map(str, range(num_processes)):
            said = Path(f"{folder}.said")
            environment = {**common, "RANK": rank, "LOCAL_RANK": rank}
            process = warm.start([PROGRAM, part, folder], folder, stdout=said, stderr=said, environment=environment)
            processes.append(process)
        started.extend(processes)
        return processes

    yield start
    for process in started:
        process.kill()
