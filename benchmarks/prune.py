"""How long `spurcli prune` takes and how much memory it needs: python benchmarks/prune.py 1e6 1e7 1e8

Each size runs in a process of its own, so that its peak memory is its own: a score file of that many samples in 100
classes is written to a temporary folder (about 5 bytes a sample), and a tenth of every class is pruned.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

NUM_CLASSES = 100
_BLOCK = 1 << 20


def write_score_file(path: Path, num_samples: int) -> None:
    """Uniform scores and random labels: what the values are does not change the work."""
    from spurcli.artifacts.fingerprint import Fingerprint
    from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores

    rng = np.random.default_rng(0)
    label = np.empty(num_samples, dtype=np.int8)
    for start in range(0, num_samples, _BLOCK):
        label[start : start + _BLOCK] = rng.integers(NUM_CLASSES, size=len(label[start : start + _BLOCK]))
    header = ScoresHeader(Fingerprint(num_samples), tuple(f"class {number}" for number in range(NUM_CLASSES)), (), {})
    with write_scores(path, header, label) as writer:
        writer.add_score(ScoreInfo("el2n", "harder"))
        for start in range(0, num_samples, _BLOCK):
            size = min(_BLOCK, num_samples - start)
            writer.write("el2n", 0, start, rng.random(size, dtype=np.float32))


def measure(path: Path) -> dict[str, Any]:
    """Prune a tenth per class in this process."""
    from spurcli import prune

    started = time.monotonic()
    result = prune([path], fraction="0.1", per_class=True, output=path.with_name("keep.txt"))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there
    return {
        "num_samples": result["num_samples"],
        "num_removed": result["num_removed"],
        "seconds": time.monotonic() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * unit,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=["1e6", "1e7"], help="numbers of samples")
    parser.add_argument("--folder", help="where the temporary files go (default: the system's)")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        print(json.dumps(measure(arguments.file)))
        return
    print(f"{'samples':>12} {'removed':>12} {'seconds':>8} {'CPU s':>8} {'peak GB':>8} {'bytes/sample':>13}")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder) / "scores.h5"
            write_score_file(path, int(float(size)))
            child = [sys.executable, __file__, "--file", str(path)]
            found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
        per_sample = found["peak_bytes"] / found["num_samples"]
        print(
            f"{found['num_samples']:>12,} {found['num_removed']:>12,} {found['seconds']:>8.1f} "
            f"{found['cpu_seconds']:>8.1f} "
            f"{found['peak_bytes'] / 1e9:>8.2f} {per_sample:>13.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
