"""The chain as a user types it: stages joined only by files and pipes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from spurcli.cli.app import COMMANDS, app


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
def test_help_imports_neither_torch_nor_a_reader_of_markdown(spurcli_process, command):
    result = spurcli_process(*filter(None, [command]), "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0
    assert "Usage: spurcli" in result.out
    assert "rich.console" in result.err
    for module in ("torch", "markdown_it", "pygments"):
        assert not re.search(rf"\| +{module}\b", result.err), module


@pytest.mark.parametrize("command", COMMANDS)
def test_the_list_of_commands_says_what_their_help_says(command):
    group = typer.main.get_command(app)
    context = typer.Context(group)
    listed = COMMANDS[command][1]
    assert group.get_command(context, command).help.partition("\n\n")[0].strip() == listed


def test_a_chain_of_absolute_paths_from_another_folder_for_each_stage(spurcli, tiny_flags, tmp_path, monkeypatch):
    """As `spurcli demo -o /absolute/folder` does: data beside the scores, models one folder below."""
    of_data, of_training = tiny_flags[:6], tiny_flags[6:]
    out = tmp_path / "out"
    for number, words in enumerate((
        ["inject", "--dataset", "demo", "--class", "3", "--fraction", "0.3", "--feature", "patch", *of_data,
         "-o", out / "inject.json"],
        ["score", "--dataset", out / "inject.json", *of_training, "-o", out / "scores.h5"],
        ["prune", out / "scores.h5", "--fraction", "0.1", "--per-class", "-o", out / "keep.txt"],
        ["train", "--keep", out / "keep.txt", "-o", out / "pruned/model.safetensors"],
        ["train", "--dataset", out / "inject.json", *of_training, "-o", out / "all/model.safetensors"],
        ["evaluate", out / "pruned/model.safetensors", "-o", out / "pruned/evaluation.json"],
        ["evaluate", "../out/all/model.safetensors", "-o", out / "all/evaluation.json"],
        ["report", out, "-o", out / "report.html"],
    )):  # fmt: skip
        (tmp_path / f"here{number}").mkdir()
        monkeypatch.chdir(tmp_path / f"here{number}")
        done = spurcli(*words)
        assert done.code == 0, (words[0], done.err)
        assert not list(Path().iterdir())
    assert "Not shown: its inject.json" not in (out / "report.html").read_text(encoding="utf-8")
    monkeypatch.chdir(out)  # the same run, its files named from here
    again = spurcli("train", "--keep", "keep.txt", "-o", "pruned/model.safetensors")
    assert (again.code, "already complete" in again.err) == (0, True)
