"""What people see of an evaluation."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import numpy as np
import pytest

from spurcli.cli import console, tables
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.metrics import compute


@pytest.mark.parametrize(
    ("classes", "counts", "says"),
    [
        (("f", "m"), (5000, 0, 2500, 2500), "conflict accuracy (f/yes)"),
        (("l", "w"), (3498, 184, 56, 1057), "conflict accuracy (l/yes, w/no)"),
        (("c", "e", "n", "o"), (50, 40, 60, 1, 60, 1, 60, 1), "conflict accuracy (3 groups)"),
    ],
)
def test_metrics_say_what_they_are_about(monkeypatch, classes, counts, says):
    group = np.arange(240) % len(counts)
    label = group // 2
    logits = np.eye(len(classes), dtype=np.float32)[label]
    names = [f"{y}/{a}" for y in classes for a in ("no", "yes")]
    found = compute(Evaluated(logits, label, classes, group, names, np.array(counts)))
    monkeypatch.setenv("COLUMNS", "120")
    console.console.cache_clear()
    with redirect_stderr(io.StringIO()) as shown:
        tables.metrics_table({"split": "test", "num_samples": 240, **found})
    console.console.cache_clear()
    assert says in shown.getvalue()
    assert "worst group accuracy" in shown.getvalue()
