"""CelebA's lists as CSV files: the same data set as from the published lists; damage is named by line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from spurcli.datasets.celeba import Counts, read_folder
from spurcli.datasets.celeba_files import ATTRIBUTES, PARTITION, find_folder, read_table
from spurcli.errors import InputError

OFFICIAL = {"training": (8, 6, 6, 6), "validation": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
SMALL = Counts(OFFICIAL, {"train": (8, 0, 4, 4), "val": (2, 4, 2, 2), "test": (2, 6, 2, 2)})
ATTRIBUTES_CSV, PARTITION_CSV = "list_attr_celeba.csv", "list_eval_partition.csv"


def read(folder: Path):
    return read_folder(folder, image_size=8, num_train_per_class=8, published=SMALL)


def same(first, second) -> bool:
    return {n: s.fingerprint for n, s in first.splits.items()} == {n: s.fingerprint for n, s in second.splits.items()}


def write(path: Path, rows: list[list[str]], **style) -> None:
    with path.open("w", newline="", encoding=style.pop("encoding", "utf-8")) as stream:
        csv.writer(stream, **{"lineterminator": "\n", **style}).writerows(rows)


def as_csv(folder: Path, column: str = "partition", **style) -> tuple[list[list[str]], list[list[str]]]:
    """Replace both lists by CSV files; returns their rows."""
    lines = (folder / ATTRIBUTES).read_text().splitlines()
    attributes = [["image_id", *lines[1].split()], *(line.split() for line in lines[2:])]
    partition = [["image_id", column], *(line.split() for line in (folder / PARTITION).read_text().splitlines())]
    write(folder / ATTRIBUTES_CSV, attributes, **style)
    write(folder / PARTITION_CSV, partition, **style)
    for name in (ATTRIBUTES, PARTITION):
        (folder / name).unlink()
    return attributes, partition


@pytest.mark.parametrize("column", ["partition", "split"])
@pytest.mark.parametrize(
    "style",
    [{}, {"encoding": "utf-8-sig"}, {"lineterminator": "\r\n"}, {"quoting": csv.QUOTE_ALL}],
    ids=["plain", "byte-order mark", "CRLF", "quotes"],
)
def test_the_same_data_set_as_from_the_published_lists(celeba_folder, column, style):
    folder = celeba_folder()
    published = read(folder)
    as_csv(folder, column, **style)
    assert find_folder(folder.parent, "celeba-cpu") == folder
    found = read(folder)
    assert same(found, published)
    for name, split in published.splits.items():
        np.testing.assert_array_equal(found.group(name), published.group(name))
        assert list(found.splits[name].sample_id) == list(split.sample_id)


def test_columns_may_come_in_any_order_and_others_besides(celeba_folder):
    folder = celeba_folder()
    published = read(folder)
    attributes, partition = as_csv(folder)
    write(folder / ATTRIBUTES_CSV, [[*row[::-1], "more"] for row in attributes])
    write(folder / PARTITION_CSV, [row[::-1] for row in partition])
    assert same(read(folder), published)


def test_one_list_of_each_kind(celeba_folder):
    folder = celeba_folder()
    published, text = read(folder), (folder / PARTITION).read_bytes()
    as_csv(folder)
    (folder / PARTITION_CSV).unlink()
    (folder / PARTITION).write_bytes(text)
    assert same(read(folder), published)


def test_the_published_list_goes_before_a_csv_file(celeba_folder):
    folder = celeba_folder()
    text = (folder / ATTRIBUTES).read_bytes()
    as_csv(folder)
    (folder / ATTRIBUTES).write_bytes(text)
    (folder / ATTRIBUTES_CSV).write_text("not,read\n")
    assert read_table(folder, "Male", "Eyeglasses").attributes == folder / ATTRIBUTES


def test_a_byte_order_mark_before_the_published_lists(celeba_folder):
    folder = celeba_folder()
    published = read(folder)
    for name in (ATTRIBUTES, PARTITION):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert same(read(folder), published)


def cell(row: int, column: int, value: str):
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value

    return change


# row 7 is line 8 and image 000007: a man with glasses of the training split
DAMAGE = {
    "missing in the attributes": (
        ATTRIBUTES_CSV, lambda rows: rows.pop(7), r"partition.csv has 42 images, list_attr_celeba.csv has 41; 000007\.jpg",
    ),
    "missing in the partition": (PARTITION_CSV, lambda rows: rows.pop(7), r"has 41 images, .* 42; 000007\.jpg is in one"),
    "swapped split": (PARTITION_CSV, cell(7, 1, "2"), "has 25 images in the official training split, not 26"),
    "unknown split": (PARTITION_CSV, cell(7, 1, "train"), "line 8: partition is 'train'"),
    "duplicated id": (ATTRIBUTES_CSV, cell(7, 0, "000008.jpg"), r"attr_celeba.csv lists 000008\.jpg 2 times"),
    "duplicated id in the partition": (PARTITION_CSV, cell(7, 0, "000008.jpg"), r"partition.csv lists 000008\.jpg 2"),
    "another order": (
        PARTITION_CSV, lambda rows: rows.insert(3, rows.pop(4)), r"has 000004\.jpg as image 3, .* has 000003\.jpg",
    ),
    "a value that is neither": (ATTRIBUTES_CSV, cell(7, 21, "0"), "line 8: Male is '0'"),
    "another value": (ATTRIBUTES_CSV, cell(7, 16, "-1"), "has 7 men without glasses in .*csv, not 6"),
    "a cut line": (ATTRIBUTES_CSV, lambda rows: rows.__setitem__(42, rows[42][:20]), "line 43: 20 fields, the header has"),
    "no column Male": (ATTRIBUTES_CSV, cell(0, 21, "male"), "has no column 'Male'"),
    "no column of splits": (PARTITION_CSV, cell(0, 1, "part"), "has neither a column 'partition' nor 'split'"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_off_is_named(celeba_folder, damage):
    name, change, words = DAMAGE[damage]
    folder = celeba_folder()
    attributes, partition = as_csv(folder)
    rows = attributes if name == ATTRIBUTES_CSV else partition
    change(rows)
    write(folder / name, rows)
    with pytest.raises(InputError, match=words):
        read(folder)


def test_a_quote_that_is_never_closed_is_named_and_swallows_nothing(celeba_folder):
    folder = celeba_folder()
    as_csv(folder)
    path = folder / PARTITION_CSV
    path.write_text(path.read_text().replace("000040.jpg", '"000040.jpg'))
    with pytest.raises(InputError, match="line 41"):
        read(folder)
