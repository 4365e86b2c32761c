"""Data sets that Hugging Face's `datasets` saved to disk: images and texts, with and without splits, damaged ones."""

from __future__ import annotations

import builtins
import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import Texts, load_dataset
from spurcli.datasets.own.kinds import named_by_path
from spurcli.errors import InputError, MissingExtraError, SpurWarning, UsageError

datasets = pytest.importorskip("datasets")
FEATURES = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["zebra", "ant"])}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    datasets.utils.disable_progress_bars()


def pictures(count, start=0, **more):
    columns = {
        "image": [Image.new("RGB", (9, 7), (start + number, 0, 0)) for number in range(count)],
        "label": [number % 2 for number in range(count)],
        **more,
    }
    features = FEATURES | {name: datasets.Value("string") for name in more}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def words(count, **columns):
    columns = {"text": [f"text {number}" for number in range(count)], "label": ["no", "yes"] * (count // 2), **columns}
    return datasets.Dataset.from_dict({name: values for name, values in columns.items() if values is not None})


def load(root, **options):
    return load_dataset("table", {"path": "saved", **options}, data_root=root, image_size=4)


def load_quietly(root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        return load(root, **options)


def test_images_in_splits(tmp_path):
    light = ["day", "night", "night", "day"]
    saved = datasets.DatasetDict(
        {
            name: pictures(4, 10 * number, attribute=light)
            for number, name in enumerate(("train", "validation", "test_2"))
        }
    )
    saved.save_to_disk(tmp_path / "saved")
    found = load(tmp_path)
    assert list(found.splits) == ["train", "val", "test_2"]
    assert (found.class_names, found.attribute_names) == (("zebra", "ant"), ("day", "night"))
    val = found.splits["val"]
    assert (val.label.tolist(), val.attribute.tolist()) == ([0, 1, 0, 1], [0, 1, 1, 0])
    assert val.sample_id == [f"validation/{row}" for row in range(4)]
    assert val.inputs.read(np.array([3, 1]))[:, 2, 2, 0].tolist() == [13, 11]
    assert (val.inputs.shape, val.inputs.resident) == ((4, 4, 3), False)
    again = pickle.loads(pickle.dumps(val.inputs))  # noqa: S301, TID251  (worker processes on some systems)
    assert again.read(np.array([2]))[0, 0, 0, 0] == 12


def test_pixels_are_those_of_the_same_files(tmp_path):
    """Squaring is that of image files, whichever way the bytes come."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    paths = [str(tmp_path / "photos" / f"{number}.jpg") for number in range(6)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    rows = {"image": paths, "label": [0, 1] * 3, "id": [str(number) for number in range(6)]}
    features = datasets.Features(FEATURES | {"id": datasets.Value("string")})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    (tmp_path / "own.csv").write_text("image,label\n" + "".join(f"photos/{n}.jpg,{n % 2}\n" for n in range(6)))
    for squash in (False, True):
        options = {"val_share": 0, "test_share": 0, "squash": squash}
        files = load_dataset("table", {"path": "own.csv", **options}, data_root=tmp_path, image_size=8)
        saved = load_dataset("table", {"path": "saved", **options}, data_root=tmp_path, image_size=8)
        assert saved.splits["train"].sample_id == list("012345")
        pixels = [found.splits["train"].inputs.read(np.arange(6)) for found in (files, saved)]
        np.testing.assert_array_equal(*pixels)


def test_texts_without_splits_get_seeded_ones(tmp_path):
    words(20).save_to_disk(tmp_path / "saved")
    with pytest.warns(SpurWarning, match="seed 0"):
        found = load(tmp_path)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 14, "val": 2, "test": 4}
    train = found.splits["train"]
    assert isinstance(train.inputs, Texts)
    assert [text for (text,) in train.inputs.read(np.arange(14))] == [f"text {row}" for row in train.sample_id]
    words(20, split=["train"] * 10 + ["dev"] * 10).save_to_disk(tmp_path / "saved2")
    assert set(load(tmp_path, path="saved2").splits) == {"train", "val"}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"label": [0.5, None, 0.5, 1.5]}, {}, "row 1: label is empty"),
        ({"label": [float("nan"), 0.5, 0.5, 1.5]}, {}, "row 0: label is empty"),
        ({"label": [["a"], ["b"], ["a"], ["b"]]}, {}, "label is of type list"),
        ({"text": ["a", None, "c", "d"]}, {}, "row 1: text is empty"),
        ({"text": None, "image": ["a.png"] * 4}, {}, "column 'image' holds .*, not images"),
        ({}, {"label": "lable"}, "no column 'lable', did you mean label"),
        ({}, {"suffix": ".jpg"}, "are for tables of paths"),
        ({"id": list("aabc")}, {}, "row 1: the id 'a' is already used at .*row 0"),
        ({"label": ["a"] * 4}, {}, "one class only"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, columns, options, message):
    words(4, **columns).save_to_disk(tmp_path / "saved")
    with pytest.raises((InputError, UsageError), match=message):
        load(tmp_path, **options)


def test_splits_that_do_not_agree(tmp_path):
    for name, other, message in (
        ("a", pictures(4).remove_columns("image"), "the split test has no column 'image'"),
        ("b", pictures(4).cast_column("label", datasets.ClassLabel(names=["ant", "zebra"])), "other labels"),
    ):
        datasets.DatasetDict({"train": pictures(4), "test": other}).save_to_disk(tmp_path / name)
        with pytest.raises(InputError, match=message):
            load(tmp_path, path=name)


def without_labels(rows):
    return rows.map(lambda row: row | {"label": -1})


@pytest.mark.parametrize("change", [without_labels, lambda rows: rows.remove_columns("label")])
def test_a_split_without_labels_is_left_out(tmp_path, change):
    saved = datasets.DatasetDict(
        {"train": pictures(4), "unsupervised": change(pictures(4, 20)), "test": pictures(4, 40)}
    )
    saved.save_to_disk(tmp_path / "saved")
    with pytest.warns(SpurWarning, match="split unsupervised has no labels and is left out"):
        found = load(tmp_path)
    assert list(found.splits) == ["train", "test"]
    assert found.splits["test"].inputs.read(np.array([1]))[0, 0, 0, 0] == 41
    assert found.splits["test"].sample_id[1] == "test/1"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(load(tmp_path, splits=["train", "test"]).splits) == ["train", "test"]
        assert list(load(tmp_path, splits=["train"], test_share=0).splits) == ["train"]
    with pytest.raises(InputError, match=r"row 0 of unsupervised: label is empty|unsupervised has no column 'label'"):
        load(tmp_path, splits=["train", "unsupervised"])
    with pytest.raises(UsageError, match="no split 'tset', did you mean test"):
        load(tmp_path, splits=["train", "tset"])


def test_a_few_rows_without_labels_are_an_error(tmp_path):
    test = pictures(4).map(lambda row, number: row | {"label": -1 if number == 2 else row["label"]}, with_indices=True)
    datasets.DatasetDict({"train": pictures(4), "test": test}).save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match="row 2 of test: label is empty"):
        load(tmp_path)
    datasets.DatasetDict({"train": without_labels(pictures(4)), "test": pictures(4)}).save_to_disk(tmp_path / "none")
    with pytest.raises(InputError, match="row 0 of train: label is empty"):
        load(tmp_path, path="none")


def test_images_that_are_not_there_or_are_no_images(tmp_path):
    rows = {"image": [{"bytes": b"no image", "path": None}] * 4, "label": [0, 1, 0, 1]}
    datasets.Dataset.from_dict(rows, features=datasets.Features(FEATURES)).save_to_disk(tmp_path / "saved")
    found = load_quietly(tmp_path, val_share=0, test_share=0)
    with pytest.raises(InputError, match="Image 2 cannot be decoded"):
        found.splits["train"].inputs.read(np.array([2]))
    rows["image"] = [rows["image"][0], None, rows["image"][0], None]
    datasets.Dataset.from_dict(rows, features=datasets.Features(FEATURES)).save_to_disk(tmp_path / "none")
    with pytest.raises(InputError, match="none: 1 holds no image, or only its path"):
        load(tmp_path, path="none")


def change(path, **content):
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "train" / "state.json").unlink(),
        lambda folder: (folder / "train" / "state.json").write_text("{"),
        lambda folder: (folder / "train" / "state.json").write_text("[]"),
        lambda folder: (folder / "train" / "dataset_info.json").write_text("5"),
        lambda folder: next((folder / "train").glob("*.arrow")).write_bytes(b"ARROW1 and nothing more"),
        lambda folder: next((folder / "train").glob("*.arrow")).unlink(),
        lambda folder: shutil.rmtree(folder / "train"),
        lambda folder: (folder / "dataset_dict.json").write_text('{"splits": []}'),
        lambda folder: (folder / "dataset_dict.json").write_text('{"splits": ["../outside"]}'),
        lambda folder: (folder / "dataset_dict.json").write_text('{"splits": [5]}'),
        lambda folder: (folder / "dataset_dict.json").write_text("null"),
        lambda folder: change(folder / "train" / "state.json", _data_files=[{"filename": "../../outside/x.arrow"}]),
        lambda folder: change(folder / "train" / "state.json", _data_files=[{"filename": "/etc/passwd"}]),
        lambda folder: change(folder / "train" / "state.json", _data_files=[]),
    ],
)
def test_damaged_folders(tmp_path, damage):
    datasets.DatasetDict({"train": words(4), "test": words(4)}).save_to_disk(tmp_path / "saved")
    words(4).save_to_disk(tmp_path / "outside")
    damage(tmp_path / "saved")
    with pytest.raises(InputError, match=r"saved (is not a data set that can be read|has no splits)"):
        load(tmp_path)


def test_other_folders_and_a_missing_library(tmp_path, monkeypatch):
    words(4).save_to_disk(tmp_path / "saved")
    assert named_by_path("saved", tmp_path) == {"name": "table", "options": {"path": "saved"}}
    (tmp_path / "photos").mkdir()
    assert named_by_path("photos/", tmp_path) == {"name": "folder", "options": {"path": "photos"}}
    with pytest.raises(InputError, match="photos is a folder, not a table"):
        load(tmp_path, path="photos")
    real = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"not installed\npip install 'spurcli\[hf\]'"):
        load(tmp_path)


def test_an_offset_outside_the_file_is_refused(tmp_path):
    """Arrow does not look at offsets when it maps a file: following this one is a segmentation fault."""
    words(6).save_to_disk(tmp_path / "saved")
    (path,) = (tmp_path / "saved").glob("*.arrow")
    ends = np.arange(7, dtype="<i4") * len("text 0")
    content = path.read_bytes()
    assert content.count(ends.tobytes()) == 1
    path.write_bytes(content.replace(ends.tobytes(), np.append(ends[:-1], np.int32(1 << 30)).astype("<i4").tobytes()))
    with pytest.raises(InputError):
        load_dataset("table", {"path": "saved"}, data_root=tmp_path)
