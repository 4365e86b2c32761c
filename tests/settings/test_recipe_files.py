"""A recipe file that names data and model is all that a command needs; what it may not vouch for, and what contradicts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spurcli import configure
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.comparing.request import CompareRequest
from spurcli.comparing.running import study_of
from spurcli.errors import InputError, UsageError
from spurcli.recipes import read_recipe
from spurcli.requests.score_words import words_of_lineage

PARTS = """
from torch import nn
from spurcli.datasets.demo import load as demo

def load(*, data_root, num_train=200):
    return demo(data_root=data_root, num_train=num_train, num_val=60, num_test=60)

def net(*, num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(256, num_classes))
"""
RECIPE = """
[dataset]
name = "parts.py:load"
options = { num_train = 150 }
[model]
name = "parts.py:net"
[preprocessing]
mean = [0.5]
std = [0.5]
[training]
epochs = 1
batch_size = 64
learning_rate = 0.05
[scoring]
epoch = 1
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    Path("parts.py").write_text(PARTS)
    Path("mine.toml").write_text(RECIPE)


def parent(**keywords):
    return configure(**keywords).to_json()


def test_a_recipe_file_names_data_and_model_for_every_stage(spurcli):
    mine = ("--recipe", "mine.toml")
    for words in (
        ("data", "check", *mine),
        ("inject", *mine, "--feature", "patch", "--class", "3", "--fraction", "0.5"),
        ("score", *mine),
        ("data", "check", "inject.json", *mine),
        ("prune", "--fraction", "0.1", "--per-class"),
        ("train", *mine),
        ("infer", "--by", "mistakes", *mine),
        ("evaluate", *mine),
        ("audit", *mine, "--finder", "mistakes"),
        ("export", "keep.txt", "--as", "csv", *mine),
        ("compare", *mine, "--arms", "prune:0.1", "--no-controls", "--seeds", "1,"),
        ("canary", *mine, "--dry-run"),
    ):
        done = spurcli(*words)
        assert done.code == 0, (words, done.err)
    made = read_checkpoint_metadata(Path("study/seed1/prune-0.1/model.safetensors"))["provenance"]["settings"]
    assert (made["dataset"]["name"], made["dataset"]["options"]) == ("parts.py:load", {"num_train": 150})


def test_a_file_that_only_names_the_recipe_vouches_for_nothing():
    inherited = parent(recipe="mine.toml")
    with pytest.raises(InputError, match=r"your own dataset parts\.py:load; code is never run because a file names it"):
        configure(inherited=inherited, inherited_from="keep.txt")
    with pytest.raises(InputError, match=r"--dataset parts\.py:load, or the recipe that names it: --recipe mine\.toml"):
        configure(inherited=inherited, inherited_from="keep.txt")
    assert configure(inherited=inherited, inherited_from="keep.txt", recipe="mine.toml").model.name == "parts.py:net"


def test_a_recipe_vouches_for_files_of_code_and_for_no_function_of_a_library():
    for name in ("subprocess:run", "other.parts:net"):
        Path("mine.toml").write_text(RECIPE.replace("parts.py:net", name))
        with pytest.raises(InputError, match=f"--model {name}"):
            configure(recipe="mine.toml")
        assert configure(recipe="mine.toml", model=name).model.name == name


def test_a_recipe_vouches_only_for_the_part_that_it_names():
    inherited = parent(recipe="mine.toml")
    Path("other.toml").write_text(RECIPE.replace("parts.py:load", "demo").replace("{ num_train = 150 }", "{}"))
    with pytest.raises(
        InputError, match=r"keep\.txt was made with parts\.py:load, but the recipe other\.toml names demo"
    ):
        configure(inherited=inherited, inherited_from="keep.txt", recipe="other.toml")
    Path("model.toml").write_text(RECIPE[RECIPE.index("[model]") :])
    with pytest.raises(InputError, match=r"--dataset parts\.py:load"):
        configure(inherited=inherited, inherited_from="keep.txt", recipe="model.toml")
    assert configure("demo", recipe="mine.toml").dataset.name == "demo"
    assert configure(recipe="mine.toml", model="small_cnn").model.name == "small_cnn"


