"""Time and memory of each stage after scoring, for growing training sets: python benchmarks/large.py 1e5 1e6 1e7 1e8

`--tiny` only checks that the script works, with 2,000 samples.
A score file of that many samples in 100 classes and 200 groups is written to a temporary folder (about 6 bytes a sample, the
lists 10 more). Each command then runs in its own process, from start to end; CPU seconds and peak memory are those of this process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

NUM_CLASSES, NUM_ATTRIBUTES = 100, 2
_BLOCK = 1 << 20
_TO_BYTES = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss

COMMANDS = {
    "prune, whole set": "prune --fraction 0.1 -o whole.txt",
    "prune, per class": "prune --fraction 0.1 --per-class -o keep.txt",
    "prune, in 100 groups": "prune --fraction 0.25 --group auto -o groups.txt",
    "random control": "prune --match keep.txt --match-groups -o random.txt",
    "show the scores": "show scores.h5",
    "show a list": "show keep.txt",
    "report": "report --no-pictures .",
}


def write_score_file(path: Path, num_samples: int) -> None:
    """Uniform scores and random groups, of which nine in ten carry their class's feature."""
    from spurcli.artifacts.fingerprint import Fingerprint
    from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
    from spurcli.artifacts.subject import Subject

    rng = np.random.default_rng(0)
    label = np.empty(num_samples, dtype=np.uint8)
    group = np.empty(num_samples, dtype=np.uint8)
    for start in range(0, num_samples, _BLOCK):
        part = slice(start, min(start + _BLOCK, num_samples))
        label[part] = rng.integers(NUM_CLASSES, size=part.stop - start)
        carries = rng.random(part.stop - start) < 0.9
        group[part] = label[part] * NUM_ATTRIBUTES + (label[part] % NUM_ATTRIBUTES == carries)
    classes = tuple(f"class {number}" for number in range(NUM_CLASSES))
    groups = tuple(f"{name}/attribute {code}" for name in classes for code in range(NUM_ATTRIBUTES))
    header = ScoresHeader(Subject(Fingerprint(num_samples)), classes, groups, {})
    with write_scores(path, header, label, group=group) as writer:
        writer.add_score(ScoreInfo("el2n", "harder"))
        for start in range(0, num_samples, _BLOCK):
            writer.write("el2n", 0, start, rng.random(min(_BLOCK, num_samples - start), dtype=np.float32))


def measured(words: list[str], folder: Path) -> tuple[float, float]:
    """CPU seconds and peak bytes of one process."""
    child = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, as Popen does not tell what a process took
    if child.returncode:
        raise SystemExit(f"failed: {' '.join(words)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _TO_BYTES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=["1e5", "1e6", "1e7"], help="numbers of samples")
    parser.add_argument("--tiny", action="store_true", help="2,000 samples, to see that it works")
    parser.add_argument("--folder", help="where the temporary files go (default: the system's)")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_score_file(arguments.write, int(arguments.sizes[0]))
        return
    print(f"{'':22} {'samples':>12} {'CPU s':>8} {'peak GB':>8}")
    for size in ["2000"] if arguments.tiny else arguments.sizes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder, num_samples = Path(name), int(float(size))
            commands = {"write scores.h5": [str(Path(__file__).resolve()), str(num_samples), "--write", "scores.h5"]}
            commands |= {what: ["-m", "spurcli", *words.split()] for what, words in COMMANDS.items()}
            for what, words in commands.items():
                seconds, peak = measured([sys.executable, *words], folder)
                print(f"{what:22} {num_samples:>12,} {seconds:>8.1f} {peak / 1e9:>8.2f}", flush=True)
            print(f"{'bytes of scores.h5':22} {num_samples:>12,} {(folder / 'scores.h5').stat().st_size:>17,}")


if __name__ == "__main__":
    main()
