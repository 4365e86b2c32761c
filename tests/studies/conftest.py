"""A small study: figures described in TOML, results as tidy rows."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import pytest

from spurcli.studies.comparisons import verdicts
from spurcli.studies.description import read_description
from spurcli.studies.tidy import COLUMNS, curves_of, read_tidy

HEAD = """
[paper]
title = "A paper"

[series]
erm = { label = "ERM", color = "blue" }
hardest = { label = "hardest removed", color = "vermillion" }
random = { label = "random removed" }

[metrics]
hardness = { label = "Hardness", unit = "" }

[[figure]]
id = "one"
name = "Figure 1"
title = "It works"
claim = "Pruning helps."
x = "removed (%)"
"""
METRIC = "spurious_misclassification"


@pytest.fixture
def study(tmp_path):
    """study(TOML of the figure, rows): the description, figure, rows, curves and verdicts.

    A row is (panel, setting, series, x, seed, value), of spurious misclassification in percent, or with a metric in front.
    """

    def make(text="", rows=(), metrics=(METRIC,)):
        (tmp_path / "study.toml").write_text(f"{HEAD}metrics = {list(metrics)}\n{text}", encoding="utf-8")
        with (tmp_path / "one.csv").open("w", encoding="utf-8", newline="") as file:
            full = [row if len(row) == 7 else (METRIC, *row) for row in rows]
            written = [("one", *row[1:6], row[0], row[6]) for row in full]
            csv.writer(file).writerows([COLUMNS, *written])
        description = read_description(tmp_path / "study.toml")
        figure, read = description.figures[0], read_tidy(tmp_path / "one.csv", "one")
        curves = curves_of(read, description.is_percent)
        found = verdicts(figure, curves, description)
        return SimpleNamespace(description=description, figure=figure, rows=read, curves=curves, verdicts=found)

    return make


def compare(kind, **words):
    words = {"kind": kind, "metric": METRIC, "says": "it is so", **words}
    return "compare = [{" + ", ".join(f"{key} = {value!r}" for key, value in words.items()) + "}]"
