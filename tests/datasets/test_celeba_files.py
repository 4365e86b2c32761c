"""CelebA's lists when damaged: what is off is named, and nothing is read in spite of it."""

from __future__ import annotations

import re

import pytest

from spurcli.datasets.celeba import Counts, read_folder
from spurcli.datasets.celeba_files import ATTRIBUTES, PARTITION, find_folder, read_table
from spurcli.errors import InputError

OFFICIAL = {"training": (8, 6, 6, 6), "validation": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
SMALL = Counts(OFFICIAL, {"train": (8, 0, 4, 4), "val": (2, 4, 2, 2), "test": (2, 6, 2, 2)})


def edit(path, change):
    """Change the list of lines of a text file."""
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")


def replace(old, new):
    def change(lines):
        (row,) = [row for row, line in enumerate(lines) if line.startswith(old)]
        lines[row] = lines[row].replace(old, new)

    return change


def remove(name):
    return lambda lines: lines.remove(next(line for line in lines if line.startswith(name)))


def swap(first, second):
    def change(lines):
        row, other = (next(n for n, line in enumerate(lines) if line.startswith(name)) for name in (first, second))
        lines[row], lines[other] = lines[other].replace(second, first), lines[row].replace(first, second)

    return change


def flip(name, column):
    def change(lines):
        row = next(n for n, line in enumerate(lines) if line.startswith(name))
        fields = lines[row].split()
        fields[1 + column] = "1" if fields[1 + column] == "-1" else "-1"
        lines[row] = " ".join(fields)

    return change


DAMAGE = {
    "a row is missing from the attributes": (ATTRIBUTES, remove("000007"), r"has 41 rows but its first line announces 42"),
    "a row is missing from the partition": (
        PARTITION, remove("000007"), r"has 41 images, list_attr_celeba.txt has 42; 000007\.jpg is in one of them only",
    ),
    "a row says another split": (
        PARTITION, replace("000026.jpg 0", "000026.jpg 1"), r"25 images in the official training split, not 26",
    ),
    "two rows have changed their splits": (
        PARTITION, swap("000024.jpg", "000030.jpg"), r"has 000025\.jpg or the image before it in the wrong split",
    ),
    "an id is there twice in both": (ATTRIBUTES, replace("000007", "000008"), r"lists 000008\.jpg 2 times"),
    "an id is there twice in the partition": (PARTITION, replace("000007", "000008"), r"lists 000008\.jpg 2 times"),
    "another order": (
        PARTITION, lambda lines: lines.insert(3, lines.pop(4)), r"has 000005\.jpg as image 4, .* has 000004\.jpg",
    ),
    "a man has lost his glasses": (
        ATTRIBUTES, flip("000003", 15), r"official training split has 7 men without glasses in .*, not 6",
    ),
    "a test woman has become a man": (
        ATTRIBUTES, flip("000036", 20), r"official test split has 1 women with glasses in .*, not 2",
    ),
    "a split that does not exist": (PARTITION, replace("000007.jpg 0", "000007.jpg 3"), r"line 7 is not an image and"),
    "a cut line": (ATTRIBUTES, lambda lines: lines.append(lines.pop()[:40]), r"line 44 is not an image and 40 times"),
    "a line of spaces": (ATTRIBUTES, lambda lines: lines.insert(5, " \x1d "), r"line 6 is not an image and 40 times"),
    "a value that is neither": (ATTRIBUTES, lambda lines: flip_to_zero(lines), r"line 3 is not an image and 40"),
    "another count": (ATTRIBUTES, lambda lines: lines.__setitem__(0, "43"), r"has 42 rows but its first line announces 43"),
    "no count": (ATTRIBUTES, lambda lines: lines.pop(0), r"does not begin with a count"),
    "no column Male": (ATTRIBUTES, replace("Attribute_0", "Male Attribute_0"), r"names 41 attributes"),
    "another column": (
        ATTRIBUTES, lambda lines: lines.__setitem__(1, lines[1].replace("Male", "Man")), r"names 40 attributes, not",
    ),
}  # fmt: skip


def flip_to_zero(lines):
    fields = lines[2].split()
    fields[16] = "0"
    lines[2] = " ".join(fields)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_off_is_named(celeba_folder, damage):
    name, change, words = DAMAGE[damage]
    folder = celeba_folder()
    read_folder(folder, image_size=8, num_train_per_class=8, published=SMALL)
    edit(folder / name, change)
    with pytest.raises(InputError, match=words) as error:
        read_folder(folder, image_size=8, num_train_per_class=8, published=SMALL)
    assert "https://mmlab.ie.cuhk.edu.hk" in error.value.hint


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_coin_that_falls_otherwise_would_be_told(celeba_folder, split):
    counts = {"train": (8, 0, 4, 4), "val": (2, 4, 2, 2), "test": (2, 6, 2, 2)}
    counts[split] = (2, counts[split][1] + 1, 2, 2)
    with pytest.raises(InputError, match=f"'{split}'.* [46] women with glasses"):
        read_folder(celeba_folder(), image_size=8, num_train_per_class=8, published=Counts(OFFICIAL, counts))


@pytest.mark.parametrize("name", [ATTRIBUTES, PARTITION])
def test_one_list_alone_is_not_enough(celeba_folder, name):
    folder = celeba_folder()
    (folder / name).unlink()
    assert find_folder(folder.parent, "celeba-cpu") == folder
    with pytest.raises(InputError, match=f"No such file: .*{name}"):
        read_table(folder, "Male", "Eyeglasses")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary\x80", b"<html>\nsign in\n</html>"])
def test_what_is_no_list_at_all(celeba_folder, content):
    folder = celeba_folder()
    for name in (PARTITION, ATTRIBUTES):
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_table(folder, "Male", "Eyeglasses")


def test_a_trimmed_copy_of_the_lists_is_not_taken_for_celeba(celeba_folder, spurcli):
    folder = celeba_folder()
    result = spurcli("data", "check", "celeba", "--data-root", folder, "--set", "dataset.options.available_only=true")
    assert result.code == 3
    assert re.search("26 .*official training split.*162,770", result.err)
    assert "as published" in result.err