@pytest.mark.parametrize("name", ["demo", "folder"])
def test_a_recipe_that_names_no_data_of_its_own_takes_those_of_the_list(name):
    inherited = parent(dataset="demo")
    text = (Path(read_recipe.__globals__["__file__"]).parent / "own-images-cpu.toml").read_text()
    Path("copy.toml").write_text(text.replace('name = "folder"', f'name = "{name}"'))
    assert configure(inherited=inherited, inherited_from="keep.txt", recipe="copy.toml").dataset.name == "demo"


def test_a_recipe_of_other_data_than_the_lists_is_refused_with_the_flag_that_settles_it():
    for name in ("one", "two"):
        Path(f"{name}.csv").write_text("text,label\n" + "".join(f"{name} {n},{'ab'[n % 2]}\n" for n in range(20)))
    text = (Path(read_recipe.__globals__["__file__"]).parent / "own-text-cpu.toml").read_text()
    assert 'name = "table"' in text
    Path("two.toml").write_text(text.replace('name = "table"', 'name = "two.csv"'))
    inherited = parent(dataset="one.csv", recipe="own-text-cpu")
    with pytest.raises(
        InputError, match=r"made with one\.csv, but the recipe two\.toml names two\.csv\n.*--dataset one\.csv"
    ):
        configure(inherited=inherited, inherited_from="keep.txt", recipe="two.toml")
    found = configure("one.csv", inherited=inherited, inherited_from="keep.txt", recipe="two.toml")
    assert found.dataset.options["path"] == "one.csv"


def test_a_recipe_typed_as_something_else_is_said(spurcli):
    with pytest.raises(UsageError, match=r"mine\.toml is a recipe, not a data set\nWrite --recipe mine\.toml"):
        configure("mine.toml")
    assert "Did you mean --recipe mine.toml?" in spurcli("train", "mine.toml").err
    assert "Name one: spurcli data check photos/" in spurcli("data", "check").err


def test_how_a_recipe_file_says_to_compute_holds_for_what_its_files_hand_down(tmp_path, monkeypatch):
    Path("mine.toml").write_text(RECIPE.replace("epochs = 1", 'epochs = 1\nprecision = "bf16"'))
    inherited = parent(recipe="mine.toml")
    again = {"inherited": inherited, "dataset": "parts.py:load", "model": "parts.py:net"}
    assert configure(inherited_from="keep.txt", **again).training.precision == "bf16"
    assert (
        configure(inherited_from="keep.txt", overrides={"training.precision": "float32"}, **again).training.precision
        == "float32"
    )
    Path("sub").mkdir()
    Path("keep.txt").touch()
    monkeypatch.chdir("sub")
    Path("parts.py").write_text(PARTS)
    assert configure(inherited_from="../keep.txt", **again).training.precision == "bf16"
    assert configure(inherited_from="keep.txt", **again).training.precision == "float32"  # nobody knows where it is


def test_own_code_of_a_recipe_is_named_to_every_reader_of_a_study():
    study = study_of(CompareRequest(recipe="mine.toml", arms="erm,prune:0.1", seeds="1,", controls=False))
    readers = [step for step in study.steps if step.stage in ("score", "evaluate")]
    assert readers
    assert all(step.request.model == "parts.py:net" and step.request.dataset == "parts.py:load" for step in readers)


def test_the_score_command_of_an_audit_may_name_data_by_a_recipe():
    line = ["spurcli", "score", "--recipe", "mine.toml", "-o", "scores.h5"]
    assert words_of_lineage([line]) == []  # it names code, which a file must not suggest to run
    Path("mine.toml").write_text(RECIPE.replace("parts.py:load", "demo").replace("parts.py:net", "mlp"))
    assert words_of_lineage([line]) == ["--recipe", "mine.toml"]
    assert words_of_lineage([[*line[:3], "gone.toml"]]) == []
