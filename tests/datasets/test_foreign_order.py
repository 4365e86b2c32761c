"""Where torchvision's ImageFolder orders the same folder in another way."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import load_dataset
from spurcli.datasets.own.foreign_order import class_order_note, image_folder_order


@pytest.mark.parametrize("names", [("ant", "bee"), ("Ant", "ant"), ("1", "2", "9"), ("01", "02", "10"), ("a", "é")])
def test_names_in_the_order_of_their_characters_need_no_note(names):
    assert class_order_note(names) is None


def test_numbers_in_natural_order_are_noted():
    note = class_order_note(tuple(map(str, range(1, 13))))
    assert "1, 2, 3" in note
    assert "1, 10, 11" in note
    assert "classes=sorted" in note
    assert "10, 8" in class_order_note(("8", "9", "10"))


TREES = {
    "files before folders": ["ant/a", "ant/m/b", "ant/m/y", "ant/z", "bee/1"],
    "a class that begins like another": ["ant-2/1", "ant-2/2", "ant/1", "ant/z/3", "bee/1"],
    "folders that begin like others": ["ant/m-1/a", "ant/m/b", "ant/m/n/c", "ant/m0/a", "bee/m/1", "bee/0"],
    "capitals": ["B/1", "a/2", "a/Z/1", "a/b/1"],
    "numbers": ["2/1", "10/1", "10/a/2", "9/1"],
}


def image_folder(root):
    """What torchvision.datasets.ImageFolder(root).samples holds (make_dataset of torchvision 0.20), without its import."""
    return [
        f"{folder}/{name}"
        for target in sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
        for folder, _, names in sorted(os.walk(f"{root}/{target}", followlinks=True))
        for name in sorted(names)
    ]


@pytest.mark.parametrize("tree", TREES)
def test_it_is_the_order_of_torchvision(tmp_path, tree):
    for number, name in enumerate(TREES[tree]):
        path = tmp_path / "photos" / "train" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    found = load_dataset("folder", {"path": "photos"}, data_root=tmp_path)
    train = found.splits["train"]
    order = image_folder_order(train, found.class_names)
    expected = [path.removeprefix(f"{tmp_path}/photos/") for path in image_folder(tmp_path / "photos" / "train")]
    if tree in ("capitals", "numbers"):
        assert order is None
        assert list(train.sample_id) == expected
    else:
        assert list(train.sample_id) != expected
        assert [train.sample_id[row] for row in order] == expected


def test_a_plain_folder_has_their_order(tmp_path):
    for name in ("train/ant/1", "train/ant/2", "train/bee/1"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / f"{name}.png")
    found = load_dataset("folder", {"path": "photos"}, data_root=tmp_path)
    assert image_folder_order(found.splits["train"], found.class_names) is None
    assert np.array_equal(found.splits["train"].label, [0, 0, 1])
