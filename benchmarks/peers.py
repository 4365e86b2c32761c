"""Time and memory of other tools for the same task on the same files: python benchmarks/peers.py [TASK …] [--samples 1e6] [--tiny]

Each tool runs in its own process, from start to end, including imports and files: CPU seconds, peak memory, lines that a user
writes. A tool that is not installed is skipped, and the command that installs it is shown. `--tiny` only checks that the script works.
train.py and score.py compare training and scoring with plain loops, and with one image at a time.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
from large import measured, write_score_file  # the module beside this one

SCORE, PRUNE, EVALUATE = "score", "prune", "evaluate"
TITLES = {
    SCORE: "how difficult each sample is, from logits of 10 classes",
    PRUNE: "a list without the hardest tenth of each of 100 classes",
    EVALUATE: "how good logits of 10 classes are",
}

# task → name of the tool, what it must import, what a user writes: words of our command line, or Python.
TASKS: dict[str, dict[str, tuple[str, str]]] = {
    SCORE: {
        "spurcli (7 scores)": ("", "score --logits logits.npy --labels labels.npy -o difficulty.h5"),
        "NumPy (EL2N)": (
            "numpy",
            """
import numpy as np
logits, labels = np.load("logits.npy"), np.load("labels.npy")
p = np.exp(logits - logits.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)
p[np.arange(len(p)), labels] -= 1
np.save("el2n.npy", np.linalg.norm(p, axis=1))
""",
        ),
        "cleanlab (self-confidence)": (
            "cleanlab",
            """
import numpy as np
from cleanlab.rank import get_label_quality_scores
logits, labels = np.load("logits.npy"), np.load("labels.npy")
p = np.exp(logits - logits.max(1, keepdims=True))
p /= p.sum(1, keepdims=True)
np.save("quality.npy", get_label_quality_scores(labels, p))
""",
        ),
    },
    PRUNE: {
        "spurcli": ("", "prune scores.h5 --fraction 0.1 --per-class"),
        "NumPy": (
            "numpy",
            """
import h5py, numpy as np
with h5py.File("scores.h5") as file:
    score, label = file["scores/el2n/values"][0], file["label"][:]
keep = np.ones(len(score), bool)
for c in range(label.max() + 1):
    of_class = np.flatnonzero(label == c)
    hardest = np.argsort(-score[of_class], kind="stable")[: len(of_class) // 10]
    keep[of_class[hardest]] = False
with open("numpy.txt", "w") as file:  # four times as fast as savetxt
    file.write("\\n".join(map(str, np.flatnonzero(keep).tolist())) + "\\n")
""",
        ),
        "pandas": (
            "pandas",
            """
import h5py, pandas as pd
with h5py.File("scores.h5") as file:
    table = pd.DataFrame({"score": file["scores/el2n/values"][0], "label": file["label"][:]})
rank = table.groupby("label").score.rank(method="first", ascending=False)
keep = table[rank > table.groupby("label").score.transform("size") // 10]
keep.index.to_series().to_csv("pandas.txt", index=False, header=False)
""",
        ),
    },
    EVALUATE: {
        "spurcli (all measures)": ("", "evaluate --logits logits.npy --labels labels.npy -o evaluation.json"),
        "NumPy (accuracy)": (
            "numpy",
            """
import numpy as np
logits, labels = np.load("logits.npy"), np.load("labels.npy")
print((logits.argmax(1) == labels).mean())
""",
        ),
    },
}


def write_inputs(folder: Path, num_samples: int) -> None:
    """Random logits with labels that they often favour, and a score file."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, num_samples)
    logits = rng.standard_normal((num_samples, 10), dtype=np.float32)
    logits[np.arange(num_samples), label] += 3
    np.save(folder / "logits.npy", logits)
    np.save(folder / "labels.npy", label)
    write_score_file(folder / "scores.h5", num_samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"{', '.join(TASKS)} (all)")
    parser.add_argument("--samples", type=float, default=1e6)
    parser.add_argument("--tiny", action="store_true", help="2,000 samples, to see that it works")
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write_inputs(Path(), int(arguments.samples))
        return
    num_samples = 2000 if arguments.tiny else int(arguments.samples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # a process that is started from one which held the inputs would count them as its own memory
        measured([sys.executable, str(Path(__file__).resolve()), "--write", "--samples", str(num_samples)], folder)
        for task in arguments.tasks or TASKS:
            tools = TASKS[task]
            print(f"{TITLES[task]}, {num_samples:,} samples\n{'':28}{'CPU s':>8}{'peak MB':>9}{'lines':>7}")
            for tool, (needs, text) in tools.items():
                if needs and not importlib.util.find_spec(needs):
                    print(f"{tool:28}  not installed: pip install {needs}")
                    continue
                words = ["-c", text] if needs else ["-m", "spurcli", *shlex.split(text)]
                seconds, peak = measured([sys.executable, *words], folder)
                print(f"{tool:28}{seconds:>8.2f}{peak / 1e6:>9.0f}{len(text.strip().splitlines()):>7}", flush=True)


if __name__ == "__main__":
    main()
