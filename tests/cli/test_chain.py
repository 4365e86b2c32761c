"""The chain as a user types it: stages joined only by files and pipes."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_five_lines_without_repeating_a_flag(spurcli, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    assert spurcli("prune", "--fraction", "0.1", "--per-class").code == 0
    trained = spurcli("train", "--json")
    assert trained.code == 0
    assert trained.json["num_kept"] < trained.json["num_train"] == 300
    evaluated = spurcli("evaluate", "--json")
    assert evaluated.code == 0
    assert evaluated.json["num_samples"] == 200
    assert spurcli("report").code == 0
    names = {path.name for path in Path().iterdir()}
    assert names == {
        "scores.h5", "keep.txt", "model.safetensors", "history.json", "evaluation.json", "predictions.h5", "report.html",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["", "inject", "score", "prune", "train", "evaluate", "report"])
def test_help_never_imports_torch(spurcli_process, command):
    result = spurcli_process(*filter(None, [command]), "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0
    assert "Usage: spurcli" in result.out
    assert "| torch" not in result.err
