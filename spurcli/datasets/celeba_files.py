"""CelebA's files, shared by its tasks: their location, its two lists compared with each other, its images."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import require_file
from spurcli.datasets import tables
from spurcli.datasets.base import Split
from spurcli.datasets.inputs import FileImages
from spurcli.errors import InputError, MissingFilesError, SpurWarning
from spurcli.words import counted

SOURCE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
ATTRIBUTES, PARTITION, IMAGES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
ATTRIBUTES_SHA256 = "f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0"
SIZE = (178, 218)

_NUM_ATTRIBUTES = 40
_FETCH_AGAIN = f"Fetch it again from {SOURCE}"
_FETCH_BOTH = f"Fetch both again from {SOURCE}"
_WHOLE_LISTS = (
    f"The lists must be complete and as published, even where images are missing; download both from {SOURCE}"
)
_NUM_LOOKED_AT = 64


@dataclass(frozen=True)
class Table:
    """The rows of both lists, in the order of the attribute list.

    `name` [n] of the image files; `label` and `attribute` int64 [n] in {0, 1}: two of the 40 attributes; `official`
    int64 [n], the official split: 0 train, 1 val, 2 test. `attributes` and `partition` are the files read.
    """

    attributes: Path
    partition: Path
    name: Sequence[str]
    label: NDArray[np.int64]
    attribute: NDArray[np.int64]
    official: NDArray[np.int64]

    @property
    def group(self) -> NDArray[np.int64]:
        """2·label + attribute, int64 [n]."""
        return 2 * self.label + self.attribute


def find_folder(data_root: Path, recipe: str) -> Path:
    """The folder with CelebA's lists; InputError that says how to get them, and names `recipe`, if there is none."""
    for folder in (data_root / "celeba", data_root):
        if any(_list_file(folder, name).is_file() for name in (ATTRIBUTES, PARTITION)):
            return folder
    raise InputError(
        f"CelebA is not in {data_root}",
        f"Fetch it from {SOURCE} and put {ATTRIBUTES} (SHA-256 {ATTRIBUTES_SHA256}), {PARTITION} and {IMAGES}/ in "
        f"{data_root / 'celeba'}. --data-root DIR or SPURCLI_DATA_ROOT names another folder; "
        f"--recipe {recipe} trains on a laptop.",
    )


def read_table(folder: Path, label: str, attribute: str) -> Table:
    """Both lists of `folder`, as published or as CSV files of the same names, with two attributes by their names.

    Raises InputError if one is missing or damaged, or they name other images.
    """
    attributes, partition = _list_file(folder, ATTRIBUTES), _list_file(folder, PARTITION)
    read = _read_attributes_csv if attributes.suffix == ".csv" else _read_attributes
    name, codes = read(attributes, (label, attribute))
    _refuse_twice(name, attributes)
    listed, official = (_read_partition_csv if partition.suffix == ".csv" else _read_partition)(partition)
    _refuse_twice(listed, partition)
    if listed != name:
        _say_difference(name, listed, attributes, partition)
    return Table(attributes, partition, name, codes[:, 0], codes[:, 1], official)


def _list_file(folder: Path, name: str) -> Path:
    """The list as published if it is there, or if there is no CSV file."""
    other = (folder / name).with_suffix(".csv")
    return other if other.is_file() and not (folder / name).is_file() else folder / name


