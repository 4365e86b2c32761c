"""The stages as Python functions: the options of the commands, the same files, the same errors, no output."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import spurcli as package
from spurcli import api
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.indices import read_list_header
from spurcli.errors import InputError, UsageError
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.options import command_of, fields_of, parse_sets
from spurcli.requests.prune import PruneRequest
from spurcli.requests.report import ReportRequest
from spurcli.requests.train import TrainRequest, chosen_list, epochs_and_rules

STAGES = ("inject", "score", "prune", "train", "evaluate", "report", "infer", "export")


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_are_the_options_of_the_command(stage):
    command = typer.main.get_command(importlib.import_module(f"spurcli.cli.{stage}").app)
    options = {param.name: param for param in command.params}
    parameters = inspect.signature(getattr(package, stage)).parameters
    assert set(options) - {"as_json", "debug"} == set(parameters) - {"progress"}
    for name, param in options.items():
        if name in parameters and not param.multiple and param.nargs == 1:
            assert param.default == parameters[name].default, name
    flags = {name: {flag.lstrip("-").replace("-", "_") for flag in param.opts} for name, param in options.items()}
    assert {name for name in parameters if name != "progress" and name not in flags[name]} <= {
        "class_name",
        "format",
    }  # --class and --as are words of Python


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_every_parameter(stage):
    function = getattr(package, stage)
    assert function.__name__ == stage
    assert all(f"    {name}: " in function.__doc__ for name in inspect.signature(function).parameters)


def test_the_package_says_what_it_has():
    assert {*STAGES, "configure", "load_dataset", "el2n", "__version__"} <= set(dir(package))
    assert package.__version__[0].isdecimal()
    code = (
        "import sys, spurcli; heavy = {'numpy', 'torch', 'h5py', 'typer', 'rich'}; assert not heavy & set(sys.modules);"
        "spurcli.train, spurcli.prune; assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def python_run(tmp_path, monkeypatch, tiny):
    """A folder in which `score`, `prune` and `train` were called from Python with standard names."""
    monkeypatch.chdir(tmp_path)
    package.score(dataset="demo", set=tiny, seed=1)
    package.prune(fraction=0.1, per_class=True)
    package.train(set={"training.epochs": 1}, seed=1)
    return tmp_path


def test_a_chain_gives_the_files_of_the_commands_and_prints_nothing(python_run, spurcli, tiny_flags, capfd):
    result = package.evaluate("model.safetensors", output=Path("python.json"))
    page = package.report([Path("python.json")], output="python.html", title="From Python", pictures=False)
    assert capfd.readouterr() == ("", "")
    assert 0 <= result["metrics"]["accuracy"]["value"] <= 1
    assert page["output"] == "python.html"
    command = read_list_header(Path("keep.txt"))["provenance"]["command"]
    assert command == "spurcli prune --fraction 0.1 --per-class"
    assert read_checkpoint_metadata(Path("model.safetensors"))["provenance"]["command"] == (
        "spurcli train --set training.epochs=1 --seed 1"
    )

    # the same by the commands: nothing is left to do for score and train, and the list is the same
    assert "already complete" in spurcli("score", "--dataset", "demo", *tiny_flags, "--seed", "1").err
    kept = Path("keep.txt").read_text()
    assert spurcli("prune", "--fraction", "0.1", "--per-class").code == 0
    assert Path("keep.txt").read_text() == kept
    assert "already complete" in spurcli("train", "--set", "training.epochs=1", "--seed", "1").err


def test_standard_names_progress_and_errors(python_run, capfd):
    assert package.infer("model.safetensors", by="mistakes", save_errors="errors.txt")["num_errors"] > 0
    assert package.evaluate(progress=True)["split"] == "test"
    assert "Reading model.safetensors" in capfd.readouterr().err
    with pytest.raises(UsageError, match="--keep and --remove"):
        package.train(keep="keep.txt", remove="keep.txt")
    with pytest.raises(InputError, match=r"nowhere\.h5"):
        package.prune("nowhere.h5", fraction=0.1)
    with pytest.raises(UsageError, match="Name a file"):
        package.prune("-", fraction=0.1)
    with pytest.raises(TypeError, match=r"train\(\) has no parameter 'epochs'"):
        package.train(epochs=3)


def test_settings_first_still_works_with_a_warning(tmp_path, tiny):
    settings = package.configure("demo", overrides=tiny)
    with pytest.warns(DeprecationWarning, match=r"spurcli\.stages\.inject\.inject"):
        package.inject(settings, feature="patch", class_name="3", count=5, output=tmp_path / "inject.json")
    assert json.loads(tmp_path.joinpath("inject.json").read_text())["feature"] == "patch"


@pytest.mark.parametrize(
    ("stage", "request_", "words"),
    [
        (
            "prune",
            PruneRequest(["a.h5", Path("b.h5")], group=["x", "y"], fraction="0.5"),
            "a.h5 b.h5 --fraction 0.5 --group x --group y",
        ),
        ("prune", PruneRequest("a.h5", group="auto"), "a.h5 --group auto"),
        ("train", TrainRequest(save_epochs=[1, "last"], same_steps=True), "--same-steps --save-epochs 1,last"),
        (
            "train",
            TrainRequest(set={"a.b": [1], "a.c": "true", "a.d": "x y"}),
            "--set 'a.b=[1]' --set 'a.c=\"true\"' --set 'a.d=x y'",
        ),
        ("train", TrainRequest(keep="/home/me/keep.txt", data_root="/data"), "--keep keep.txt"),
        ("evaluate", EvaluateRequest("m.safetensors", split="val"), "m.safetensors --split val"),
        ("report", ReportRequest(pictures=False, note="one remark"), "--note 'one remark' --no-pictures"),
    ],
)
def test_the_recorded_command_asks_for_the_same(stage, request_, words):
    assert command_of(stage, request_) == f"spurcli {stage} {words}"


def test_which_list_is_meant():
    def chosen(keep=None, remove=None, here=""):
        return chosen_list(keep, remove, has_keep="k" in here, has_remove="r" in here)

    assert chosen() == chosen(here="k") == (None, "keep")
    assert chosen(here="r") == (None, "remove")
    assert chosen(keep="all", here="kr") == ("all", "keep")
    assert chosen(remove="x.txt", here="kr") == ("x.txt", "remove")
    for contradiction in ({"keep": "a", "remove": "b"}, {"here": "kr"}):
        with pytest.raises(UsageError):
            chosen(**contradiction)


def test_values_as_python_has_them():
    assert epochs_and_rules("1, 2,last") == epochs_and_rules([1, 2, "last"]) == (1, 2, "last")
    assert epochs_and_rules(3) == (3,)
    assert epochs_and_rules("") == epochs_and_rules([]) == ()
    assert parse_sets({"training.epochs": 3}) == parse_sets(["training.epochs=3"]) == parse_sets("training.epochs=3")
    with pytest.raises(UsageError, match="KEY=VALUE"):
        parse_sets("training.epochs")
    assert [field.name for field in fields_of(PruneRequest)][:2] == ["scores", "fraction"]
    assert api.train is package.train
