"""Waterbirds: birds of the land and of the water, pasted onto backgrounds that go with them in training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.inputs import FileImages
from spurcli.datasets.tables import Table, read_table
from spurcli.errors import InputError, MissingFilesError
from spurcli.words import counted

SOURCE = "https://github.com/kohpangwei/group_DRO#waterbirds (or the WILDS package's waterbirds_v1.0)"
FOLDERS = ("waterbird_complete95_forest2water2", "waterbirds_v1.0")
CLASS_NAMES = ("landbird", "waterbird")
ATTRIBUTE_NAMES = ("land", "water")
# Images of each group 2·y + place.
PUBLISHED: Mapping[str, Sequence[int]] = {
    "train": (3_498, 184, 56, 1_057),
    "val": (467, 466, 133, 133),
    "test": (2_255, 2_255, 642, 642),
}
_COLUMNS = ("img_id", "img_filename", "y", "split", "place")
_FETCH_AGAIN = f"Fetch it again: {SOURCE}"


def load(*, data_root: Path, image_size: int = 256) -> Dataset:
    """Waterbirds (Sagawa et al. 2020) from the folder of either release in `data_root`, or `data_root` itself.

    Images are squashed to `image_size` × `image_size`, as the benchmark's transform does, in the order of metadata.csv.

    Raises InputError if images or rows are missing, and for any count that is not the published one.
    """
    return read_folder(find_folder(Path(data_root)), image_size)


def find_folder(data_root: Path) -> Path:
    """The folder with Waterbirds' metadata; InputError that says how to get it if there is none."""
    for folder in (*(data_root / name for name in FOLDERS), data_root):
        if (folder / "metadata.csv").is_file():
            return folder
    raise InputError(
        f"Waterbirds is not in {data_root}",
        f"Fetch it from {SOURCE} and unpack it to {data_root / FOLDERS[0]} (metadata.csv and 200 folders of images). "
        "--data-root DIR or SPURCLI_DATA_ROOT names another folder; --recipe waterbirds-cpu trains on a laptop.",
    )


def read_folder(folder: Path, image_size: int, published: Mapping[str, Sequence[int]] = PUBLISHED) -> Dataset:
    """As `load`, from the folder itself and with the counts that its metadata must have."""
    table = read_table(folder / "metadata.csv", _COLUMNS, "Waterbirds' metadata", _FETCH_AGAIN)
    for column in ("img_id", "img_filename"):
        _refuse_twice(table, column)
    label, place, split = (
        np.array(table.codes(column, allowed), dtype=np.int64)
        for column, allowed in (("y", "01"), ("place", "01"), ("split", "012"))
    )
    for number, (name, rights) in enumerate(published.items()):
        _require_counts((2 * label + place)[split == number], rights, name, table.path)
    names = table["img_filename"]
    _require_images(folder, names)
    splits = {}
    for number, name in enumerate(published):
        index = np.flatnonzero(split == number)
        chosen = [names[row] for row in index.tolist()]
        inputs = FileImages([folder / name for name in chosen], image_size, squash=True)
        splits[name] = Split(label[index], inputs, place[index], chosen)
    return Dataset("waterbirds", CLASS_NAMES, splits, ATTRIBUTE_NAMES, published=published)


def _refuse_twice(table: Table, column: str) -> None:
    if len(set(table[column])) < len(table):
        value, _ = Counter(table[column]).most_common(1)[0]
        line = [line for line, other in zip(table.line, table[column], strict=True) if other == value][1]
        raise InputError(f"{table.path}, line {line:,}: {column} {value!r} occurs twice", _FETCH_AGAIN)


def _require_counts(group: NDArray[np.int64], rights: Sequence[int], split: str, path: Path) -> None:
    counts = np.bincount(group, minlength=4).tolist()
    for number, (count, right) in enumerate(zip(counts, rights, strict=True)):
        if count != right:
            name = f"{CLASS_NAMES[number // 2]}/{ATTRIBUTE_NAMES[number % 2]}"
            raise InputError(f"{path} has {count:,} of {name} in {split}, not {right:,}", _FETCH_AGAIN)


def _require_images(folder: Path, names: Sequence[str]) -> None:
    """Look into each folder once: one call a folder instead of one an image."""
    there: dict[str, set[str]] = {}
    missing = []
    for name in names:
        place, _, file = name.rpartition("/")
        if ".." in place.split("/") or place.startswith("/"):
            raise InputError(f"{folder / 'metadata.csv'} names {name!r}, outside its folder", _FETCH_AGAIN)
        if place not in there:
            inside = folder / place
            there[place] = {entry.name for entry in os.scandir(inside)} if inside.is_dir() else set()
        if file not in there[place]:
            missing.append(name)
    if missing:
        raise MissingFilesError(f"of {counted(len(names), 'image')} are not in {folder}", _FETCH_AGAIN, missing)
