"""Writes the best value of each method by validation as a file of arms for fresh seeds.   python choose.py ARMS.toml TUNING [METRIC]

TUNING is the folder of `spurcli compare --arms ARMS.toml … --select-epoch best-val-worst-group`; arms are called METHOD-VALUE.
Rule: the value with the highest val METRIC (worst_group_accuracy, or accuracy) of any epoch; with several tuning seeds, of the mean
over them; the first of ties. Arms without epochs (DFR) are all kept. Reads only history.json, which has no test results.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path

TABLE = re.compile(r'^\[arms\.(?:"([^"]+)"|([\w-]+))\]', re.MULTILINE)


def chosen(arms: Path, tuning: Path, metric: str) -> str:
    """The text of the arms file without the tries that were not chosen."""
    text = arms.read_text(encoding="utf-8")
    tables = list(TABLE.finditer(text))
    names = [table[1] or table[2] for table in tables]
    means = {name: mean for name in names if (mean := val_mean(name, tuning, metric)) is not None}
    best: dict[str, str] = {}
    for name in means:
        method = name.partition("-")[0]
        best.setdefault(method, name)
        if means[name] > means[best[method]]:
            best[method] = name
        print(f"{name}: {means[name]:.1%}", file=sys.stderr)
    ends = [*(table.start() for table in tables[1:]), len(text)]
    kept = [
        text[table.start() : end]
        for name, table, end in zip(names, tables, ends, strict=True)
        if name not in means or name in best.values()
    ]
    return "".join(kept)


def val_mean(arm: str, tuning: Path, metric: str) -> float | None:
    """Over the tuning seeds the mean of the highest METRIC on val of any epoch; None without epochs. Raises FileNotFoundError."""
    histories = sorted(tuning.glob(f"seed*/{arm}/history.json"))
    if not histories:
        raise FileNotFoundError(f"{tuning} has no training of the arm {arm}")
    found = []
    for history in histories:
        epochs = json.loads(history.read_text(encoding="utf-8"))["epochs"]
        if values := [epoch["evaluations"]["val"][metric] for epoch in epochs if "evaluations" in epoch]:
            found.append(max(values))
    return statistics.mean(found) if found else None


if __name__ == "__main__":
    print(chosen(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4] or ["worst_group_accuracy"]), end="")
