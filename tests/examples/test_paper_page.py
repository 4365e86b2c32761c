"""The page of examples/paper: made from made-up numbers, whole, alone, and right.

Every number here comes from a seeded generator and means nothing.
"""

from __future__ import annotations

import base64
import csv
import itertools
import json
import math
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

PAPER = Path(__file__).parents[2] / "examples" / "paper"
SEEDS = ("1", "2", "3", "4", "5")
VOID = {"meta", "img", "br", "link", "input", "hr"}
FRACTIONS = (0, 10, 25, 40, 50, 75, 90)


@pytest.fixture
def paper(monkeypatch):
    """The modules of the folder, imported as `python page.py` does, and forgotten again."""
    names = ("tidy", "charts", "verdicts", "page")
    monkeypatch.syspath_prepend(str(PAPER))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    import page

    yield page
    for name in names:
        sys.modules.pop(name, None)


def synthetic(out: Path, seeds=SEEDS) -> Path:
    """A folder as collect.py writes it, with made-up numbers for every figure."""
    chance = random.Random(0)
    tables: dict[str, list[tuple]] = {}

    def add(figure, panel, setting, series, x, metric, level, spread=1.5):
        for seed in seeds:
            value = min(100.0, max(0.0, chance.gauss(level, spread)))
            tables.setdefault(figure, []).append((figure, panel, setting, series, x, seed, metric, f"{value:.4f}"))

    for x in (0, 1, 10, 50):
        add("fig1a", "", "celeba48", "erm", x, "conflict_accuracy", 68 - 6 * x**0.5)
    groups = ("women_no_glasses", "women_glasses", "men_no_glasses", "men_glasses")
    for setting, (group, level) in itertools.product(("glasses_10", "glasses_50"), zip(groups, (10, 40, 20, 8), strict=True)):
        add("fig1b", "", setting, "erm", group, "share_wrong", level)
    for size, (series, rise) in itertools.product((1, 2, 3), (("in_hardest", 9), ("in_easiest", 0.5), ("none", 0))):
        add("fig2ab", "", "cifar10s", series, f"S{size}", "spurious_misclassification", 3 + rise * size)
    for epoch in range(1, 13):
        add("fig2cd", "", "cifar10s", "in_hardest", epoch, "spurious_misclassification", 5 + 2.5 * epoch, 3)
        add("fig2cd", "", "cifar10s", "in_easiest", epoch, "spurious_misclassification", 25 * math.exp(-epoch / 4) + 3)
    for place in range(0, 5000, 700):
        add("fig3", "", "cifar10s", "slice", place, "spurious_misclassification", 3 + 22 * (place / 4900) ** 3, 2)
    for metric, levels in (("conflict_accuracy", (35, 50, 36, 37)), ("accuracy", (80, 80, 79, 80))):
        add("fig4", "", "celeba48", "erm", "", metric, levels[0])
        for series, level in zip(("carriers_hardest", "carriers_easiest", "carriers_random"), levels[1:], strict=True):
            for x in (10, 20, 40):
                add("fig4", "", "celeba48", series, x, metric, level + (x / 4 if metric != "accuracy" else 0))
    for panel, setting, shares in (
        ("unidentifiable", "cifar10s", (22, 24, 28, 26)),
        ("unidentifiable", "celeba48", (25, 26, 24, 25)),
        ("identifiable", "waterbirds", (45, 30, 15, 10)),
    ):
        for quartile, level in enumerate(shares, 1):
            add("fig5", panel, setting, "whole_set", f"Q{quartile}", "share_of_carriers", level)
            add("fig5", panel, setting, "within_class", f"Q{quartile}", "share_of_carriers", (level + 25) / 2)
    for figure, setting, metric, sign in (
        ("fig6", "celeba48", "conflict_accuracy", 1),
        ("fig7", "cifar10s setting 2", "spurious_misclassification", -1),
        ("fig8", "waterbirds", "worst_group_accuracy", 1),
    ):
        for x, series in itertools.product(FRACTIONS, ("erm", "hardest", "random")):
            if (series == "erm") == (x == 0):
                gain = sign * x / 6 if series == "hardest" else 0
                add(figure, "", setting, series, x, metric, (16 if sign < 0 else 40) + gain, 2.5)
                add(figure, "", setting, series, x, "accuracy", 80 - x / (8 if series == "hardest" else 20))
    for position in range(0, 101, 10):
        add("fig9", "", "planes", "airplane", position, "el2n", position / 80, 0.03)
    for panel, names in (
        ("waterbirds", ("erm", "pruning", "random", "group_dro", "jtt", "cnc", "pde", "dfr_train", "dfr_val", "subg")),
        ("multinli", ("erm", "pruning", "random", "jtt")),
    ):
        for position, name in enumerate(names):
            add("table1", panel, "small", name, "", "worst_group_accuracy", 30 + 4 * position, 4)
            add("table1", panel, "small", name, "", "adjusted_mean_accuracy", 92 - position)
    for series, level in (("in_hardest", 5), ("in_easiest", 40), ("none", 55)):
        add("a4", "i", "small", series, "", "worst_group_accuracy", level, 3)
    for series, level in (("carriers_hardest", 50), ("carriers_easiest", 41), ("erm", 40)):
        add("a4", "ii", "small", series, "", "worst_group_accuracy", level, 3)
    for quartile, level in enumerate((55, 20, 14, 11), 1):
        add("a4", "iii", "small", "whole_set", f"Q{quartile}", "share_of_carriers", level)

    (out / "data").mkdir(parents=True)
    for figure, rows in tables.items():
        write(out, figure, rows)
    ran = {"size": "cpu", "dataset": "made up", "samples": 5000, "model": "none", "epochs": 3, "image_size": 48,
           "seeds": [1, 2, 3, 4, 5], "version": "0.1.0", "cpu_seconds": 1234.5}  # fmt: skip
    (out / "data" / "runs.json").write_text(json.dumps(dict.fromkeys(tables, ran)), encoding="utf-8")
    return out


def write(out: Path, figure: str, rows) -> None:
    (out / "data").mkdir(parents=True, exist_ok=True)
    with (out / "data" / f"{figure}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("figure", "panel", "setting", "series", "x", "seed", "metric", "value"))
        writer.writerows(rows)


if __name__ == "__main__":  # a folder to look at:   python test_paper_page.py FOLDER
    synthetic(Path(sys.argv[1]))
