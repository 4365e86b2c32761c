"""What a path holds: tables of splits, Parquet of the hub, or something that a hint names."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from spurcli.datasets import load_dataset
from spurcli.datasets.own import hub
from spurcli.datasets.own.kinds import content_of, named_by_path
from spurcli.errors import InputError, SpurWarning

TEXTS = "text,label\n" + "".join(f"some {row},{'ab'[row % 2]}\n" for row in range(6))
LABELS = ["ant", "bee"] * 3


def load(root, path="own", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        return load_dataset("table", {"path": path, **options}, data_root=root, image_size=4)


def touch(root, *names, content=TEXTS):
    for name in names:
        path = root / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith((".png", ".jpg")):
            Image.new("RGB", (5, 5), (len(name), 0, 0)).save(path)
        else:
            path.write_text(content)


def encoded(value):
    stream = io.BytesIO()
    Image.new("RGB", (5, 5), (value, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


def shard(path, first, *, names=("wasp", "ant"), bare=False, labels=LABELS, **columns):
    """A Parquet file of 6 images, of value `first` and on, as the hub has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [encoded(first + row) for row in range(6)]
    rows = {
        "image": images if bare else [{"bytes": image, "path": f"{row}.png"} for row, image in enumerate(images)],
        "label": [list(dict.fromkeys(LABELS)).index(label) if label else -1 for label in labels],
        **columns,
    }
    table = pa.table(rows)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path)


# ---- Parquet of the Hugging Face hub


@pytest.mark.parametrize("bare", [False, True])
def test_images_in_one_parquet_file(tmp_path, bare):
    shard(tmp_path / "own.parquet", 10, bare=bare, split=["train"] * 4 + ["test"] * 2)
    found = load(tmp_path, "own.parquet")
    assert found.class_names == ("wasp", "ant")
    test = found.splits["test"]
    assert (test.sample_id, test.label.tolist()) == (["4", "5"], [0, 1])
    assert test.inputs.read(np.array([1, 0]))[:, 0, 0, 0].tolist() == [15, 14]


@pytest.mark.parametrize(
    "names",
    [
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"],
        ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "test-00000-of-00001-0a1b2c.parquet"],
        [
            "plain_text/train-00000-of-00002.parquet",
            "plain_text/train-00001-of-00002.parquet",
            "plain_text/test.parquet",
        ],
        ["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"],
        ["train/0000.parquet", "train/0001.parquet", "test/0000.parquet"],
    ],
)
def test_a_snapshot_of_the_hub(tmp_path, names):
    for number, name in enumerate(names):
        shard(tmp_path / "own" / name, 20 * number)
    touch(tmp_path, "README.md", ".gitattributes")
    assert named_by_path("own", tmp_path) == {"name": "table", "options": {"path": "own"}}
    found = load(tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 12, "test": 6}
    train = found.splits["train"]
    assert train.sample_id == [f"train/{row}" for row in range(12)]
    assert train.inputs.read(np.arange(12))[:, 0, 0, 0].tolist() == [*range(6), *range(20, 26)]
    assert found.splits["test"].inputs.read(np.array([2]))[0, 0, 0, 0] == 42
    assert list(train.inputs.num_bytes()) == [len(encoded(value)) for value in [*range(6), *range(20, 26)]]


def test_ids_are_those_of_the_same_data_saved_to_disk(tmp_path):
    datasets = pytest.importorskip("datasets")
    for number, name in enumerate(("train", "test")):
        shard(tmp_path / "own" / "data" / f"{name}-00000-of-00001.parquet", 20 * number)
    files = {name: str(tmp_path / "own" / "data" / f"{name}-00000-of-00001.parquet") for name in ("train", "test")}
    rows = {
        name: datasets.Dataset.from_parquet(file, cache_dir=str(tmp_path / "cache")) for name, file in files.items()
    }
    datasets.DatasetDict(rows).save_to_disk(tmp_path / "saved")
    ours, theirs = load(tmp_path), load(tmp_path, "saved")
    assert ours.class_names == theirs.class_names
    for name, split in ours.splits.items():
        assert split.fingerprint == theirs.splits[name].fingerprint
        np.testing.assert_array_equal(split.inputs.read(np.arange(6)), theirs.splits[name].inputs.read(np.arange(6)))


