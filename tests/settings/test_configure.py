"""configure: from names to settings, and the one thing no flag overrides: which samples a file is about."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.injection import Injection, write_injection
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.session import configure, injection_settings
from spurcli.settings import DatasetSettings


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty working folder and no environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)


def injection_file(path, dataset="demo", seed=0, feature="line"):
    from spurcli.artifacts.fingerprint import Fingerprint

    write_injection(
        path, Injection(feature, {}, seed, dataset, {"num_train": 50}, Fingerprint(50), 0, None, np.array([3]), {})
    )
    return path


def parent(**keywords):
    """What a parent file hands down."""
    return json.loads(json.dumps(configure("demo", **keywords).to_json()))


def test_the_recipe_of_the_data_set_is_the_default():
    assert configure("demo").recipe == "demo"
    assert configure("cifar10").recipe == "cifar10"
    assert configure("demo", recipe="cifar10-cpu").dataset == DatasetSettings("demo")
    with pytest.raises(UsageError, match=r"recipe.*own\.py:load.*\n.*--recipe"):
        configure("own.py:load")
    assert configure("own.py:load", recipe="demo").dataset.name == "own.py:load"
    assert configure(recipe="cifar10").dataset.name == "cifar10"


def test_nothing_named():
    with pytest.raises(UsageError, match=r"data set.*\n.*--dataset demo"):
        configure()
    Path("own.toml").write_text("[training]\nepochs = 1\n")
    with pytest.raises(UsageError, match="No data set is named"):
        configure(recipe="own.toml")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"dataset": "dmeo"}, "Unknown data set 'dmeo', did you mean demo"),
        ({"dataset": "demo", "model": "resnet21"}, "Unknown model 'resnet21', did you mean resnet20"),
        ({"dataset": "demo", "method": "er"}, "Unknown training method 'er', did you mean erm"),
        ({"dataset": "demo", "recipe": "dem"}, "No recipe called 'dem', did you mean demo"),
        ({"dataset": "demo", "overrides": {"scorng.epoch": 1}}, "unknown table scorng, did you mean scoring"),
        ({"dataset": "demo", "overrides": {"training.epoch": 1}}, r"training\.epoch, did you mean epochs"),
        ({"dataset": "demo", "overrides": {"epochs": 1}}, "has no table"),
        ({"dataset": "demo", "overrides": {"seed.x": 1}}, "unknown table seed"),
        ({"dataset": "demo", "overrides": {"model.options": 1, "model.options.a": 2}}, "contradicts another --set"),
        ({"dataset": "demo", "overrides": {"dataset.name": "cifar10"}}, "the data set is demo\nName it with --dataset"),
        ({"dataset": "demo", "overrides": {"dataset.injection.file": "x"}}, "does not change the data set"),
        ({"dataset": "demo", "overrides": {"dataset.options": 5}}, "does not change the data set"),
    ],
)
def test_mistakes_are_named_with_what_was_meant(keywords, words):
    with pytest.raises(UsageError, match=words):
        configure(**keywords)


def test_the_data_root_flag_environment_default(monkeypatch):
    assert str(configure("demo").data_root) == "data"
    monkeypatch.setenv("SPURCLI_DATA_ROOT", "/env")
    assert str(configure("demo").data_root) == "/env"
    assert str(configure("demo", data_root="/flag").data_root) == "/flag"


def test_overrides_reach_into_tables_and_beat_flags_of_names():
    found = configure(
        "demo", overrides={"training.epochs": 2, "model.options.hidden": [4], "dataset.options.num_train": 9}
    )
    assert (found.training.epochs, found.model.options["hidden"]) == (2, [4])
    assert found.dataset.options["num_train"] == 9


def test_a_parent_hands_down_all_but_the_run():
    inherited = parent(model="small_cnn", overrides={"training.epochs": 4, "scoring.epoch": 1}, seed=5)
    found = configure(inherited=inherited)
    assert (found.dataset.name, found.model.name, found.training.epochs) == ("demo", "small_cnn", 4)
    assert (found.seed, found.scoring.epoch) == (0, configure("demo").scoring.epoch)
    assert configure("demo", inherited=inherited).training.epochs == 4
    # a recipe that is named replaces what was inherited, but not the data set
    assert (
        configure(inherited=inherited, recipe="cifar10-cpu").training.epochs
        == configure("cifar10", recipe="cifar10-cpu").training.epochs
    )
    assert configure(inherited=inherited, recipe="cifar10-cpu").dataset.name == "demo"


def test_another_data_set_than_the_parents_is_an_error():
    inherited = parent(overrides={"dataset.options.num_train": 50})
    with pytest.raises(InputError, match=r"s\.h5.* demo.* cifar10\n.*--dataset"):
        configure("cifar10", inherited=inherited, inherited_from="s.h5")
    with pytest.raises(InputError, match=r"dataset\.options \{'num_train': 50\}, not \{'num_train': 60\}"):
        configure(inherited=inherited, overrides={"dataset.options.num_train": 60})
    assert (
        configure(inherited=inherited, overrides={"dataset.options.num_train": 50}).dataset.options["num_train"] == 50
    )
    assert configure("demo", inherited=inherited).dataset.options["num_train"] == 50


def test_an_injected_parent_needs_the_same_injection(tmp_path):
    one, other = injection_file(tmp_path / "one.json"), injection_file(tmp_path / "other.json", seed=1)
    inherited = json.loads(json.dumps(configure("one.json", recipe="demo").to_json()))
    found = configure(inherited=inherited)
    assert found.injection_path.samefile(one)
    assert found.dataset.injection.feature == "line"
    assert configure(str(one), inherited=inherited).dataset.injection.sha256 == found.dataset.injection.sha256
    for named, words in (
        (str(other), "not demo injected by other.json"),
        ("demo", "injected by one.json .*with {'num_train': 50}, not demo without an injection with {}"),
    ):
        with pytest.raises(InputError, match=rf"made with demo.*{words}") as caught:
            configure(named, inherited=inherited)
        assert ("--allow-injection-mismatch" in caught.value.hint) == (named != "demo")  # other options are other data
    plain = json.loads(json.dumps(configure("demo", overrides={"dataset.options.num_train": 50}).to_json()))
    with pytest.raises(InputError, match=r"demo without an injection, not demo injected by one\.json"):
        configure("one.json", inherited=plain)
    allowed = configure("other.json", inherited=inherited, allow_injection_mismatch=True)
    assert allowed.injection_path.samefile(other)
    one.unlink()
    with pytest.raises(InputError, match=r"one\.json.*was not found.*\nName it with --dataset path/to/inject\.json"):
        configure(inherited=inherited)


def test_absolute_paths_are_cut_in_what_is_handed_down(tmp_path):
    path = injection_file(tmp_path / "inject.json")
    assert injection_settings(path).injection.file == "inject.json"
    stored = configure("/abs/own.py:load", recipe="demo", overrides={"dataset.options.root": "/abs/pictures"}).to_json()
    assert stored["dataset"] == {"name": "own.py:load", "options": {"root": "pictures"}, "injection": None}
    again = configure("/abs/own.py:load", inherited=stored, overrides={"dataset.options.root": "/abs/pictures"})
    assert (again.dataset.name, again.dataset.options["root"]) == ("/abs/own.py:load", "/abs/pictures")


def test_user_code_behind_an_injection_is_trusted_only_when_named(tmp_path):
    injection_file(tmp_path / "inject.json", dataset="own.py:load")
    with pytest.raises(InputError, match=r"--set dataset\.name=own\.py:load"):
        configure("inject.json", recipe="demo")
    found = configure("inject.json", recipe="demo", overrides={"dataset.name": "own.py:load"})
    assert found.dataset.name == "own.py:load"
    assert found.dataset.injection is not None
    injection_file(tmp_path / "inject.json", feature="own.py:glow")
    with pytest.raises(InputError, match=r"--feature own\.py:glow"):
        configure("inject.json", recipe="demo")
    assert configure("inject.json", recipe="demo", feature="own.py:glow").dataset.injection.feature == "own.py:glow"


def test_options_do_not_vouch_for_user_code():
    """`--set dataset.options.x=1` once made the data set of a parent file look as if the user had named it."""
    inherited = {**parent(), "dataset": {"name": "evil.py:load", "options": {"a": 1}}}
    with pytest.raises(InputError, match=r"--dataset evil\.py:load"):
        configure(inherited=inherited, overrides={"dataset.options.a": 1})
    assert configure("evil.py:load", inherited=inherited).dataset.options == {"a": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"training": 5},
        {"training": {"epochs": "x"}},
        {"training": {"unknown": 1}},
        {"model": []},
        {"model": {"name": None}},
        {"dataset": "demo"},
        {"dataset": {"options": {}}},
        {"dataset": {"name": "demo", "options": 5}},
        {"dataset": {"name": "demo", "injection": "x"}},
        {"dataset": {"name": "demo", "injection": {"file": 5, "sha256": "x"}}},
        {"dataset": {"name": "demo", "injection": {"file": "x" * 5000, "sha256": "x"}}},
        {"dataset": {"name": "demo", "injection": {"file": "\0", "sha256": "x"}}},
        {"recipe": 5},
        {"recipe": "../../etc/passwd", "training": {}},
    ],
)
def test_what_a_hostile_parent_hands_down_is_refused(change):
    with pytest.raises(SpurError) as caught:
        configure(inherited={**parent(), **change}, inherited_from="s.h5")
    assert isinstance(caught.value, InputError) or "recipe" in change
    assert len(str(caught.value).splitlines()) == 2
