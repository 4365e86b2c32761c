"""Imports point one way: cli → stages → what they share → artifacts; and torch stays out where it is not needed."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import spurcli as package

SOURCE = Path(package.__file__).parent
LIBRARIES = {
    "features",
    "scoring",
    "pruning",
    "training",
    "evaluation",
    "reporting",
    "inferring",
    "studies",
    "auditing",
    "embedding",
    "exporting",
}
# Which libraries a library may use: scoring and inferring doubt a foreign model's predictions as evaluation does, inferring trains its
# own short runs, an audit's page looks like a report and its tick sheet is read by inferring, a report says how far scoring runs agree, and reads from the table of metrics how to show them.
MAY_USE = {
    "scoring": {"evaluation"},
    "inferring": {"training", "evaluation"},
    "reporting": {"scoring", "evaluation"},
    "studies": {"reporting"},
    "auditing": {"evaluation", "inferring", "reporting"},
}


def imports() -> dict[str, set[str]]:
    """Room → rooms it imports; a room is a package or a module directly below spurcli/."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("spurcli"):
                names = (
                    [f"{node.module}.{alias.name}" for alias in node.names]
                    if node.module == "spurcli"
                    else [node.module]
                )
                found[room] |= {str(name).split(".")[1] for name in names}
    return {room: rooms - {room} for room, rooms in found.items()}


def test_nothing_below_the_command_line_imports_it():
    assert {room for room, rooms in imports().items() if "cli" in rooms} == {"__main__", "api"}


def test_only_the_command_line_and_the_functions_make_requests():
    assert {room for room, rooms in imports().items() if "requests" in rooms} <= {"cli", "api", "comparing"}


def test_studies_are_planned_above_the_requests():
    """`compare` makes requests as a user would: below it nothing knows of it, and it calls no stage itself."""
    found = imports()
    assert {room for room, rooms in found.items() if "comparing" in rooms} <= {"cli", "api", "demonstration"}
    assert not found["comparing"] & {"cli", "api", "stages"}


def test_no_file_is_longer_than_400_lines():
    assert not [path for path in SOURCE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400]


def test_contributors_are_led_to_functions_that_exist():
    contributing = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = contributing.partition("## Where decisions are made")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+\.py)`((?:[:,] `[\w.]+`)*)", table)
    assert len(named) >= 10
    for module, names in named:
        source = (SOURCE / module).read_text(encoding="utf-8")
        for name in re.findall(r"`(?:\w+\.)?(\w+)`", names):
            assert re.search(rf"^\s*(def|class) {name}\b|^(\w+, )?{name}\b.* = ", source, re.MULTILINE), (module, name)


def test_libraries_use_only_the_libraries_they_are_built_on():
    found = imports()
    assert {room: found[room] & LIBRARIES for room in LIBRARIES if found[room] & LIBRARIES} == MAY_USE


def test_stages_are_called_by_requests_alone():
    """A user's function and the command line come by a request; nothing below knows the stages."""
    assert {room for room, rooms in imports().items() if "stages" in rooms} == {"requests"}


def test_no_two_rooms_import_each_other():
    found = imports()
    assert not [(one, two) for one in found for two in found[one] if one < two and one in found.get(two, ())]


def test_artifacts_know_nothing_of_stages_or_models():
    assert imports()["artifacts"] <= {"errors", "names", "registry", "words"}


@pytest.mark.parametrize(
    "words",
    [
        ("prune", "--fraction", "0.1"),
        ("show", "scores.h5"),
        ("report",),
        ("list",),
        ("recipe", "show", "demo"),
        ("checks", "--without-devices"),
        ("score", "--logits", "logits.npy", "--labels", "labels.npy", "-o", "other.h5"),
    ],
)
def test_without_torch(words, spurcli, spurcli_process, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", *tiny_flags, "--epoch", "0").code == 0
    np.save("logits.npy", np.eye(9, dtype=np.float32))
    np.save("labels.npy", np.arange(9))
    result = spurcli_process(*words, PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0, result.err[-500:]
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines() if line.startswith("import time:")}
    assert "numpy" in imported or words[0] in ("list", "recipe")
    assert not imported & {"torch", "torchvision", "transformers"}


def test_training_needs_no_compiler(spurcli_process, tiny_flags):
    """torch's optimizers import its compiler and sympy, 1.6 s of CPU, for nothing: ours do not."""
    words = ("train", "--keep", "all", "--dataset", "demo", *tiny_flags)
    result = spurcli_process(*words, PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0, result.err[-500:]
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines() if line.startswith("import time:")}
    assert "torch.optim.optimizer" in imported
    assert not imported & {"torch._dynamo", "sympy", "sklearn"}


def test_the_built_in_data_needs_no_scikit_learn(spurcli_process):
    """Its import takes a second: the digits are read from the file that it ships."""
    result = spurcli_process("data", "check", "demo", PYTHONPROFILEIMPORTTIME="1")
    assert result.code == 0, result.err[-500:]
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines() if line.startswith("import time:")}
    assert "numpy" in imported
    assert not imported & {"sklearn", "scipy", "pandas"}
