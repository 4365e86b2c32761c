"""Memory and time of dynamics.h5 as it grows: python benchmarks/dynamics.py [SAMPLES 1e6] [EPOCHS 100]

`--tiny` only checks that the script works, with 2,000 samples and 3 epochs. Random values are written epoch by epoch, as a training
writes them when it ends, and all scores are computed from the file: each in its own process, whose CPU seconds and peak memory are printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from large import measured

NUM_CLASSES = 10


def epochs(num_samples: int, num_epochs: int) -> Iterator[object]:
    """One epoch after the other, one in memory; samples become easier."""
    from spurcli.artifacts.dynamics import EpochDynamics

    rng = np.random.default_rng(0)
    for epoch in range(num_epochs):
        margin = rng.standard_normal(num_samples, dtype=np.float32) + np.float32(3 * epoch / num_epochs)
        yield EpochDynamics(-np.log1p(np.exp(-margin)), margin, margin > 0)


def write(path: Path, num_samples: int, num_epochs: int) -> None:
    from spurcli.artifacts.dynamics import DynamicsFacts, write_dynamics
    from spurcli.artifacts.fingerprint import Fingerprint
    from spurcli.artifacts.scores import ScoresHeader
    from spurcli.artifacts.subject import Subject

    label = np.random.default_rng(1).integers(NUM_CLASSES, size=num_samples)
    names = tuple(f"class {number}" for number in range(NUM_CLASSES))
    header = ScoresHeader(Subject(Fingerprint.of(label)), names, (), {})
    facts = DynamicsFacts("eval", "float32", 0, "0" * 64)
    write_dynamics(path, header, facts, num_epochs, epochs(num_samples, num_epochs), label)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", nargs="?", default="1e6")
    parser.add_argument("epochs", nargs="?", type=int, default=100)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    num_samples, num_epochs = (2000, 3) if asked.tiny else (int(float(asked.samples)), asked.epochs)
    if asked.write:
        write(asked.write, num_samples, num_epochs)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = [str(Path(__file__).resolve()), str(num_samples), str(num_epochs), "--write", "dynamics.h5"]
        scoring = ["-m", "spurcli", "score", "--dynamics", "dynamics.h5", "-o", "scores.h5"]
        print(f"{num_samples:,} samples, {num_epochs} epochs")
        for what, words in (("write dynamics.h5", here), ("score --dynamics", scoring)):
            seconds, peak = measured([sys.executable, *words], folder)
            print(f"{what:20} {seconds:8.1f} CPU s {peak / 1e6:8.0f} MB", flush=True)
        print(f"{'bytes of dynamics.h5':20} {(folder / 'dynamics.h5').stat().st_size:17,}")


if __name__ == "__main__":
    main()
