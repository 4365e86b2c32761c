"""CelebA's files: where they lie, and its two lists read and checked against each other."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import require_file
from spurcli.errors import InputError, SpurWarning

SOURCE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
ATTRIBUTES, PARTITION, IMAGES = "list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba"
ATTRIBUTES_SHA256 = "f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0"
SIZE = (178, 218)

_NUM_ATTRIBUTES = 40
_FETCH_AGAIN = f"Fetch it again at {SOURCE}"
_NUM_LOOKED_AT = 64


@dataclass(frozen=True)
class Table:
    """The rows of both lists, in the order of the attribute list.

    `name` [n] of the image files; `male` and `glasses` int64 [n] in {0, 1}; `official` int64 [n], the official split:
    0 train, 1 val, 2 test.
    """

    folder: Path
    name: Sequence[str]
    male: NDArray[np.int64]
    glasses: NDArray[np.int64]
    official: NDArray[np.int64]

    @property
    def group(self) -> NDArray[np.int64]:
        """2·male + glasses, int64 [n]."""
        return 2 * self.male + self.glasses


def find_folder(data_root: Path) -> Path:
    """The folder with CelebA's lists; InputError that says how to get them if there is none."""
    for folder in (data_root / "celeba", data_root):
        if (folder / ATTRIBUTES).is_file() or (folder / PARTITION).is_file():
            return folder
    raise InputError(
        f"CelebA is not in {data_root}",
        f"Fetch it at {SOURCE} and put {ATTRIBUTES} (SHA-256 {ATTRIBUTES_SHA256}), {PARTITION} and {IMAGES}/ in "
        f"{data_root / 'celeba'}. --data-root DIR or SPURCLI_DATA_ROOT names another folder; "
        "--recipe celeba-cpu trains on a laptop.",
    )


def read_table(folder: Path) -> Table:
    """Both lists of `folder`. Raises InputError if one is missing or damaged, or they name other images."""
    name, male, glasses = _read_attributes(folder / ATTRIBUTES)
    path = folder / PARTITION
    listed, official = _read_partition(path)
    if listed != name:
        _say_difference(name, listed, path)
    return Table(folder, name, male, glasses, official)


def _read_attributes(path: Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Names [n], male and glasses int64 [n] of a list: a count, the attributes' names, a row of -1 and 1 per image."""
    lines = _lines(path, "CelebA's attribute list")
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        raise InputError(f"{path} does not begin with a count and the attributes' names", _FETCH_AGAIN)
    columns = lines[1].split()
    wanted = [columns.index(key) + 1 if key in columns else 0 for key in ("Male", "Eyeglasses")]
    if not all(wanted) or len(columns) != _NUM_ATTRIBUTES:
        raise InputError(f"{path} names {len(columns)} attributes, not CelebA's {_NUM_ATTRIBUTES}", _FETCH_AGAIN)
    names = []
    codes = np.empty((len(lines) - 2, 2), dtype=np.int64)
    for row, line in enumerate(lines[2:]):
        name, *values = line.split()
        chosen = [values[column - 1] if column <= len(values) else "" for column in wanted]
        if len(values) != _NUM_ATTRIBUTES or not set(chosen) <= {"-1", "1"}:
            raise InputError(f"{path}: line {row + 3:,} is not an image and 40 times -1 or 1", _FETCH_AGAIN)
        names.append(name)
        codes[row] = [value == "1" for value in chosen]
    if len(names) != int(lines[0]):
        raise InputError(f"{path} has {len(names):,} rows and says it has {int(lines[0]):,}", _FETCH_AGAIN)
    _refuse_twice(names, path)
    return names, codes[:, 0], codes[:, 1]


def _read_partition(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Names [n] and official split int64 [n] of a list with a row `name split` per image."""
    names, codes = [], []
    for row, line in enumerate(_lines(path, "CelebA's partition list")):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in ("0", "1", "2"):
            raise InputError(f"{path}: line {row + 1:,} is not an image and 0, 1 or 2", _FETCH_AGAIN)
        names.append(fields[0])
        codes.append(int(fields[1]))
    _refuse_twice(names, path)
    return names, np.array(codes, dtype=np.int64)


def _lines(path: Path, what: str) -> list[str]:
    """Lines of a text file with either kind of line end, without empty ones at its end."""
    require_file(path, what, f"It comes from {SOURCE}")
    try:
        return path.read_text(encoding="utf-8").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file", _FETCH_AGAIN) from error


def _refuse_twice(names: Sequence[str], path: Path) -> None:
    if len(set(names)) < len(names):
        name, count = Counter(names).most_common(1)[0]
        raise InputError(f"{path} lists {name} {count} times", _FETCH_AGAIN)


def _say_difference(name: Sequence[str], listed: Sequence[str], path: Path) -> None:
    if len(name) != len(listed):
        extra = sorted(set(name) ^ set(listed))[0]
        raise InputError(
            f"{path} has {len(listed):,} images, {ATTRIBUTES} has {len(name):,}; {extra} is in one of them only",
            "Fetch both again at " + SOURCE,
        )
    row = next(row for row, pair in enumerate(zip(name, listed, strict=True)) if pair[0] != pair[1])
    raise InputError(
        f"{path} has {listed[row]} as image {row + 1:,}, {ATTRIBUTES} has {name[row]}", "Fetch both again at " + SOURCE
    )


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
            raise InputError(f"{images / name} is not an image", f"Fetch it again at {SOURCE}") from error
    others = [f"{width}×{height}" for (width, height), _ in sizes.most_common() if (width, height) != SIZE]
    if others:
        warnings.warn(
            SpurWarning(
                f"CelebA's images here are {', '.join(others[:3])} pixels, not {SIZE[0]}×{SIZE[1]} as published: "
                "results may differ"
            ),
            stacklevel=2,
        )
