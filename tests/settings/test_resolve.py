"""resolve: recipe < inherited < flags, every key and value checked, and nothing else looked at."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli import recipes
from spurcli.errors import InputError, UsageError
from spurcli.settings import TABLES, DatasetSettings, InjectionSettings, from_table, resolve, same_dataset

RECIPE: dict[str, Any] = {
    "summary": "for tests",
    "dataset": {"name": "demo", "options": {"num_train": 100}},
    "model": {"name": "mlp", "options": {"hidden": [8]}},
    "preprocessing": {"mean": [0.5], "std": [0.25]},
    "training": {"epochs": 3, "batch_size": 10, "learning_rate": 0.1},
    "scoring": {"epoch": 2},
}


def resolved(flags=None, inherited=None, recipe=None):
    return resolve(flags or {}, inherited, recipe or RECIPE, "mine")


def test_flags_over_inherited_over_recipe_over_defaults():
    inherited = {"training": {"epochs": 5, "batch_size": 20}}
    found = resolved({"training": {"epochs": 7}}, inherited)
    assert found.training.epochs == 7
    assert found.training.batch_size == 20
    assert found.training.learning_rate == 0.1
    assert found.training.momentum == 0.9
    assert resolved().training.epochs == 3
    assert found.method.name == "erm"
    assert found.recipe == "mine"


def test_what_is_never_inherited():
    parent = resolved(
        {
            "seed": 9,
            "device": "cuda:1",
            "data_root": Path("/elsewhere"),
            "num_workers": 7,
            "training": {"precision": "bf16", "compile": True, "save_seconds": 1.0, "momentum": 0.5},
            "scoring": {"precision": "fp16", "epoch": 11, "view": "augmented"},
        }
    )
    found = resolved(inherited=parent.to_json())
    assert (found.seed, found.device, found.data_root, found.num_workers) == (0, "auto", Path("data"), 2)
    assert (found.training.precision, found.training.compile, found.training.save_seconds) == ("float32", False, 30.0)
    assert (found.scoring.precision, found.scoring.epoch) == ("float32", 2)
    # all else is
    assert (found.training.momentum, found.scoring.view) == (0.5, "augmented")


def test_what_is_stored_gives_the_same_settings_again():
    first = resolved({"model": {"options": {"hidden": [4, 4]}}, "training": {"milestones": [1, 2], "schedule": "step"}})
    stored = json.loads(json.dumps(first.to_json()))
    assert resolve({}, stored, RECIPE, "mine") == first
    assert resolve({"scoring": {"epoch": 2}}, stored, {}, "mine") == first


def test_options_belong_to_the_part_they_were_written_for():
    assert resolved({"model": {"name": "small_cnn"}}).model.options == {}
    assert resolved({"model": {"name": "mlp"}}).model.options == {"hidden": [8]}
    assert resolved({"model": {"options": {"dropout": 0.1}}}).model.options == {"hidden": [8], "dropout": 0.1}
    both = {"model": {"options": {"width": 4}, "name": "small_cnn"}}
    assert resolved(both).model.options == {"width": 4}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"trainin": {"epochs": 1}}, "Unknown setting trainin, did you mean training"),
        ({"training": {"epoch": 1}}, r"Unknown setting training\.epoch, did you mean epochs"),
        ({"training": {"zzz": 1}}, r"Unknown setting training\.zzz\n\[training\] has: epochs, batch_size"),
        ({"training": {"epochs": 1.5}}, r"training\.epochs = '1\.5' is not of the kind int"),
        ({"training": {"epochs": True}}, "is not of the kind int"),
        ({"training": {"epochs": None}}, "is not of the kind int"),
        ({"training": {"epochs": {"x": 1}}}, "is not of the kind int"),
        ({"training": {"epochs": 0}}, r"training\.epochs = 0 is below 1"),
        ({"training": {"epochs": 10**30}}, "beyond 64 bits"),
        ({"training": {"learning_rate": "0.1"}}, "is not of the kind float"),
        ({"training": {"learning_rate": False}}, "is not of the kind float"),
        ({"training": {"learning_rate": 0}}, "is not above 0"),
        ({"training": {"learning_rate": 10**400}}, "beyond 64 bits"),
        ({"training": {"weight_decay": float("nan")}}, "is not a finite number"),
        ({"training": {"weight_decay": -1e-4}}, "is below 0"),
        ({"training": {"compile": 1}}, "is not of the kind bool"),
        ({"training": {"optimizer": "sdg"}}, r"optimizer = 'sdg', did you mean sgd\?\nChoose from: sgd, adam, adamw"),
        ({"training": {"milestones": 5}}, "is not of the kind list"),
        ({"training": {"milestones": [1.5]}}, "is not of the kind int"),
        ({"preprocessing": {"mean": 0.5}}, "is not of the kind list"),
        ({"preprocessing": {"mean": [0.1, 0.2]}}, "one value per channel"),
        ({"preprocessing": {"std": [0.0]}}, "std above 0"),
        ({"preprocessing": {"image_size": 0}}, "is below 1"),
        ({"scoring": {"view": "train"}}, "Choose from: eval, augmented"),
        ({"model": {"options": 5}}, "is not of the kind table"),
        ({"model": {"options": {"when": date(2020, 1, 1)}}}, r"model\.options\.when = 2020-01-01 is a date"),
        ({"model": {"options": {"a": [{"b": float("inf")}]}}}, r"model\.options\.a\.b = inf is not a finite"),
        ({"model": {"name": 5}}, "is not of the kind str"),
        ({"dataset": {"injection": 5}}, "is not of the kind table"),
        ({"dataset": {"injection": {"file": "x"}}}, r"Setting dataset\.injection\.sha256 is not given"),
        ({"seed": -1}, "seed = -1 is below 0"),
        ({"seed": 2**63}, "beyond 64 bits"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(flags, words):
    with pytest.raises(UsageError, match=words):
        resolved(flags)


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ({"trainig": {}}, r"Recipe 'mine' has an unknown table \[trainig\], did you mean training"),
        ({"training": 5}, "training = '5' is not a table"),
        ({"training": {"epochs": "x"}}, "is not of the kind int"),
    ],
)
def test_wrong_recipes_are_named(recipe, words):
    with pytest.raises(UsageError, match=words):
        resolved(recipe={**RECIPE, **recipe})


def test_what_a_recipe_leaves_out_is_asked_for():
    recipe = {**RECIPE, "training": {"epochs": 3, "batch_size": 10}}
    with pytest.raises(UsageError, match=r"training\.learning_rate.*\n.*--set training\.learning_rate"):
        resolved(recipe=recipe)


@pytest.mark.parametrize(("table", "flag"), [("dataset", "--dataset"), ("model", "--model"), ("method", "--method")])
@pytest.mark.parametrize("name", ["evil.py:load", "dir/evil.py:load", "package.module:attr"])
@pytest.mark.parametrize("source", ["recipe", "inherited"])
def test_user_code_that_only_a_file_names_is_refused_with_the_flag_to_type(table, flag, name, source):
    entry = {table: {"name": name, "options": {"a": 1}}}
    arguments = {"recipe": {**RECIPE, **entry}} if source == "recipe" else {"inherited": entry}
    with pytest.raises(InputError) as caught:
        resolved(**arguments)
    assert caught.value.hint == f"If you trust it, name it again: {flag} {name}"
    with pytest.raises(InputError):  # options alone vouch for nothing
        resolved({table: {"options": {"a": 1}}}, **arguments)
    found = resolved({table: {"name": name}}, **arguments)
    assert getattr(found, table).options == {"a": 1}


def test_user_features_and_injected_user_data_are_refused_too():
    injection = {"file": "inject.json", "sha256": "ab", "feature": "mine.py:glow"}
    inherited = {"dataset": {"name": "demo", "injection": injection}}
    with pytest.raises(InputError, match=r"--feature mine\.py:glow"):
        resolved(inherited=inherited)
    assert resolved({"feature": "mine.py:glow"}, inherited).dataset.injection == InjectionSettings(**injection)
    inherited = {"dataset": {"name": "own.py:load", "injection": {**injection, "feature": "line"}}}
    with pytest.raises(InputError, match=r"--set dataset\.name=own\.py:load"):
        resolved(inherited=inherited)


VALUES = st.fixed_dictionaries(
    {},
    optional={
        "training": st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(1, 200),
                "learning_rate": st.floats(1e-6, 10),
                "milestones": st.lists(st.integers(1, 99), max_size=3),
            },
        ),
        "scoring": st.fixed_dictionaries({}, optional={"epoch": st.integers(0, 9), "batch_size": st.integers(1, 9)}),
        "model": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["mlp", "small_cnn"]),
                "options": st.dictionaries(st.text(), st.integers(-9, 9)),
            },
        ),
    },
)


@settings(max_examples=60, deadline=None)
@given(flags=VALUES, inherited=st.none() | VALUES, recipe=VALUES)
def test_resolve_is_pure_and_the_last_word_wins(flags, inherited, recipe):
    whole = {**RECIPE, **{name: {**RECIPE[name], **table} for name, table in recipe.items()}}
    arguments = (flags, inherited, whole, "mine")
    before = copy.deepcopy(arguments)
    first = resolve(*arguments)
    assert arguments == before
    assert resolve(*arguments) == first
    for table in ("training", "scoring"):
        for key in ("epochs", "learning_rate", "batch_size", "epoch", "milestones"):
            layers = [flags, inherited or {}, whole]
            if (table, key) == ("scoring", "epoch"):
                layers.pop(1)  # never inherited
            said = [layer[table][key] for layer in layers if key in layer.get(table, {})]
            if said:
                value = getattr(getattr(first, table), key)
                assert (list(value) if isinstance(value, tuple) else value) == said[0]


def test_nothing_of_the_machine_is_stored():
    flags = {
        "data_root": Path("/home/me/data"),
        "device": "cuda:3",
        "model": {
            "name": "/home/me/net.py:build",
            "options": {"weights": "/home/me/w.pth", "list": ["/home/me/x", "y"]},
        },
        "dataset": {"options": {"separator": "/", "folder": "~/pictures"}},
    }
    stored = resolve(flags, None, RECIPE, "/home/me/my.toml").to_json()
    assert "home" not in json.dumps(stored)
    assert "cuda" not in json.dumps(stored)
    assert stored["recipe"] == "my.toml"
    assert stored["model"] == {"name": "net.py:build", "options": {"weights": "w.pth", "list": ["x", "y"]}}
    assert stored["dataset"]["options"] == {"num_train": 100, "separator": "/", "folder": "pictures"}


def test_where_files_lie_does_not_make_another_data_set():
    def dataset(name, folder, **injection):
        return from_table(DatasetSettings, {"name": name, "options": {"folder": folder}, **injection}, "dataset")

    assert same_dataset(dataset("/a/x.py:load", "/a/b"), dataset("x.py:load", "b"))
    assert not same_dataset(dataset("x.py:load", "c"), dataset("x.py:load", "b"))
    one, other = ({"injection": {"file": file, "sha256": sha}} for file, sha in (("a.json", "1"), ("b.json", "2")))
    assert same_dataset(dataset("d", "f", **one), dataset("d", "f", injection={"file": "else.json", "sha256": "1"}))
    assert not same_dataset(dataset("d", "f", **one), dataset("d", "f", **other))
    assert not same_dataset(dataset("d", "f", **one), dataset("d", "f"))


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_resolves_from_itself_alone(name):
    found = resolve({}, None, recipes.read_recipe(name), name)
    assert set(found.to_json()) == {"recipe", "seed", *TABLES}
