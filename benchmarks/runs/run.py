"""The runs behind docs/results.md: each set of sets.py, seed by seed, in one process; after an interruption, the same command resumes.

    OMP_NUM_THREADS=1 python benchmarks/runs/run.py OUTPUT digits sky --seeds 31 32 33 34 35 --data-root .data

Writes OUTPUT/SET/seedN/ARM/ (model, evaluation.json, predictions.h5) and a line with its seconds for each stage in
OUTPUT/log.jsonl. Finished outputs are not repeated. A failed arm is named in the log, and the others continue.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # as a script and from a test

from sets import SETS

import spurcli


class Runs:
    """The commands of one set and seed."""

    def __init__(
        self,
        output: Path,
        name: str,
        seed: int,
        data_root: Path,
        sets: Sequence[str] = (),
        arms: Sequence[str] = (),
    ) -> None:
        self.name, self.seed, self._sets, self._arms = name, seed, list(sets), arms
        self.shared = output / name
        self.folder = self.shared / f"seed{seed}"
        self._log, self.root = output / "log.jsonl", data_root

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def inject(self, name: str, **asked: Any) -> None:
        self.step(spurcli.inject, self / name, seed=self.seed, data_root=self.root, **asked)

    def score(self, name: str, **asked: Any) -> None:
        asked["set"] = [*asked.get("set", ()), *self._sets]
        self.step(spurcli.score, self / name, seed=self.seed, data_root=self.root, workers=0, **asked)

    def embed(self, name: str, **asked: Any) -> Path:
        """Once for all seeds."""
        self.step(spurcli.embed, self.shared / name, data_root=self.root, workers=0, **asked)
        return self.shared / name

    def infer(self, name: str, **asked: Any) -> None:
        self.step(spurcli.infer, self / name, seed=self.seed, data_root=self.root, workers=0, **asked)

    def prune(self, name: str, *, match: str = "", **asked: Any) -> None:
        """NAME.txt from scores.h5; `match` names the list of which this is the random control."""
        control = {"match": self / f"{match}.txt", "seed": self.seed} if match else {}
        self.step(spurcli.prune, self / f"{name}.txt", self / "scores.h5", **control, **asked)

    def arm(
        self,
        name: str,
        data: dict[str, Any],
        *,
        keep: str | None = None,
        splits: Sequence[str] = ("test",),
        feature_of: str | None = None,
        **asked: Any,
    ) -> None:
        """Train on what NAME.txt keeps, or on all samples, and evaluate on each split."""
        if self._arms and name not in self._arms:
            return
        listed = self / f"{name}.txt"
        kept = keep or (listed if listed.is_file() else "all")
        model = self / name / "model.safetensors"
        common = {"data_root": self.root, "workers": 0}
        data = {**data, "set": [*data.get("set", ()), *self._sets]}
        try:
            self.step(spurcli.train, model, keep=kept, seed=self.seed, **common, **data, **asked)
            self.judge(name, model, splits=splits, feature_of=feature_of)
        except Exception:
            self._write({"stage": "failed", "output": name, "error": traceback.format_exc(limit=-1)})

    def judge(
        self, name: str, model: Path, *, splits: Sequence[str] = ("test",), feature_of: str | None = None
    ) -> None:
        """Evaluate `model` on each split, as the arm `name`."""
        for split in splits:
            output = self / name / ("evaluation.json" if split == "test" else f"{split}.evaluation.json")
            asked = {"split": split, "feature_of": feature_of, "data_root": self.root, "workers": 0}
            self.step(spurcli.evaluate, output, model, **asked)

    def step(self, stage: Callable[..., Any], output: Path, *asked: Any, **keywords: Any) -> None:
        if output.is_file():
            return
        wall, cpu = time.perf_counter(), time.process_time()
        stage(*asked, output=output, **keywords)
        seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        place = output.relative_to(self.shared).as_posix()
        self._write({"stage": stage.__name__, "output": place, **{k: round(v, 1) for k, v in seconds.items()}})

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps({"at": time.strftime("%H:%M:%S"), "set": self.name, "seed": self.seed, **entry})
        with self._log.open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def parser_of(about: str | None, sets: Collection[str] | None = None) -> argparse.ArgumentParser:
    """What all scripts here are given: OUTPUT, the sets (one of `sets`, or any), --seeds and --data-root."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("sets", nargs="+", choices=sets, metavar="SET", help=", ".join(sets or ()))
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32, 33, 34, 35])
    parser.add_argument("--data-root", type=Path, default=Path(".data"))
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, SETS)
    parser.add_argument("--arms", nargs="+", default=[], help="only these")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for a trial, as of train")
    asked = parser.parse_args(arguments)
    for name in asked.sets:
        for seed in asked.seeds:
            runs = Runs(asked.output, name, seed, asked.data_root, asked.set, asked.arms)
            runs.folder.mkdir(parents=True, exist_ok=True)
            try:
                SETS[name](runs)
            except Exception:
                runs._write({"stage": "failed", "output": name, "error": traceback.format_exc(limit=-1)})


if __name__ == "__main__":
    main()
