"""A user's own data is named by its path: one name in every file, found again, and never taken for another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spurcli.errors import InputError, UsageError
from spurcli.session import configure


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working folder with own.csv and photos/, and data/ with a table and a folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    for folder in ("photos", "data/birds", "data/sub"):
        Path(folder).mkdir(parents=True)
    for name in ("own.csv", "data/sub/pets.jsonl", "data/notes.xyz"):
        Path(name).write_text("x")


def named(name, recipe="own-images-cpu", **keywords):
    return configure(name, recipe=recipe, **keywords).dataset


def parent(name, recipe="own-images-cpu", **keywords):
    """What a parent file hands down."""
    return json.loads(json.dumps(configure(name, recipe=recipe, **keywords).to_json()))


@pytest.mark.parametrize(
    ("typed", "kind", "path"),
    [
        ("own.csv", "table", "own.csv"),
        ("./own.csv", "table", "own.csv"),
        ("photos", "folder", "photos"),
        ("photos/", "folder", "photos"),
        ("birds", "folder", "birds"),
        ("data/birds/", "folder", "birds"),
        ("data/sub/pets.jsonl", "table", "sub/pets.jsonl"),
        ("sub/pets.jsonl", "table", "sub/pets.jsonl"),
        ("data/birds/../sub/pets.jsonl", "table", "sub/pets.jsonl"),
        ("absent.parquet", "table", "absent.parquet"),
        ("absent/", "folder", "absent"),
        ("notes.xyz", "table", "notes.xyz"),
        ("data", "folder", "."),
    ],
)
def test_a_path_is_a_name(typed, kind, path, tmp_path):
    found = named(typed)
    assert (found.name, found.options) == (kind, {"path": path})
    if typed.startswith("data/"):
        assert named(str(tmp_path / typed)) == found  # typed in full it is the same


def test_other_names_are_what_they_were(tmp_path):
    Path("demo").mkdir()
    assert named("demo").options == {}
    with pytest.raises(UsageError, match=r"Unknown data set 'brids'.*\nKnown: demo, .*Your own: a folder of images"):
        named("brids")


def test_no_absolute_path_is_stored_and_the_same_data_is_accepted(tmp_path):
    outside = tmp_path / "elsewhere" / "far.csv"
    outside.parent.mkdir()
    outside.write_text("x")
    inherited = parent(str(outside), overrides={"dataset.options.label": "y"})
    assert inherited["dataset"]["options"] == {"path": "far.csv", "label": "y"}
    assert str(tmp_path) not in json.dumps(inherited)
    found = configure(inherited=inherited)
    assert (found.dataset.options, found.recipe) == ({"path": "far.csv", "label": "y"}, "own-images-cpu")
    again = configure(str(outside), inherited=inherited).dataset  # named again where it lies, with what it had
    assert again.options == {"path": str(outside), "label": "y"}
    moved = configure(inherited=inherited, overrides={"dataset.options.path": str(outside)}).dataset
    assert moved == again


@pytest.mark.parametrize("other", ["photos", "sub/pets.jsonl", "demo"])
def test_other_data_than_the_parents_is_an_error(other):
    with pytest.raises(InputError, match=rf"s\.h5 was made with own\.csv, not {other}\nLeave --dataset out, or make the file again\.$"):  # fmt: skip
        configure(other, inherited=parent("own.csv"), inherited_from="s.h5")
    with pytest.raises(InputError, match=r"made with dataset\.options .*own\.csv.*, not \{'path': 'x\.csv'\}"):
        configure(inherited=parent("own.csv"), inherited_from="s.h5", overrides={"dataset.options.path": "x.csv"})


def test_a_recipe_may_name_it_with_its_options():
    Path("my.toml").write_text(
        Path(configure_recipe("own-images-cpu")).read_text().split("[dataset]")[0]
        + '[dataset]\nname = "own.csv"\noptions = { label = "species" }\n'
        + "[model]" + Path(configure_recipe("own-images-cpu")).read_text().split("[model]")[1]
    )  # fmt: skip
    assert configure(recipe="my.toml").dataset.options == {"path": "own.csv", "label": "species"}
    assert configure("own.csv", recipe="my.toml").dataset.options == {"path": "own.csv", "label": "species"}
    assert configure("sub/pets.jsonl", recipe="my.toml").dataset.options == {"path": "sub/pets.jsonl"}  # of other data
    assert configure("demo", recipe="my.toml").dataset.options == {}


def configure_recipe(name):
    from spurcli.recipes import recipe_path

    return recipe_path(name)


def test_a_flag_that_contradicts_the_path():
    with pytest.raises(UsageError, match=r"dataset\.options\.path=x\.csv: the data set is own\.csv"):
        named("own.csv", overrides={"dataset.options.path": "x.csv"})
    assert named("own.csv", overrides={"dataset.options.path": "own.csv"}).options == {"path": "own.csv"}


def test_which_recipes_there_are_is_said():
    with pytest.raises(
        UsageError, match=r"^own\.csv is your own data: which recipe\?\n--recipe own-images-cpu .*own-text"
    ):
        configure("own.csv")
    with pytest.raises(UsageError) as caught:
        configure("photos/")
    assert "own-images" in caught.value.hint
    assert "text" not in caught.value.hint
    assert configure("own.csv", uses=("dataset",)).preprocessing.image_size is None  # looking at it needs none


@pytest.mark.parametrize("path", [5, None, ["x"], {"a": 1}])
def test_what_a_hostile_parent_says_of_the_path(path):
    inherited = parent("own.csv")
    inherited["dataset"]["options"]["path"] = path
    found = configure(inherited=inherited)  # the loader refuses what is no path
    assert found.dataset.options["path"] == path
    with pytest.raises(InputError):
        configure("own.csv", inherited=inherited)
