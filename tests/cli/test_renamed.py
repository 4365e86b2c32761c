"""Old names of flags: they work for one release, and appear nowhere but in their table."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer

from spurcli.artifacts.indices import read_list_header
from spurcli.cli.app import COMMANDS
from spurcli.cli.renamed import RENAMED, with_new_names

ROOT = Path(__file__).parent.parent.parent
EVERY = [(command, old, new) for command, flags in RENAMED.items() for old, new in flags.items()]
TEXTS = {".cfg", ".md", ".py", ".sh", ".smk", ".toml", ".yaml", ".yml", ""}


def flags_of(command: str) -> set[str]:
    found = typer.main.get_command(importlib.import_module(f"spurcli.cli.{command}").app)
    return {flag for param in found.params for flag in param.opts}


@pytest.mark.parametrize(("command", "old", "new"), EVERY)
def test_old_names_are_read_as_the_new_ones(command, old, new):
    assert old not in flags_of(command)
    assert new in flags_of(command)
    assert with_new_names([command, "x", old, "y"]) == ([command, "x", new, "y"], {old: new})
    assert with_new_names([command, f"{old}={old}"]) == ([command, f"{new}={old}"], {old: new})


def test_other_commands_and_words_are_left_alone():
    words = ["prune", "--score", "loss", "--group", "auto", "--match-groups"]
    assert with_new_names(words) == (words, {})
    assert with_new_names([]) == ([], {})


def test_an_old_name_works_and_the_new_one_is_said_and_recorded(in_tiny_run, tmp_path):
    tmp_path.joinpath("groups.txt").write_text("left\nright\n" * 150)
    done = in_tiny_run("prune", "--groups", "groups.txt", "--group", "left", "--fraction", "0.1", "-o", "left.txt")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "--groups" in line]
    assert "--group-labels" in line
    command = read_list_header(tmp_path / "left.txt")["provenance"]["command"]
    assert "--group-labels groups.txt" in command


def test_old_names_stand_nowhere_else():
    only_old = {old for _, old, _ in EVERY} - {flag for command in COMMANDS for flag in flags_of(command)}
    patterns = [rf"(?<![\w-]){old}(?![\w-])" for old in sorted(only_old)]
    patterns += [
        rf"(spurcli |`|}} ){command} [^|`,;]*(?<![\w-]){old}(?![\w-])"
        for command, old, _ in EVERY
        if old not in only_old
    ]
    places = [
        ROOT / "README.md",
        *(path for part in ("docs", "examples", "spurcli", "benchmarks", "tests") for path in (ROOT / part).rglob("*")),
    ]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in places
        if path.is_file() and path.suffix in TEXTS and path.name not in ("renamed.py", "test_renamed.py")
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if any(re.search(pattern, line) for pattern in patterns)
        and "cost" not in path.name + line  # the benchmark's own option
    ]
    assert found == []
