"""What each stage of the demo takes as a process, beyond the import of torch: python benchmarks/start.py [--repeats 5] [--tiny]

The first command of each stage of the demo's first seed, one process each, in the order of the study, then `import torch` alone, again and
again in new folders. CPU seconds, so that other programs matter less: the median of the stage, the median of what is left without the
import of that round, and peak memory. Training takes all 30 epochs. `--tiny` only checks that the script works: one epoch, one round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from large import measured  # the module beside this one

TORCH, HELP, LOGITS = "import torch", "--help", "score --logits, 4,000 × 10"
MADE = "import numpy as np; np.save('logits.npy', np.random.default_rng(0).normal(size=(4000, 10))); np.save('labels.npy', np.arange(4000) % 10)"


def commands(*, tiny: bool) -> dict[str, list[str]]:
    """What Python is told, by name; later ones read what earlier ones have made."""
    from spurcli import demonstration

    ours = ["-m", "spurcli"]
    found = {HELP: [*ours, "--help"]}
    for step in demonstration.study("demo", [demonstration.FIRST_SEED]).steps:
        few = ["--set", "training.epochs=2"] if tiny and step.stage == "train" else []
        found.setdefault(step.stage, [*ours, *step.words, *few])
    found["report"] = [*ours, "report", "demo", "-o", "demo/report.html"]
    found[LOGITS] = [*ours, *["score", "--logits", "logits.npy", "--labels", "labels.npy", "-o", "of-logits.h5"]]
    return {**found, TORCH: ["-c", "import torch"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tiny", action="store_true", help="one round with little training, to see that it works")
    parser.add_argument("--print", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.print:
        print(json.dumps(commands(tiny=arguments.tiny)))
        return
    # a process that is started from one which held torch would count it as its own memory
    made = [sys.executable, str(Path(__file__).resolve()), "--print", *["--tiny"][: arguments.tiny]]
    words: dict[str, list[str]] = json.loads(subprocess.run(made, capture_output=True, check=True).stdout)
    seconds: dict[str, list[float]] = {name: [] for name in words}
    peak: dict[str, float] = {}
    for _ in range(1 if arguments.tiny else arguments.repeats):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            measured([sys.executable, "-c", MADE], folder)
            for what, of_python in words.items():
                took, peak[what] = measured([sys.executable, *of_python], folder)
                seconds[what].append(took)
    print(f"{'':28}{'CPU s':>8}{'beyond torch':>14}{'peak MB':>9}")
    for what, took in seconds.items():
        beyond = statistics.median(mine - torch for mine, torch in zip(took, seconds[TORCH], strict=True))
        print(f"{what:28}{statistics.median(took):>8.2f}{beyond:>14.2f}{peak[what] / 1e6:>9.0f}")


if __name__ == "__main__":
    main()
