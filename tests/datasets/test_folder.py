"""A folder of images: splits and classes as folders, seeded splits, links, and folders that are not laid out so."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import load_dataset
from spurcli.errors import InputError, SpurWarning, UsageError


def photos(root, *names, size=(8, 6)):
    """Images of one colour each at these paths; what ends in / is a folder."""
    for number, name in enumerate(names):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (number % 256, 50, 200)).save(path)
    return root / names[0].split("/")[0]


def load(root, path="photos", image_size=None, **options):
    return load_dataset("folder", {"path": path, **options}, data_root=root, image_size=image_size)


def many(count, classes=("cat", "dog")):
    return [f"photos/{name}/{number:03}.png" for name in classes for number in range(count)]


def test_splits_as_folders_in_the_order_of_path_bytes(tmp_path):
    photos(
        tmp_path,
        *(f"photos/{split}/{name}.png" for split in ("train", "valid") for name in ("b/2", "b/10", "a/z/1", "a/B", "a-/0", "a/é")),
        "photos/Test/b/1.png",
        "photos/other/a/1.png",
    )  # fmt: skip
    found = load(tmp_path, image_size=4)
    assert list(found.splits) == ["train", "val", "test", "other"]
    assert found.class_names == ("a", "a-", "b")
    train = found.splits["train"]
    plain = sorted(
        os.fsencode(path.relative_to(tmp_path / "photos")) for path in tmp_path.glob("photos/train/**/*.png")
    )
    assert [name.encode() for name in train.sample_id] == plain
    assert [found.class_names[label] for label in train.label] == [name.split("/")[1] for name in train.sample_id]
    assert found.splits["val"].sample_id[0].startswith("valid/")
    assert found.splits["test"].sample_id == ["Test/b/1.png"]
    pixels = train.inputs.read(np.arange(len(train)))
    for name, image in zip(train.sample_id, pixels, strict=True):
        assert tuple(image[0, 0]) == Image.open(tmp_path / "photos" / name).getpixel((0, 0))
    assert pixels.shape[1:] == (4, 4, 3)


def test_without_splits_they_are_seeded_stratified_and_stable(tmp_path):
    photos(tmp_path, *many(20))
    with pytest.warns(SpurWarning, match=r"split.*10% val, 20% test.* random.*seed 0"):
        first = load(tmp_path)
    for split, per_class in (("train", 14), ("val", 2), ("test", 4)):
        assert np.bincount(first.splits[split].label).tolist() == [per_class, per_class]
    every = [name for split in first.splits.values() for name in split.sample_id]
    assert sorted(every) == sorted(name.removeprefix("photos/") for name in many(20))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        again, other = load(tmp_path), load(tmp_path, seed=1)
        photos(tmp_path, *many(20, ("emu",)))
        more = load(tmp_path)
    for name, split in first.splits.items():
        assert again.splits[name].fingerprint == split.fingerprint
        assert [i for i in more.splits[name].sample_id if "emu" not in i] == split.sample_id  # others do not matter
    assert other.splits["test"].sample_id != first.splits["test"].sample_id


def test_shares_fill_in_the_splits_that_are_missing(tmp_path):
    photos(tmp_path, *(f"photos/train/{name}/{n}.png" for name in "ab" for n in range(10)), "photos/val/a/1.png")
    assert list(load(tmp_path).splits) == ["train", "val"]  # nothing is taken unasked
    with pytest.warns(SpurWarning, match="30% test taken"):
        found = load(tmp_path, test_share=0.3)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 14, "val": 1, "test": 6}
    with pytest.raises(UsageError, match="already has a split 'val'"):
        load(tmp_path, val_share=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"val_share": 0.5, "test_share": 0.5}, "leave nothing to train on"),
        ({"val_share": -0.1}, "leave nothing"),
        ({"val_share": float("nan")}, "val_share"),
        ({"test_share": "half"}, "test_share = 'half' is not a number"),
        ({"test_share": True}, "is not a number"),
        ({"sed": 1}, "did you mean seed"),
        ({"path": "photso"}, "photso was not found in .*, did you mean photos"),
        ({"path": ""}, "Your own data is not named"),
        ({"path": "x" * 5000}, "xxx was not found in "),
        ({"path": "a\0b"}, "was not found in "),
        ({"path": "photos/cat/000.png"}, "is not a folder"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, words):
    photos(tmp_path, *many(20))
    with pytest.raises((UsageError, InputError), match=words):
        load(tmp_path, **options)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["photos/"], "holds no images"),
        (["photos/1.png", "photos/2.png"], "holds no images"),
        (["photos/cat/1.png", "photos/cat/2.png"], "has one class only: 'cat'"),
        (["photos/cat/1.png", "photos/dog/"], "dog/ holds no images"),
        (["photos/train/1.png", "photos/test/2.png"], "no train with a folder for each class"),
        (["photos/test/a/1.png", "photos/val/a/1.png"], "no train with a folder"),
        (["photos/train/a/1.png", "photos/train/b/1.png", "photos/test/"], "test/ is empty"),
        (["photos/train/a/1.png", "photos/train/b/1.png", "photos/val/a/1.png", "photos/dev/a/1.png"], "two folders for val"),
        (["photos/train/cat/1.png", "photos/train/dog/1.png", "photos/test/Cat/1.png"], "'Cat', which is in test, did you mean cat"),
        (["photos/cat/1.png", "photos/dog/1.png"], "too few samples for a split 'val'"),
        (["photos/cat/a\nb.png", "photos/dog/1.png"], r"'cat/a\\nb\.png' holds a line break"),
        (["photos/a/1.png", "photos/b\x01/1.png"], "control character"),
    ],
)  # fmt: skip
def test_folders_that_are_not_laid_out_so(tmp_path, names, words):
    photos(tmp_path, *names)
    with pytest.raises(InputError, match=words):
        load(tmp_path)


def test_a_name_that_is_not_utf8(tmp_path):
    photos(tmp_path, *many(2))
    (tmp_path / "photos/cat/000.png").rename(os.fsdecode(os.fsencode(tmp_path / "photos/cat") + b"/\xff.png"))
    with pytest.raises(InputError, match="bytes that are not UTF-8"):
        load(tmp_path)


@pytest.mark.parametrize("classes", [("train", "bus"), ("valid", "invalid"), ("0", "1"), ("2", "10")])
def test_classes_that_are_called_like_splits(tmp_path, classes):
    photos(tmp_path, *many(3, classes))
    found = load(tmp_path, val_share=0, test_share=0)
    assert set(found.splits) == {"train"}
    assert found.class_names == (tuple(sorted(classes, key=int)) if classes[0].isdecimal() else tuple(sorted(classes)))


def test_what_is_no_image_is_said_and_what_the_system_left_is_not(tmp_path):
    photos(tmp_path, *many(10), "photos/.cache/a/1.png", "photos/__MACOSX/a/1.png", "photos/astray.png")
    for name in ("photos/cat/notes.txt", "photos/cat/Thumbs.db", "photos/dog/.DS_Store", "photos/labels.csv"):
        (tmp_path / name).write_text("x")
    with pytest.warns(SpurWarning) as said:
        found = load(tmp_path)
    assert found.class_names == ("cat", "dog")
    (message,) = [str(line.message) for line in said if "skipped" in str(line.message)]
    assert message.startswith("photos: skipped: 1 file of other kinds (1 .txt), 1 image outside the class folders")
    assert message.endswith(": astray.png, cat/notes.txt")


def test_links_stay_inside(tmp_path):
    root, outside = tmp_path / "data", tmp_path / "outside"
    photos(root, *many(10))
    photos(outside, "emu/1.png")
    (root / "photos" / "emu").symlink_to(outside / "emu")
    with pytest.raises(InputError, match="emu points outside the data root through a link"):
        load(root)
    assert "emu" in load(tmp_path, "data/photos", val_share=0, test_share=0).class_names  # a root that holds both
    (root / "photos" / "emu").unlink()
    (root / "photos" / "cat" / "x.png").symlink_to(outside / "emu" / "1.png")
    with pytest.raises(InputError, match=r"cat/x\.png points outside the data root"):
        load(root)
    (root / "photos" / "cat" / "x.png").unlink()
    (root / "photos" / "cat" / "x.png").symlink_to("000.png")
    assert "cat/x.png" in load(root, val_share=0, test_share=0).splits["train"].sample_id
    (root / "photos" / "cat" / "y.png").symlink_to("nowhere.png")
    with pytest.raises(InputError, match="a broken link"):
        load(root)


def test_links_in_circles_end(tmp_path):
    photos(tmp_path, *many(10))
    (tmp_path / "photos" / "cat" / "again").symlink_to(tmp_path / "photos" / "cat")
    with pytest.raises(InputError, match="a circular link"):
        load(tmp_path)
    (tmp_path / "photos" / "cat" / "again").unlink()
    (tmp_path / "photos" / "cat" / "up").symlink_to("../dog")
    (tmp_path / "photos" / "dog" / "up").symlink_to("../cat")
    with pytest.raises(InputError, match="a circular link"):
        load(tmp_path)
    (tmp_path / "photos" / "dog" / "up").unlink()
    (tmp_path / "photos" / "dog" / "self.png").symlink_to("self.png")
    with pytest.raises(InputError, match="a broken link"):
        load(tmp_path)


def test_a_folder_is_looked_into_once(tmp_path, monkeypatch):
    photos(tmp_path, *many(30))
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
    found = load(tmp_path, val_share=0, test_share=0)
    assert len(found.splits["train"]) == 60
    assert [path.rpartition("photos/")[2] for path in looked if "cat" in path or "dog" in path] == ["cat/", "dog/"]
