"""What an artefact names is found again from any folder, however it was named, and nothing else is taken for it."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.injection import Injection, read_injection, write_injection
from spurcli.errors import InputError
from spurcli.finding import find_injection, find_own_data, same_path
from spurcli.identity import RunIdentity
from spurcli.session import configure


def injection_file(file: Path, seed: int = 0, dataset: str = "demo", **options) -> Path:
    fingerprint = Fingerprint.of(np.zeros(10, dtype=np.int64))
    about = {"dataset": dataset, "dataset_options": options, "fingerprint": fingerprint, "provenance": {}}
    write_injection(file, Injection("line", {}, seed, feature_of=0, twin_class=1, carriers=np.arange(3), **about))
    return file


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Folders of a project, a link to it, a home; and a folder elsewhere from which nothing is found by chance."""
    project = tmp_path / "one" / "project"
    for folder in ("data/photos/cat", "runs/seed1", "deep/er/still"):
        (project / folder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(project)
    (tmp_path / "away" / "far").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(project))
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    return {"project": project, "link": tmp_path / "link", "away": tmp_path / "away" / "far"}


def named(how: str, target: str, places: dict[str, Path]) -> tuple[Path, str]:
    """The working folder, and what is typed there for `target` of the project."""
    project = places["project"]
    return {
        "absolute": (places["away"], str(project / target)),
        "absolute, from above": (project, str(project / target)),
        "relative": (project, target),
        "with ..": (project / "runs", f"../{target}"),
        "by a link": (places["away"], str(places["link"] / target)),
        "by a relative link": (places["link"].parent, f"link/{target}"),
    }[how]


WAYS = ["absolute", "absolute, from above", "relative", "with ..", "by a link", "by a relative link"]
OUTPUTS = ["data/scores.h5", "scores.h5", "runs/scores.h5", "runs/seed1/scores.h5"]


def stage(output: Path, **keywords) -> tuple[dict, str]:
    """One stage as far as settings go: what it inherits and hands down, and a file that stands for its output."""
    settings = configure(recipe=None if keywords.get("inherited") else "demo", **keywords)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("x")
    return json.loads(json.dumps(settings.to_json())), settings


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("kind", ["injection", "folder", "injected folder"])
def test_a_chain_finds_its_data_from_every_folder(places, monkeypatch, how, kind):
    project = places["project"]
    target = "data/photos" if kind == "folder" else "data/inject.json"
    options = {"path": "photos"} if kind == "injected folder" else {}
    inject = injection_file(project / "data/inject.json", dataset="folder" if options else "demo", **options)
    for output, near_by in itertools.product(OUTPUTS, (True, False)):
        cwd, typed = named(how, target, places)
        monkeypatch.chdir(cwd)
        inherited, _ = stage(project / output, dataset=typed)
        assert str(project.parent.parent) not in json.dumps(inherited)
        assert not json.dumps(inherited).startswith("~")
        parent = project / output
        # prune, train, evaluate: each from another folder, its output in another one, the parent named absolutely or not
        for number, folder in enumerate(("runs", "deep", "deep/er")):
            here = project / folder if near_by else places["away"]
            monkeypatch.chdir(here)
            word = os.path.relpath(parent) if number % 2 else str(parent)
            result = project / folder / f"{number}.out"
            inherited, settings = stage(result, inherited=inherited, inherited_from=word)
            if kind != "folder":
                assert settings.injection_path.samefile(inject)
            if kind != "injection":
                assert Path(settings.dataset.options["path"]).samefile(project / "data/photos")
            parent = result


def test_the_hash_decides_which_injection_it_is(places, monkeypatch):
    project = places["project"]
    sha256 = read_injection(injection_file(project / "data/inject.json")).sha256
    (project / "scores.h5").write_text("x")
    for number, place in enumerate(("inject.json", "runs/inject.json"), start=1):
        injection_file(project / place, seed=number)
    (places["away"] / "inject.json").write_text("{}")
    monkeypatch.chdir(project / "runs")  # where another one has the very name
    assert find_injection("inject.json", sha256, [project / "scores.h5"], Path("data")).samefile(
        project / "data/inject.json"
    )
    (project / "data/inject.json").unlink()
    with pytest.raises(InputError, match=r"scores\.h5.*inject\.json is another injection.*\n.*--dataset path/to"):
        find_injection("inject.json", sha256, [project / "scores.h5"], Path("data"))


