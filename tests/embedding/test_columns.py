"""The columns of a table in its embeddings: groups, evaluations and audits by them, without the table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.artifacts.embeddings import read_columns, read_embeddings
from spurcli.datasets import load_dataset
from spurcli.datasets.own.all_columns import short_columns
from spurcli.errors import InputError

NET = """
from torch import nn

def net(*, num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 12), nn.ReLU(), nn.Linear(12, num_classes))
"""
NUM = 720
EMBED = (
    *("data", "embed", "scans.csv", "--recipe", "own-images-cpu", "--model", "net.py:net"),
    *("--set", "preprocessing.image_size=8", "-o", "scans.embeddings.h5"),
)
rng = np.random.default_rng(3)
SICK = rng.integers(0, 2, NUM)
HOSPITAL = np.where(rng.random(NUM) < 0.8, SICK, 1 - SICK)
SPLIT = np.array(["train", "test", "val"])[np.arange(NUM) % 3]


def write_table(hospitals=("north", "south")) -> None:
    """Scans that are brighter in one hospital; `hospitals` are the names in the column."""
    lines = ["image,label,split,hospital,age,notes"]
    for n in range(NUM):
        age = "" if n == 7 else n / 2
        lines.append(
            f"scans/{n}.png,{('healthy', 'sick')[SICK[n]]},{SPLIT[n]},{hospitals[HOSPITAL[n]]},{age},{'x' * 200}{n}"
        )
    Path("scans.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    Path("net.py").write_text(NET)
    numbers = np.random.default_rng(4)
    for n in range(NUM):
        pixels = numbers.normal(90 + 80 * HOSPITAL[n] + 10 * SICK[n], 20, (8, 8))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(f"scans/{n}.png")
    write_table()
    return tmp_path


def groups_of(spurcli, dataset: str, *words: str):
    done = spurcli("data", "check", dataset, *words, "--json")
    assert done.code == 0, done.err
    return {name: split["groups"] for name, split in done.json["splits"].items()}


def test_embeddings_are_grouped_evaluated_and_audited_by_the_columns_of_their_table(folder, spurcli):
    done = spurcli(*EMBED)
    assert done.code == 0, done.err
    assert "not: notes" in done.err
    assert "keeps the columns hospital, age" in done.err
    expected = groups_of(spurcli, "scans.csv", "--attribute", "hospital")
    alone = folder / "elsewhere"
    alone.mkdir()
    shutil.copy("scans.embeddings.h5", alone)
    shutil.rmtree("scans")
    Path("scans.csv").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(alone)
        kept = read_columns(Path("scans.embeddings.h5"))
        assert {name: list(part) for name, part in kept.items()} == {name: ["hospital", "age"] for name in kept}
        assert kept["train"]["hospital"] == [("north", "south")[HOSPITAL[n]] for n in range(0, NUM, 3)]
        assert kept["test"]["age"] == ["" if n == 7 else f"{n / 2}" for n in range(1, NUM, 3)]
        assert groups_of(spurcli, "scans.embeddings.h5", "--attribute", "hospital") == expected
        assert all(groups is None for groups in groups_of(spurcli, "scans.embeddings.h5").values())
        data = ("--dataset", "scans.embeddings.h5")
        trained = spurcli("train", *data, "--keep", "all", "--set", "training.epochs=8")
        assert trained.code == 0, trained.err
        plain = spurcli("evaluate", "model.safetensors", "--json")
        assert "hospital. Choose one: --attribute hospital" in plain.err
        found = spurcli("evaluate", "model.safetensors", "--attribute", "hospital", "--json")
        assert found.code == 0, found.err
        sizes = {entry["group"]: entry["accuracy"]["num_samples"] for entry in found.json["per_group"]}
        assert sizes == expected["test"]
        audited = spurcli("audit", "model.safetensors", "--column", "hospital", "--json")
        assert audited.code == 0, audited.err
        assert {suspect["shown"]["column"] for suspect in audited.json["suspects"]} == {"hospital"}
        wrong = spurcli("audit", "model.safetensors", "--column", "hospitl", "-o", "b")
        assert (wrong.code, "did you mean hospital" in wrong.err) == (3, True), wrong.err
        many = spurcli("evaluate", "model.safetensors", "--attribute", "age", "-o", "age.json")
        assert many.code == 3
        assert "scans.embeddings.h5, sample 3 of test: age is empty" in many.err
        study = ("compare", *data, "--arms", "erm", "--seeds", "1,", "--dry-run", "--evaluate-attribute")
        assert spurcli(*study, "hospital").code == 0
        slip = spurcli(*study, "hospitl")
        assert slip.code == 3
        assert "--evaluate-attribute: scans.embeddings.h5 keeps no column 'hospitl', did you mean hospital" in slip.err
        assert "--evaluate-groups FILE" in slip.err


def test_a_changed_column_is_written_into_finished_embeddings_without_embedding_again(folder, spurcli):
    assert spurcli(*EMBED).code == 0
    before = read_embeddings(Path("scans.embeddings.h5"))
    assert "nothing to do" in spurcli(*EMBED).err
    write_table(hospitals=("north", "west"))
    again = spurcli(*EMBED)
    assert again.code == 0, again.err
    assert "only its columns and groups were written again" in again.err
    after = read_embeddings(Path("scans.embeddings.h5"))
    assert set(read_columns(Path("scans.embeddings.h5"))["val"]["hospital"]) == {"north", "west"}
    for name, split in before.splits.items():
        assert np.array_equal(split.embedding, after.splits[name].embedding)
    assert after.provenance == before.provenance
    assert "nothing to do" in spurcli(*EMBED).err


def test_files_of_older_versions_are_read(tmp_path):
    shutil.copy(Path(__file__).parents[1] / "golden" / "embeddings-v1.h5", tmp_path / "old.h5")
    assert read_columns(tmp_path / "old.h5") == {}
    assert load_dataset("embeddings", {"path": "old.h5"}, data_root=tmp_path).columns is None


def test_without_columns_the_flag_that_was_typed_and_another_way_are_named(spurcli, folder):
    import h5py

    assert spurcli(*EMBED).code == 0
    with h5py.File("scans.embeddings.h5", "r+") as file:
        del file["column_names"]
    study = ("compare", "--dataset", "scans.embeddings.h5", "--arms", "erm", "--evaluate-attribute", "hospital")
    old = spurcli(*study, "--dry-run")
    assert old.code == 3
    assert "--evaluate-attribute: scans.embeddings.h5 keeps no column 'hospital'" in old.err
    assert "Run data embed on the table again" in old.err
    assert "--evaluate-groups FILE" in old.err
    with pytest.raises(InputError, match="--attribute: scans"):
        load_dataset("embeddings", {"path": "scans.embeddings.h5", "attribute": "hospital"}, data_root=folder)
    assert "written again" in spurcli(*EMBED).err
    assert spurcli(*study, "--dry-run").code == 0


def test_a_column_that_is_cut_short_is_refused(folder, spurcli):
    import h5py

    assert spurcli(*EMBED).code == 0
    with h5py.File("scans.embeddings.h5", "r+") as file:
        del file["split/val/columns/1"]
    with pytest.raises(InputError, match="split 'val': column 'age' is missing"):
        read_columns(Path("scans.embeddings.h5"))


def test_which_columns_are_short():
    many = [f"v{n}" for n in range(501)]
    columns = {
        "train": {"few": ["a", "b"] * 250 + [""], "number": [str(n) for n in range(501)], "ids": many, "long": ["y" * 201] * 501}
    }  # fmt: skip
    kept, others = short_columns(columns)
    assert (list(kept["train"]), others) == (["few", "number"], ["ids", "long"])
    assert short_columns({"train": {"v": many[:400]}, "val": {"v": many[400:]}})[1] == ["v"]  # over all splits
    assert short_columns({}) == ({}, [])


def test_the_file_describes_its_columns(folder, spurcli):
    assert spurcli(*EMBED).code == 0
    shown = spurcli("show", "scans.embeddings.h5", "--json")
    assert json.loads(shown.out)["columns"] == ["hospital", "age"]
