"""Waterbirds: the metadata in and out of order, damaged copies, and the real release."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spurcli.datasets import Dataset
from spurcli.datasets.check import check
from spurcli.datasets.waterbirds import load, read_folder
from spurcli.errors import InputError

# y, split, place: each group in each split
ROWS = [(y, split, place) for split in range(3) for y in range(2) for place in range(2) for _ in range(1 + y + place)]
COUNTS = {name: [1, 2, 2, 3] for name in ("train", "val", "test")}
HEADER = ["img_id", "img_filename", "y", "split", "place", "place_filename"]


def rows() -> list[list[str]]:
    mixed = np.random.default_rng(0).permutation(len(ROWS))
    return [
        [str(number + 1), f"{ROWS[row][0]:03d}.Bird/image_{number}.jpg", *map(str, ROWS[row]), "/o/ocean/1.jpg"]
        for number, row in enumerate(mixed.tolist())
    ]


def write(folder: Path, content: list[list[str]], change: Callable[[bytes], bytes] = lambda raw: raw) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(content):
        path = folder / row[1]
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 20), (number, 100, 200)).save(path)
    text = "".join(",".join(row) + "\n" for row in [HEADER, *content])
    (folder / "metadata.csv").write_bytes(change(text.encode()))
    return folder


def small(folder: Path) -> Dataset:
    return read_folder(folder, 16, COUNTS)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "waterbirds_v1.0", rows())


def test_splits_are_in_the_order_of_the_metadata(folder):
    dataset = small(folder)
    for number, (name, split) in enumerate(dataset.splits.items()):
        mine = [row for row in rows() if row[3] == str(number)]
        assert list(split.sample_id) == [row[1] for row in mine]
        assert split.label.tolist() == [int(row[2]) for row in mine]
        assert split.attribute.tolist() == [int(row[4]) for row in mine]
        assert np.bincount(dataset.group(name), minlength=4).tolist() == COUNTS[name]


def test_images_are_squashed_not_cropped(folder):
    name = rows()[0][1]
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, :10] = 255  # the left quarter is cut off by a centre crop
    Image.fromarray(pixels).save(folder / name, quality=100, subsampling=0)
    dataset = small(folder)
    split = next(split for split in dataset.splits.values() if name in split.sample_id)
    image = split.inputs.read(np.array([list(split.sample_id).index(name)]))[0]
    assert image.shape == (16, 16, 3)
    assert (image[:, :3] > 230).all()
    assert (image[:, 5:] < 25).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: b"".join(
            b",".join(b'"' + cell + b'"' for cell in line.split(b",")) + b"\n" for line in raw.splitlines()
        ),
    ],
    ids=["byte-order mark", "CRLF", "quotes"],
)
def test_harmless_differences_change_nothing(tmp_path, folder, change):
    other = small(write(tmp_path / "other", rows(), change))
    for name, split in small(folder).splits.items():
        assert other.splits[name].fingerprint == split.fingerprint


def damaged(row: int, column: int, value: str) -> list[list[str]]:
    content = rows()
    content[row][column] = value
    return content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (rows()[:-1], "has . of .* in .*, not ."),
        (damaged(3, 3, {"0": "1", "1": "2", "2": "0"}[rows()[3][3]]), "has . of .* in .*, not ."),
        (damaged(3, 3, "3"), "line 5: split is '3'"),
        (damaged(4, 2, ""), "line 6: y is ''"),
        (damaged(5, 1, rows()[2][1]), "line 7: img_filename .* twice"),
        (damaged(6, 0, "1"), "line 8: img_id '1' occurs twice"),
        ([[*row, "more"] if row[0] == "7" else row for row in rows()], "line 8: 7 fields, the header has 6"),
    ],
    ids=["missing row", "swapped split", "unknown split", "no label", "same file", "same id", "a field too many"],
)
def test_a_damaged_copy_is_named(tmp_path, content, problem):
    with pytest.raises(InputError, match=problem):
        small(write(tmp_path / "damaged", content))


def test_missing_images_are_named(folder):
    for row in rows()[:2]:
        (folder / row[1]).unlink()
    with pytest.raises(InputError, match=f"2 of 24 images are not in .*: {rows()[0][1]}, {rows()[1][1]}"):
        small(folder)


def test_a_truncated_image_is_named_when_it_is_read(folder):
    path = folder / rows()[0][1]
    path.write_bytes(path.read_bytes()[:-200])
    splits = small(folder).splits.values()
    with pytest.raises(InputError, match=r"image_0\.jpg cannot be decoded"):
        [split.inputs.read(np.arange(len(split))) for split in splits]


def test_names_that_leave_the_folder_are_refused(tmp_path):
    content = rows()
    (tmp_path / "outside.jpg").touch()
    target = write(tmp_path / "birds", content)
    text = (target / "metadata.csv").read_text().replace(content[0][1], "../outside.jpg")
    (target / "metadata.csv").write_text(text)
    with pytest.raises(InputError, match="outside its folder"):
        small(target)


def test_without_the_data_it_says_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match="group_DRO") as error:
        load(data_root=tmp_path)
    assert str(tmp_path / "waterbird_complete95_forest2water2") in str(error.value)


@pytest.mark.data
def test_the_release_has_the_published_counts(benchmark_data):
    dataset = load(data_root=benchmark_data, image_size=32)
    with (benchmark_data / "waterbird_complete95_forest2water2" / "metadata.csv").open() as stream:
        metadata = list(csv.DictReader(stream))
    train = [row for row in metadata if row["split"] == "0"]
    assert list(dataset.splits["train"].sample_id) == [row["img_filename"] for row in train]
    found = check(dataset)
    assert list(found["splits"]["train"]["groups"].values()) == [3498, 184, 56, 1057]
    assert found["conflict_groups"] == ["landbird/water", "waterbird/land"]
