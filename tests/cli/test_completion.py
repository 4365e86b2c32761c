"""Shell completion: names of parts after their options, without importing what computes."""

from __future__ import annotations

import importlib

import pytest

from spurcli.cli.completion import _LISTS, completes
from spurcli.comparing.request import CompareRequest
from spurcli.recipes import names as recipe_names
from spurcli.registries import METHODS
from spurcli.requests.options import fields_of
from spurcli.requests.train import TrainRequest


def of(what: str, incomplete: str = "") -> list[str]:
    complete = completes(what)
    assert complete
    return [each if isinstance(each, str) else each[0] for each in complete(incomplete)]


def test_the_shell_is_told_names_without_importing_what_computes(spurcli_process):
    done = spurcli_process(
        _SPURCLI_COMPLETE="complete_bash",
        COMP_WORDS="spurcli train --method ",
        COMP_CWORD="3",
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert done.code == 0, done.err[-500:]
    assert done.out.split() == list(METHODS.entries)
    imported = {line.rpartition("|")[2].strip() for line in done.err.splitlines() if line.startswith("import time:")}
    assert "spurcli.requests.train" in imported
    heavy = {"torch", "torchvision", "transformers", "numpy", "scipy", "h5py", "sklearn", "matplotlib"}
    assert not imported & heavy


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("spurcli tra", ["train"]),
        ("spurcli score --dataset celeba", ["celeba", "celeba-hair"]),
        ("spurcli infer --by mis", ["mistakes"]),
        ("spurcli audit --finder colu", ["columns"]),
        ("spurcli data check water", ["waterbirds"]),
        ("spurcli recipe copy own-text-c", ["own-text-cpu"]),
    ],
)
def test_words_as_bash_hands_them_over(words, found, spurcli_forked):
    done = spurcli_forked(_SPURCLI_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(words.count(" ")))
    assert (done.code, done.out.split(), done.err) == (0, found, "")


def test_an_unknown_command_says_nothing_while_a_shell_completes(spurcli_forked):
    done = spurcli_forked(_SPURCLI_COMPLETE="complete_bash", COMP_WORDS="spurcli foo --da", COMP_CWORD="2")
    assert done.err == ""


def test_of_several_names_the_last_one_is_completed():
    assert of("rules", "last,best-val-m") == ["last,best-val-mean"]
    assert of("methods", "erm,jt") == ["erm,jtt"]


def test_lists_and_words():
    assert of("recipes") == recipe_names()
    assert "folder" not in of("datasets")
    assert of("keep remove", "r") == ["remove"]
    assert completes("") is None


@pytest.mark.parametrize(
    "stage", ["inject", "score", "prune", "train", "evaluate", "infer", "audit", "export", "embed"]
)
def test_what_an_option_completes_is_a_list_that_there_is_or_several_words(stage):
    request = getattr(importlib.import_module(f"spurcli.requests.{stage}"), f"{stage.title()}Request")
    for field in fields_of(request):
        said = field.option.completes
        assert not said or said in _LISTS or " " in said, (stage, field.name)


def test_what_is_typed_most_is_completed():
    said = {
        field.name: field.option.completes for request in (TrainRequest, CompareRequest) for field in fields_of(request)
    }
    expected = {
        "dataset": "datasets",
        "recipe": "recipes",
        "model": "models",
        "method": "methods",
        "select_epoch": "rules",
    }
    assert said | expected == said


def test_the_script_of_a_shell_is_shown(spurcli_process):
    # Without this variable Typer takes no name and looks at the parent processes, where CI has a plain sh.
    done = spurcli_process("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.code == 0, done.err
    assert "_SPURCLI_COMPLETE=complete_bash" in done.out
