"""CelebA, blond hair against other hair, with the correlated sex of the person: the official splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spurcli.datasets.base import Dataset
from spurcli.datasets.celeba_files import (
    find_folder,
    images_there,
    make_splits,
    read_table,
    require_images,
    require_official,
    warn_of_part,
)
from spurcli.errors import UsageError

CLASS_NAMES = ("not blond", "blond")
ATTRIBUTE_NAMES = ("female", "male")
_GROUP_NAMES = ("women who are not blond", "men who are not blond", "blond women", "blond men")
# Images of each group 2·blond + male.
PUBLISHED: Mapping[str, Sequence[int]] = {
    "train": (71_629, 66_874, 22_880, 1_387),
    "val": (8_535, 8_276, 2_874, 182),
    "test": (9_767, 7_535, 2_480, 180),
}


def load(*, data_root: Path, image_size: int = 224, available_only: bool = False) -> Dataset:
    """CelebA's hair task from `celeba/` in `data_root`, or `data_root` itself: the official splits, in file order.

    With `available_only` rows without an image are skipped (a split with none is left out).

    Raises InputError if images are missing, and for any count that is not the published one.
    """
    folder = find_folder(Path(data_root), "celeba-hair-cpu")
    return read_folder(folder, image_size=image_size, available_only=available_only)


def read_folder(
    folder: Path,
    *,
    image_size: int,
    available_only: bool = False,
    published: Mapping[str, Sequence[int]] = PUBLISHED,
) -> Dataset:
    """As `load`, from the folder itself and with the counts that its files must have."""
    if image_size < 1:
        raise UsageError(f"preprocessing.image_size = {image_size} is below 1", "The field's is 224.")
    table = read_table(folder, "Blond_Hair", "Male")
    require_official(table, published, _GROUP_NAMES)
    rows = {name: np.flatnonzero(table.official == number) for number, name in enumerate(published)}
    there = images_there(folder)
    if available_only:
        is_here = np.array([name in there for name in table.name])
        rows = {split: index[is_here[index]] for split, index in rows.items() if is_here[index].any()}
        warn_of_part(table, rows, there, "the official splits")
    else:
        require_images(table, rows, folder, there)
    splits = make_splits(table, rows, folder, image_size)
    return Dataset("celeba-hair", CLASS_NAMES, splits, ATTRIBUTE_NAMES, published=published)