def test_parquet_folders_that_cannot_be_read(tmp_path, monkeypatch):
    shard(tmp_path / "own" / "data" / "train-00001-of-00002.parquet", 0)
    with pytest.raises(InputError, match="of the 2 Parquet files of train, number 0 is missing"):
        load(tmp_path)
    shard(tmp_path / "own" / "data" / "train-00000-of-00002.parquet", 0, names=(), extra=[1] * 6)
    with pytest.raises(InputError, match=r"train-00001-of-00002\.parquet has other columns than train-00000"):
        load(tmp_path)
    shard(tmp_path / "own" / "data" / "train-00000-of-00002.parquet", 0)
    monkeypatch.setattr(hub, "_MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"GiB of images.*\n.*save_to_disk"):
        load(tmp_path)
    for name in ("de", "en"):
        shard(tmp_path / "two" / name / "train.parquet", 0)
    with pytest.raises(InputError, match=r"has Parquet files in de, en\nName one: --dataset .*two/de"):
        named_by_path("two", tmp_path)


def test_a_split_of_parquet_without_labels(tmp_path):
    for name, labels in (("train", LABELS), ("test", [""] * 6)):
        shard(tmp_path / "own" / f"{name}-00000-of-00001.parquet", 0, labels=labels)
    with pytest.warns(SpurWarning, match=r"split test has no labels and is left out \(6 rows\)"):
        found = load_dataset("table", {"path": "own"}, data_root=tmp_path, image_size=4)
    assert list(found.splits) == ["train"]


def test_class_names_of_a_parquet_file_of_texts(tmp_path):
    shard(tmp_path / "own.parquet", 0, text=[f"text {row}" for row in range(6)], split=["train"] * 6)
    found = load(tmp_path, "own.parquet", text="text")
    assert (found.class_names, found.splits["train"].label.tolist()) == (("wasp", "ant"), [0, 1] * 3)
    shard(tmp_path / "own.parquet", 0, text=["t"] * 6, split=["train"] * 6, labels=["ant", "", *LABELS[2:]])
    with pytest.raises(InputError, match="row 2: label is empty"):
        load(tmp_path, "own.parquet", text="text")


# ---- tables of splits


def test_a_table_for_each_split(tmp_path):
    touch(tmp_path, "train.csv", "test.csv", "sample_submission.csv")
    assert named_by_path("own/", tmp_path)["name"] == "table"
    with pytest.warns(SpurWarning, match=r"not read: sample_submission\.csv"):
        found = load_dataset("table", {"path": "own"}, data_root=tmp_path)
    assert list(found.splits) == ["train", "test"]
    assert found.splits["test"].inputs.read(np.array([3])) == [("some 3",)]
    assert found.splits["train"].sample_id[0].startswith("train/2-")
    touch(tmp_path, "test.csv", content="text,label\nsome,a\nmore,\n")
    with pytest.raises(InputError, match=r"own, line 3 of test\.csv: label is empty"):
        load(tmp_path)


def test_a_test_table_without_labels_is_left_out(tmp_path):
    touch(tmp_path, "train.csv", "dev.csv")
    touch(tmp_path, "test.csv", content="text\nsome\n")
    with pytest.warns(SpurWarning, match=r"split test has no labels and is left out \(no column 'label'\)"):
        found = load_dataset("table", {"path": "own"}, data_root=tmp_path)
    assert list(found.splits) == ["train", "val"]
    touch(tmp_path, "valid.jsonl")
    with pytest.raises(InputError, match="has two tables for a split"):
        load(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("imdb_train.csv", "imdb_test.csv"),
        ("training_set.csv", "test_set.csv"),
        ("Train_data.csv", "other.csv", "Test_data.csv"),
    ],
)
def test_tables_whose_names_look_like_splits(tmp_path, names):
    touch(tmp_path, *names)
    with pytest.warns(SpurWarning) as said:
        found = load_dataset("table", {"path": "own"}, data_root=tmp_path)
    assert list(found.splits) == ["train", "test"]
    assert f"{names[0]} as train, {names[-1]} as test" in str(said[0].message)
    assert len(said) == len(names) - 1


