"""Collects the results of run.py in small text files that can be committed: no weights, no logits, no pixels.

    python benchmarks/runs/collect.py OUTPUT [benchmarks/runs/results] [--set SET]

SET.jsonl has a line for each evaluated model: all measures, those of each feature, and the accuracy of each group, as
[value, lower end, upper end of the 95 % interval over test samples, samples], or why a measure is undefined. SET.lists.jsonl
has a line for each list: how many samples of each group it removes, and which (`removed`: base64 of zlib of one bit a training
sample, most significant first; `sha256` is that of the kept list). audits.jsonl says what each audit suspected and what was cut,
ticks.jsonl how well the ticks' carriers agree with the true ones.
Lines of runs that are no longer in OUTPUT are kept.
"""

from __future__ import annotations

import argparse
import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.indices import read_indices


def models(folder: Path) -> Iterator[dict[str, Any]]:
    """Of each evaluation below OUTPUT/SET what is committed, by seed, arm and split."""
    for path in sorted(folder.glob("seed*/*/*evaluation.json")):
        found = read_evaluation(path)
        training = found["training"] or {}
        yield {
            "seed": int(path.parts[-3].removeprefix("seed")),
            "arm": path.parts[-2],
            "split": found["split"],
            "num_train": training.get("num_train"),
            "num_kept": training.get("num_kept"),
            "metrics": {name: _measure(entry) for name, entry in found["metrics"].items()},
            "features": [
                {key: record[key] for key in ("feature", "classes", "against")}
                | {"metrics": {name: _measure(entry) for name, entry in record["metrics"].items()}}
                for record in found.get("features") or []
            ],
            "groups": {
                part["group"]: _measure(part["accuracy"]) for part in found["per_group"] or [] if part["accuracy"]
            },
            "train_groups": {part["group"]: part["num_train"] for part in found["per_group"] or []},
            "warnings": found["warnings"],
        }


def lists(folder: Path) -> Iterator[dict[str, Any]]:
    """Of each list below OUTPUT/SET which samples it removes."""
    for path in sorted(folder.glob("seed*/*.txt")):
        if path.name.endswith((".errors.txt", ".groups.txt")):
            continue
        found = read_indices(path)
        num_samples = found.subject.num_samples
        assert num_samples is not None
        removed = np.ones(num_samples, dtype=bool)
        removed[found.kept(num_samples)] = False
        yield {
            "seed": int(path.parent.name.removeprefix("seed")),
            "list": path.stem,
            "num_samples": num_samples,
            "num_removed": int(removed.sum()),
            "by_group": {part["name"]: part["num_removed"] for part in found.summary.get("by_group") or []},
            "rule": {key: value for key, value in found.rule.items() if value not in (None, False, [])},
            "sha256": found.sha256,
            "removed": base64.b64encode(zlib.compress(np.packbits(removed).tobytes(), 9)).decode(),
        }


def read_removed(line: dict[str, Any]) -> np.ndarray:
    """The removed positions of a line of SET.lists.jsonl, ascending."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(line["removed"])), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(bits, count=line["num_samples"]))


def write_beside(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write the lines in the order of their names; those of other seeds, arms or lists that the file has stay."""
    there = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = {_name(line): line for line in (*map(json.loads, there), *lines)}
    if kept:
        text = "".join(json.dumps(kept[name], sort_keys=False) + "\n" for name in sorted(kept))
        path.write_text(text, encoding="utf-8")


def _name(line: dict[str, Any]) -> tuple[str, int, str, str]:
    """Of a model, a list or an audit, of which the last line counts where it was resumed."""
    return line.get("set", ""), line["seed"], line.get("arm") or line.get("list", ""), line.get("split", "")


def _measure(entry: dict[str, Any]) -> list[Any] | str:
    if entry.get("value") is None:
        return str(entry.get("reason") or f"beyond {entry.get('bound')}")
    ends = entry.get("interval") or [None, None]
    return [None if each is None else round(each, 5) for each in (entry["value"], *ends)] + [entry.get("num_samples")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("results", type=Path, nargs="?", default=Path(__file__).parent / "results")
    parser.add_argument("--set", action="append", default=[], help="only this set; repeatable")
    asked = parser.parse_args()
    asked.results.mkdir(parents=True, exist_ok=True)
    for folder in sorted(asked.output.iterdir()):
        if not any(folder.glob("seed*")) or (asked.set and folder.name not in asked.set):
            continue
        for suffix, lines in (("", models(folder)), (".lists", lists(folder))):
            write_beside(asked.results / f"{folder.name}{suffix}.jsonl", lines)
    for name in ("audits.jsonl", "ticks.jsonl"):
        path = asked.output / name
        if path.is_file():
            write_beside(asked.results / name, map(json.loads, path.read_text("utf-8").splitlines()))


if __name__ == "__main__":
    main()
