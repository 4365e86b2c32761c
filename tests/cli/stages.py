"""Every stage of the chain on the demo made small, run in processes that can be killed."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from warm import Child, shared

SIZES = ["num_train=400", "num_val=60", "num_test=100"]
FLAGS = [word for size in SIZES for word in ("--set", f"dataset.options.{size}")]
TRAIN = ["train", "--set", "training.epochs=3", "--set", "training.save_seconds=0"]
INJECT = ["inject", "--dataset", "demo", "--feature", "patch", "--class", "3", *FLAGS]

# Output, then the command that makes it from those above; {OLD} differs in the older output that stands there before.
STAGES: dict[str, tuple[list[str], list[str]]] = {
    "inject": (["inject.json"], [*INJECT, "--count", "{OLD:20:10}"]),
    "score": (
        ["scores.h5"],
        [
            "score",
            "--dataset",
            "inject.json",
            "--epoch",
            "2",
            "--set",
            "training.save_seconds=0",
            "--seed",
            "{OLD:0:1}",
        ],
    ),
    "prune": (["keep.txt"], ["prune", "--per-class", "--fraction", "{OLD:0.2:0.3}"]),
    "train": (
        ["model.safetensors", "model.epoch2.safetensors", "history.json", "dynamics.h5"],
        [*TRAIN, "--save-epochs", "2", "--evaluate-each", "val", "--dynamics", "eval", "--seed", "{OLD:0:1}"],
    ),
    "score by dynamics": (
        ["dynamics-scores.h5"],
        ["score", "--dynamics", "dynamics.h5", "--epoch", "{OLD:3:2}", "-o", "dynamics-scores.h5"],
    ),
    "train by group DRO": (
        ["dro/model.safetensors", "dro/history.json"],
        [
            *TRAIN,
            "--method",
            "group_dro",
            "--group-labels",
            "groups.txt",
            "-o",
            "dro/model.safetensors",
            "--seed",
            "{OLD:0:1}",
        ],
    ),
    "train by DFR": (
        ["dfr/model.safetensors", "dfr/history.json"],
        [
            *("train", "--method", "dfr", "--checkpoint", "model.safetensors", "--group-labels", "groups.txt"),
            *("--set", "method.options.on=train", "-o", "dfr/model.safetensors", "--seed", "{OLD:0:1}"),
        ],
    ),
    "data embed": (
        ["embeddings.h5"],
        ["data", "embed", "inject.json", "--checkpoint", "model.safetensors", "--layer", "{OLD:last:output}"],
    ),
    "infer": (["groups.txt"], ["infer", "model.safetensors", "--by", "{OLD:mistakes:predictions}"]),
    "audit": (
        ["audit/audit.json", "audit/audit.html", *(f"audit/suspects/{number}.groups.txt" for number in (1, 2, 3))],
        ["audit", "model.safetensors", "--finder", "mistakes", "--seed", "{OLD:0:1}"],
    ),
    "evaluate": (["evaluation.json", "predictions.h5"], ["evaluate", "model.safetensors", "--split", "{OLD:test:val}"]),
    "export": (
        ["export.csv"],
        ["export", "keep.txt", "--as", "csv", "--which", "{OLD:kept:removed}", "-o", "export.csv"],
    ),
    "report": (["report.html"], ["report", "--no-pictures", "--title", "{OLD:new:old}"]),
}
ORDER = [
    *(
        "inject",
        "score",
        "prune",
        "train",
        "score by dynamics",
        "data embed",
        "infer",
        "train by group DRO",
        "train by DFR",
        "audit",
        "evaluate",
        "export",
        "report",
    )
]
FORCED = {"score", "train", "infer", "data", "audit"}  # always, as files say by what command they were made

# As a user and not as root, who may read and write whatever permissions say: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
PROGRAM = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None)
header = struct.pack("=Ii", 0x20080522, 0)
sets = ctypes.create_string_buffer(24)
if os.geteuid() == 0 and hasattr(libc, "capget") and libc.capget(header, sets) == 0:
    words32 = list(struct.unpack("=6I", sets.raw))
    for place in (0, 1, 2):
        words32[place] &= ~0b110
    libc.capset(header, struct.pack("=6I", *words32))
from spurcli.cli.run import run
sys.exit(run(sys.argv[1:]))
"""
STDERR = tempfile.TemporaryDirectory(prefix="spurcli-stderr-")  # on no disk that a test fills
NUMBERS = itertools.count()


def command(stage: str, *, old: bool = False) -> list[str]:
    words = []
    for word in STAGES[stage][1]:
        if word.startswith("{OLD:"):
            word = word.strip("{}").split(":")[2 if old else 1]
        words.append(word)
    return [*words, "--force"] if words[0] in FORCED else words


@dataclass
class Running:
    """A stage at work."""

    process: Child
    stderr: Path

    def said(self) -> str:
        return self.stderr.read_text() if self.stderr.exists() else ""

    def wait(self) -> int | None:
        """Its exit code, None if it hangs."""
        return self.process.join(120)


def start(folder: Path, words: list[str]) -> Running:
    stderr = Path(STDERR.name) / str(next(NUMBERS))
    return Running(shared().start(["-c", PROGRAM, *words], folder, stderr=stderr), stderr)


def finish(folder: Path, words: list[str]) -> None:
    running = start(folder, words)
    assert running.wait() == 0, running.said()


def content(path: Path) -> object:
    """The bytes of a file; of a history without its seconds."""
    if path.name != "history.json":
        return path.read_bytes()
    history = json.loads(path.read_text())
    epochs = history.pop("epochs")
    return [{key: value for key, value in epoch.items() if "seconds" not in key} for epoch in epochs], history


def tree(folder: Path) -> dict[str, object]:
    return {str(path.relative_to(folder)): content(path) for path in folder.rglob("*") if path.is_file()}


def run_chain(top: Path) -> dict[str, tuple[Path, Path, dict[str, object], float]]:
    """For each stage: its inputs as a folder, the same with older outputs, its outputs, and how long it takes."""
    now = top / "now"
    found = {}
    now.mkdir()
    start(now, ["--version"]).wait()  # starts the server, whose time is no stage's
    for stage in ORDER:
        before, older = top / f"before {stage}", top / f"older {stage}"
        shutil.copytree(now, before)
        shutil.copytree(now, older)
        began = time.monotonic()
        finish(now, command(stage))
        seconds = time.monotonic() - began
        finish(older, command(stage, old=True))
        outputs = {name: content(now / name) for name in STAGES[stage][0]}
        found[stage] = before, older, outputs, seconds
    return found
