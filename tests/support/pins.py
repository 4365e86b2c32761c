"""Hashes of trained weights, kept in tests/golden/weights.json: what is rebuilt must not move a bit.

They hold for one build of torch on one kind of CPU; elsewhere the tests that compare them are skipped and say what
differs. SPURCLI_TEST_WRITE_PINS=1 writes those of this machine: only where weights are meant to change, which the
changelog then says.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from pathlib import Path

import pytest
import torch

GOLDEN = Path(__file__).parent.parent / "golden"
FILE = GOLDEN / "weights.json"
DATA = ["num_train=120", "num_val=60", "num_test=20"]
FLAGS = ["model.options.hidden=[8]", "training.epochs=2", "training.batch_size=16", "preprocessing.flip=true"]


def sets(values: list[str], prefix: str = "") -> list[str]:
    return [word for value in values for word in ("--set", prefix + value)]


# The command of the unfinished run in tests/golden/unfinished-1.state.
UNFINISHED = ["train", "--dataset", "demo", "--keep", "all", "--seed", "3", "--save-epochs", "best-val-mean"]
UNFINISHED += [*sets(DATA, "dataset.options."), *sets(FLAGS), "--set", "training.epochs=3"]


@functools.cache
def environment() -> dict[str, str]:
    """What the bits depend on; `arithmetic` is a hash of some products and exponentials, for what has no name."""
    numbers = torch.arange(1, 257 * 129 + 1, dtype=torch.float32).reshape(257, 129).sin()
    found = (numbers @ numbers.T / 16).softmax(1).log1p() @ numbers
    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "arithmetic": hashlib.sha256(found.numpy().tobytes()).hexdigest()[:12],
        **{name: importlib.metadata.version(name) for name in ("numpy", "scikit-learn", "scipy")},
    }


def require_pins() -> None:
    """Skip the test where the bits are allowed to differ."""
    if os.environ.get("SPURCLI_TEST_WRITE_PINS"):
        return
    kept, here = json.loads(FILE.read_text())["environment"], environment()
    differs = [f"{key} {here.get(key)} (pins: {value})" for key, value in kept.items() if here.get(key) != value]
    if differs:
        pytest.skip(f"weights are pinned for another machine: {', '.join(differs)}")
    if torch.get_num_threads() != 1:
        pytest.skip(f"weights are pinned for 1 thread, not {torch.get_num_threads()} (OMP_NUM_THREADS=1)")


def require_pinned(part: str, weights: dict[str, str]) -> None:
    """Fail the test unless these are the hashes that are kept for `part`."""
    require_pins()
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"weights": {}}
    if os.environ.get("SPURCLI_TEST_WRITE_PINS"):
        kept = {"environment": environment(), "weights": {**kept["weights"], part: weights}}
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    assert weights == kept["weights"][part]