def test_tables_of_two_sets_of_splits_are_not_guessed(tmp_path):
    touch(tmp_path, "train_fold0.csv", "val_fold0.csv", "train_fold1.csv", "val_fold1.csv")
    with pytest.raises(InputError, match=r"--dataset .*/own/train_fold0\.csv"):
        load_dataset("folder", {"path": "own"}, data_root=tmp_path)


def test_parquet_and_csv_of_the_same_splits_are_refused(tmp_path):
    """Only train.parquet was read, and test.csv was left out without a word."""
    shard(tmp_path / "own" / "train.parquet", 0, text=["t"] * 6, labels=LABELS)
    touch(tmp_path, "test.csv", "train.csv")
    with pytest.raises(InputError, match=r"two tables for a split: .*train\.parquet.*train\.csv"):
        load(tmp_path)


def test_the_parts_of_one_table_without_splits(tmp_path):
    """As Spark and dask write them."""
    for number in range(2):
        name = f"part-{number:05d}-1f2e3d4c-aa.snappy.parquet"
        shard(tmp_path / "own" / name, number)
    with pytest.warns(SpurWarning, match="taken at random"):
        found = load_dataset("table", {"path": "own", "val_share": 0.0, "test_share": 0.5}, data_root=tmp_path)
    assert sum(map(len, found.splits.values())) == 12


def test_a_column_that_contradicts_the_files_is_said(tmp_path):
    content = "text,label,split\n" + "".join(f"t {n},{label},train\n" for n, label in enumerate(LABELS))
    touch(tmp_path, "train.csv", "test.csv", content=content)
    with pytest.warns(
        SpurWarning, match=r"column split says otherwise in 6 rows, first 'train' for 'test' \(line 2 of test.csv\)"
    ):
        found = load_dataset("table", {"path": "own"}, data_root=tmp_path)
    assert ([len(split) for split in found.splits.values()], "splits by file" in found.read_as) == ([6, 6], True)
    touch(tmp_path, "test.csv", content="text,label\n" + "".join(f"t {n},{label}\n" for n, label in enumerate(LABELS)))
    assert list(load(tmp_path).splits) == ["train", "test"]


def test_metadata_beside_the_images_of_each_split(tmp_path):
    """As the Hugging Face imagefolder has it."""
    for split in ("train", "test"):
        names = [f"{number:04d}.png" for number in range(6)]
        touch(tmp_path, *(f"{split}/{name}" for name in names))
        content = "file_name,label\n" + "".join(f"{name},{label}\n" for name, label in zip(names, LABELS, strict=True))
        touch(tmp_path, f"{split}/metadata.csv", content=content)
    assert named_by_path("own", tmp_path)["name"] == "table"
    found = load(tmp_path)
    assert found.splits["test"].sample_id[:2] == ["test/0000.png", "test/0001.png"]
    assert found.splits["test"].inputs.read(np.arange(6)).shape == (6, 4, 4, 3)


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (["labels.csv", "images/1.png"], "labels.csv"),
        (["metadata.csv", "1.png"], "metadata.csv"),
        (["test.csv", "a.csv"], "a.csv"),
        (["reviews.tsv"], "reviews.tsv"),
    ],
)
def test_a_folder_with_a_table_names_it(tmp_path, names, table):
    touch(tmp_path, *names)
    kind = named_by_path("own", tmp_path)["name"]
    with pytest.raises(InputError, match=f"--dataset .*own/{table}"):
        load_dataset(kind, {"path": "own"}, data_root=tmp_path, image_size=4)


@pytest.mark.parametrize(
    "names",
    [
        ["ant/1.png", "bee/1.png", "labels.csv"],
        ["train/ant/1.png", "train/bee/1.png", "train.csv", "test.csv"],
        ["train/ant/1.png", "train/metadata.csv"],
        ["1.png"],
        ["ant/deep/1.png", "bee/deep/2.png", "train.csv"],
    ],
)
def test_folders_of_images_stay_so(tmp_path, names):
    touch(tmp_path, *names)
    assert content_of(tmp_path / "own").kind == "images"
    assert named_by_path("own", tmp_path)["name"] == "folder"