def _read_attributes(path: Path, wanted: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Names [n] and codes int64 [n, 2] of a list: a count, the attributes' names, a row of -1 and 1 per image."""
    lines = _lines(path, "CelebA's attribute list")
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise InputError(f"{path} does not begin with a count and the attributes' names", _FETCH_AGAIN)
    columns = lines[1].split()
    places = [columns.index(key) + 1 if key in columns else 0 for key in wanted]
    if not all(places) or len(columns) != _NUM_ATTRIBUTES:
        raise InputError(f"{path} names {len(columns)} attributes, not CelebA's {_NUM_ATTRIBUTES}", _FETCH_AGAIN)
    names = []
    codes = np.empty((len(lines) - 2, 2), dtype=np.int64)
    for row, line in enumerate(lines[2:]):
        name, *values = line.split() or [""]
        chosen = [values[place - 1] if place <= len(values) else "" for place in places]
        if len(values) != _NUM_ATTRIBUTES or not set(chosen) <= {"-1", "1"}:
            raise InputError(f"{path}: line {row + 3:,} is not an image and 40 times -1 or 1", _FETCH_AGAIN)
        names.append(name)
        codes[row] = [value == "1" for value in chosen]
    if len(names) != int(lines[0]):
        raise InputError(
            f"{path} has {counted(len(names), 'row')} but its first line announces {int(lines[0]):,}", _FETCH_AGAIN
        )
    return names, codes


def _read_attributes_csv(path: Path, wanted: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    table = tables.read_table(path, ["image_id", *wanted], "CelebA's attribute list", _FETCH_AGAIN)
    codes = [table.codes(name, ("-1", "1")) for name in wanted]
    return list(table["image_id"]), np.array(codes, dtype=np.int64).T


def _read_partition(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Names [n] and official split int64 [n] of a list with a row `name split` per image."""
    names, codes = [], []
    for row, line in enumerate(_lines(path, "CelebA's partition list")):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise InputError(f"{path}: line {row + 1:,} is not an image and 0, 1 or 2", _FETCH_AGAIN)
        names.append(fields[0])
        codes.append(int(fields[1]))
    return names, np.array(codes, dtype=np.int64)


def _read_partition_csv(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    table = tables.read_table(path, ["image_id", "partition?", "split?"], "CelebA's partition list", _FETCH_AGAIN)
    column = next((name for name in ("partition", "split") if name in table.columns), None)
    if column is None:
        raise InputError(f"{path} has neither a column 'partition' nor 'split'", _FETCH_AGAIN)
    return list(table["image_id"]), np.array(table.codes(column, ("0", "1", "2")), dtype=np.int64)


def _lines(path: Path, what: str) -> list[str]:
    """Lines of a text file with either kind of line end, without a byte-order mark and empty lines at its end."""
    require_file(path, what, f"It comes from {SOURCE}")
    try:
        return path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file", _FETCH_AGAIN) from error


def _refuse_twice(names: Sequence[str], path: Path) -> None:
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise InputError(f"{path} lists {name} {count} times", _FETCH_AGAIN)


def _say_difference(name: Sequence[str], listed: Sequence[str], attributes: Path, partition: Path) -> None:
    if len(name) != len(listed):
        extra = min(set(name) ^ set(listed))
        raise InputError(
            f"{partition} has {counted(len(listed), 'image')}, {attributes.name} has {len(name):,}; "
            f"{extra} is in one of them only",
            _FETCH_BOTH,
        )
    row = next(row for row, pair in enumerate(zip(name, listed, strict=True)) if pair[0] != pair[1])
    raise InputError(
        f"{partition} has {listed[row]} as image {row + 1:,}, {attributes.name} has {name[row]}", _FETCH_BOTH
    )


def require_official(table: Table, published: Mapping[str, Sequence[int]], group_names: Sequence[str]) -> None:
    """Raise InputError naming the first count of an official split that is wrong; `published` holds those of each group."""
    for number, (split, rights) in enumerate(published.items()):
        count = int((table.official == number).sum())
        if count != sum(rights):
            raise InputError(
                f"{table.partition} has {counted(count, 'image')} in the official {split} split, not {sum(rights):,}",
                _WHOLE_LISTS,
            )
    steps = np.flatnonzero(np.diff(table.official) < 0)
    if len(steps):
        raise InputError(
            f"{table.partition} has {table.name[steps[0] + 1]} or the image before it in the wrong split: "
            f"{', '.join(published)} follow each other",
            _WHOLE_LISTS,
        )
    for number, (split, rights) in enumerate(published.items()):
        require_counts(table, table.official == number, rights, f"official {split} split", group_names)


def require_counts(
    table: Table, chosen: NDArray[Any], rights: Sequence[int], where: str, group_names: Sequence[str]
) -> None:
    """Raise InputError unless the rows `chosen` have `rights` images of each group."""
    counts = np.bincount(table.group[chosen], minlength=len(rights)).tolist()
    for name, count, right in zip(group_names, counts, rights, strict=True):
        if count != right:
            raise InputError(
                f"CelebA's {where} has {count:,} {name} in {table.attributes}, not {right:,}", _WHOLE_LISTS
            )


def images_there(folder: Path) -> set[str]:
    """The names in the folder of images: one call instead of one for each image."""
    images = folder / IMAGES
    return {entry.name for entry in os.scandir(images)} if images.is_dir() else set()


def require_images(table: Table, rows: Mapping[str, NDArray[np.int64]], folder: Path, there: Collection[str]) -> None:
    """Raise MissingFilesError unless the images of all `rows` are there."""
    needed = dict.fromkeys(table.name[row] for index in rows.values() for row in index)
    missing = sorted(name for name in needed if name not in there)
    if missing:
        raise MissingFilesError(
            f"of CelebA's {counted(len(needed), 'image')} are not in {folder / IMAGES}",
            f"Fetch img_align_celeba.zip from {SOURCE} and unpack it there, or use the existing files, which are not the "
            "published set: --set dataset.options.available_only=true",
            missing,
        )


def warn_of_part(table: Table, rows: Mapping[str, NDArray[np.int64]], there: Collection[str], what: str) -> None:
    """Warn, unless all images are there, that this is not `what`, and how large the splits are."""
    num_there = sum(name in there for name in table.name)
    if num_there < len(table.name):
        sizes = ", ".join(f"{split} {len(index):,}" for split, index in rows.items() if split != "test_official")
        warnings.warn(
            SpurWarning(
                f"{num_there:,} of CelebA's {counted(len(table.name), 'image')} are here: not {what} ({sizes})"
            ),
            stacklevel=2,
        )


def make_splits(table: Table, rows: Mapping[str, NDArray[np.int64]], folder: Path, image_size: int) -> dict[str, Split]:
    """The splits of these rows, in their order; images of another size than the published one are flagged."""
    warn_of_size(folder / IMAGES, [table.name[row] for index in rows.values() for row in index])
    splits = {}
    for split, index in rows.items():
        names = [table.name[row] for row in index]
        inputs = FileImages([folder / IMAGES / name for name in names], image_size)
        splits[split] = Split(table.label[index], inputs, table.attribute[index], names)
    return splits


def warn_of_size(images: Path, names: Sequence[str]) -> None:
    """Warn if some of `names` are not of the published size; looks at the headers of a few, evenly chosen."""
    from PIL import Image, UnidentifiedImageError

    chosen = np.linspace(0, len(names) - 1, min(_NUM_LOOKED_AT, len(names))).astype(int).tolist()
    sizes: Counter[tuple[int, int]] = Counter()
    for name in dict.fromkeys(names[position] for position in chosen):
        try:
            with Image.open(images / name) as image:
                sizes[image.size] += 1
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"{images / name} is not an image", f"Fetch it again from {SOURCE}") from error
    others = [f"{width}×{height}" for (width, height), _ in sizes.most_common() if (width, height) != SIZE]
    if others:
        warnings.warn(
            SpurWarning(
                f"CelebA's images here are {', '.join(others[:3])} pixels, not {SIZE[0]}×{SIZE[1]} as published: "
                "results may differ"
            ),
            stacklevel=2,
        )
