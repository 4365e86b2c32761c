"""Names come from anywhere: what looks like markup of the terminal or of HTML is shown as it is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from spurcli.errors import InputError

LABELS = ["[/x]", '<b>&"', "[red]é 中"]
ATTRIBUTES = ["[/bold]", "{{x}}"]
CONTROL = r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"  # all but the end of a line
QUICK = ("--recipe", "own-text-cpu", "--set", "training.epochs=1", "--set", "model.options.width=8")


def test_names_that_look_like_markup(spurcli):
    rows = [
        (f"w{row % 3} <script>alert(1)</script> [/i]", LABELS[row % 3], ATTRIBUTES[row // 3 % 2], "train" if row % 4 else "[/s]")
        for row in range(72)
    ]  # fmt: skip
    with Path("[t].csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("text", "label", "attribute", "split"), *rows])
    looked = spurcli("data", "check", "[t].csv")
    assert looked.code == 0, looked.err
    for name in ("[t].csv: samples", "[/s]", *(f"{label}/{attribute}" for label in LABELS for attribute in ATTRIBUTES)):
        assert name in looked.out
    assert spurcli("score", "--dataset", "[t].csv", *QUICK, "--epoch", "1").code == 0
    pruned = spurcli("prune", "--fraction", "0.2", "--group", "[/x]/[/bold]")
    assert pruned.code == 0, pruned.err
    assert "[/x]/[/bold]" in pruned.err
    assert spurcli("train").code == 0
    evaluated = spurcli("evaluate", "--split", "[/s]")
    assert evaluated.code == 0, evaluated.err
    assert "Split [/s], 18 samples" in evaluated.err
    assert "[red]é 中/{{x}}" in evaluated.err
    assert spurcli("report").code == 0
    page = Path("report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_names_that_would_steer_the_terminal(spurcli, tmp_path):
    """Neither errors nor tables pass on what a file holds of control characters."""
    (tmp_path / "own.csv").write_text("text,labe\x1bl\nx,a\ny,b\n")
    result = spurcli("data", "check", "own.csv")
    assert result.code == 3
    assert r"It has: text, 'labe\x1bl'. Say which" in result.err
    assert not re.search(CONTROL, result.err)
    (tmp_path / "own.csv").write_text("text,label,split\nx,\x1b[31mred,train\ny,b,train\n")
    result = spurcli("data", "check", "own.csv")
    assert not re.search(CONTROL, result.out + result.err)


def test_a_name_without_end_is_cut(spurcli, tmp_path):
    (tmp_path / "own.csv").write_text(f"text,{'x' * 50_000},label\n{'a,b,c' * 2}\n")
    name = "[" * 5000
    result = spurcli("data", "check", "own.csv", "--set", f"dataset.options.label={name}")
    assert result.code != 0
    assert len(result.err) < 2500
    assert " … " in str(InputError(name, "Hint."))
    assert str(InputError("short", "Hint.")) == "short\nHint."