def test_of_two_places_none_is_taken(places, monkeypatch):
    project = places["project"]
    (project / "runs/photos").mkdir()
    monkeypatch.chdir(places["away"])
    inherited, _ = stage(project / "deep/scores.h5", dataset=str(project / "data/photos"))
    with pytest.raises(InputError, match=r"data/photos and .*runs/photos.*\n.*--data-root"):
        stage(project / "deep/keep.txt", inherited=inherited, inherited_from=str(project / "deep/scores.h5"))
    root = {"data_root": project / "data"}
    found = stage(project / "deep/k.txt", inherited=inherited, inherited_from=str(project / "deep/scores.h5"), **root)
    assert found[0]["dataset"]["options"] == {"path": "photos"}


def test_of_copies_in_the_folders_of_several_runs_that_of_the_own_run_is_taken(places, monkeypatch):
    runs = places["project"] / "runs"
    for seed in (1, 2):
        (runs / f"seed{seed}" / "erm").mkdir(parents=True)
        (runs / f"seed{seed}" / "photos").mkdir()
    monkeypatch.chdir(runs / "seed1")
    inherited, _ = stage(runs / "seed1/scores.h5", dataset="photos")
    monkeypatch.chdir(places["away"])
    model = runs / "seed1" / "erm" / "model.safetensors"
    found = find_own_data(inherited["dataset"], [model], places["away"])
    assert found["options"]["path"] == str(runs / "seed1" / "photos")


def test_the_data_may_be_named_again_in_another_way(places, monkeypatch):
    project = places["project"]
    monkeypatch.chdir(project)
    inherited, _ = stage(project / "scores.h5", dataset="./data/../data/photos/", data_root=places["away"])
    for how in WAYS:
        cwd, typed = named(how, "data/photos", places)
        monkeypatch.chdir(cwd)
        stage(project / "keep.txt", dataset=typed, inherited=inherited, inherited_from=str(project / "scores.h5"))
    (project / "runs/photos").mkdir()
    with pytest.raises(InputError, match="was made with"):
        stage(project / "k", dataset=str(project / "runs/photos"), inherited=inherited, inherited_from="scores.h5")


def test_paths_are_compared_as_far_as_they_are_known():
    for first, second in (("photos", "a/photos"), ("../a/photos", "/x/a/photos"), ("./photos/", "photos")):
        assert same_path(first, second)
    for first, second in (("b/photos", "a/photos"), ("photos", "photos2"), ("photos", None), ("..", "photos")):
        assert not same_path(first, second)


def test_where_its_files_are_does_not_make_another_run():
    def made(file: str, path: str, sha256: str = "1", parent: str = "2") -> dict:
        injection = {"file": file, "sha256": sha256, "feature": "line"}
        dataset = {"name": "folder", "options": {"path": path, "label": "y"}, "injection": injection}
        return {
            "stage": "train",
            "settings": {"dataset": dataset},
            "parents": [{"file": file, "sha256": parent}],
            "command": file,
        }

    first = made("inject.json", "photos")

    def same_run(one: dict, other: dict) -> bool:
        return not RunIdentity.of(one).differences(RunIdentity.of(other))

    assert same_run(first, made("../inject.json", "../data/photos"))
    assert not same_run(first, made("inject.json", "pictures"))
    assert not same_run(first, made("inject.json", "photos", sha256="3"))
    assert not same_run(first, made("inject.json", "photos", parent="3"))
    for damaged in ({}, {"settings": 1, "parents": [1]}, {"settings": {"dataset": {"options": [], "injection": 3}}}):
        assert not same_run(first, damaged)


def test_a_home_that_the_shell_left_is_found(spurcli, places, tmp_path):
    injection_file(places["project"] / "data/inject.json")
    for words in (["--dataset", "~/data/inject.json"], ["--dataset=~/data/inject.json"]):
        result = spurcli("score", *words, "-o", "~/data", "--set", "training.epochs=1")
        assert f"{places['project']}/data is a folder" in result.err, result.err
