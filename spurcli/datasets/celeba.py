"""CelebA, men against women, with eyeglasses linked to men in training: the subset that the paper uses."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset
from spurcli.datasets.celeba_files import (
    SOURCE,
    Table,
    find_folder,
    images_there,
    make_splits,
    read_table,
    require_counts,
    require_images,
    require_official,
    warn_of_part,
)
from spurcli.errors import InputError, UsageError

CLASS_NAMES = ("female", "male")
ATTRIBUTE_NAMES = ("no glasses", "glasses")
# Groups are 2·male + glasses.
_WOMEN, _WOMEN_GLASSES = 0, 1
_GROUP_NAMES = ("women without glasses", "women with glasses", "men without glasses", "men with glasses")


@dataclass(frozen=True)
class Counts:
    """Published numbers of images per group: in the official splits, and in the paper's subset."""

    official: Mapping[str, Sequence[int]]
    subset: Mapping[str, Sequence[int]]


PUBLISHED = Counts(
    official={
        "training": (92_354, 2_155, 59_895, 8_366),
        "validation": (11_166, 243, 7_318, 1_140),
        "test": (11_930, 317, 6_743, 972),
    },
    subset={
        "train": (5_000, 0, 2_500, 2_500),
        "val": (11_166, 1_337, 7_318, 1_140),
        "test": (11_930, 1_378, 6_743, 972),
    },
)


def load(
    *,
    data_root: Path,
    image_size: int = 224,
    num_train_per_class: int = 5000,
    glasses_share: float = 0.5,
    available_only: bool = False,
) -> Dataset:
    """CelebA from `celeba/` in `data_root`, or `data_root` itself; the paper's subset unless options say otherwise.

    Training keeps the first `num_train_per_class` women, none with glasses, and as many men, a share of
    `glasses_share` of them with glasses; the women with glasses of the official training split go to val or test by a
    fixed random draw. `test_official` is the part of `test` that is in the official test split.

    With `available_only` rows without an image are skipped: training uses the first available images, val
    and test the available ones of the paper's images (a split with none is left out).

    Raises InputError if images are missing, and for any count that is not the published one.
    """
    return read_folder(
        find_folder(Path(data_root), "celeba-cpu"),
        image_size=image_size,
        num_train_per_class=num_train_per_class,
        glasses_share=glasses_share,
        available_only=available_only,
    )


def read_folder(
    folder: Path,
    *,
    image_size: int,
    num_train_per_class: int = 5000,
    glasses_share: float = 0.5,
    available_only: bool = False,
    published: Counts = PUBLISHED,
) -> Dataset:
    """As `load`, from the folder itself and with the counts that its files must have."""
    if image_size < 1:
        raise UsageError(f"preprocessing.image_size = {image_size} is below 1", "The paper's is 224.")
    quota = train_quota(num_train_per_class, glasses_share)
    table = read_table(folder, "Male", "Eyeglasses")
    there = images_there(folder)
    rows = choose(table, quota)
    require_official(table, published.official, _GROUP_NAMES)
    for split in ("val", "test"):
        require_counts(
            table, rows[split], published.subset[split], f"split {split!r} of the paper's subset", _GROUP_NAMES
        )
    _check_quota(table, quota, glasses_share, there if available_only else None)
    if available_only:
        rows = {split: index for split, index in choose(table, quota, there).items() if len(index)}
        warn_of_part(table, rows, there, "the paper's subset")
    else:
        require_images(table, rows, folder, there)
    return Dataset(
        "celeba",
        CLASS_NAMES,
        make_splits(table, rows, folder, image_size),
        ATTRIBUTE_NAMES,
        published={**published.subset, "test_official": published.official["test"]},
    )


def train_quota(num_per_class: int, glasses_share: float) -> tuple[int, int, int, int]:
    """Training images of each group. The share is an exact decimal number, and the result is rounded down."""
    if num_per_class < 1:
        raise UsageError(f"dataset.options.num_train_per_class = {num_per_class} is below 1", "The paper's is 5000.")
    if not 0 <= glasses_share <= 1:
        raise UsageError(f"dataset.options.glasses_share = {glasses_share} is not within 0..1", "The paper's is 0.5.")
    with_glasses = int(Fraction(str(glasses_share)) * num_per_class)
    return num_per_class, 0, num_per_class - with_glasses, with_glasses


def choose(table: Table, quota: Sequence[int], there: Collection[str] | None = None) -> dict[str, NDArray[np.int64]]:
    """Rows of each split, in file order: the paper's procedure, its random.seed(1) included.

    Of the official training split the first `quota` rows of each group are kept; each woman with glasses takes one
    draw, above one half for val, else test. All official val and test rows are kept. With `there`, rows whose image
    is not among these names are skipped, but their random number is still drawn: so an image's place in val or
    test does not depend on which others are there.
    """
    draws = random.Random(1)
    num_kept = [0, 0, 0, 0]
    chosen: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row, (group, official) in enumerate(zip(table.group.tolist(), table.official.tolist(), strict=True)):
        split = official
        if official == 0 and group == _WOMEN_GLASSES:
            split = 1 if draws.random() > 0.5 else 2
        if there is not None and table.name[row] not in there:
            continue
        if split == 0:
            if num_kept[group] == quota[group]:
                continue
            num_kept[group] += 1
        chosen[split].append(row)
    train, val, test = (np.array(rows, dtype=np.int64) for rows in chosen)
    return {"train": train, "val": val, "test": test, "test_official": test[table.official[test] == 2]}


def _check_quota(table: Table, quota: Sequence[int], share: float, there: Collection[str] | None) -> None:
    """Training needs its quota of each group; the error states which group is too small, and the largest possible number."""
    here = table.official == 0
    if there is not None:
        here &= np.array([name in there for name in table.name])
    supply = np.bincount(table.group[here], minlength=4).tolist()
    for name, count, wanted in zip(_GROUP_NAMES, supply, quota, strict=True):
        if count < wanted:
            most = next((n for n in range(supply[_WOMEN], 0, -1) if _within(train_quota(n, share), supply)), 0)
            raise InputError(
                f"CelebA's training split has {count:,} {name}{'' if there is None else ' whose image is here'}, "
                f"{wanted:,} are requested",
                f"Use fewer: the maximum with this glasses_share is --set dataset.options.num_train_per_class={most}."
                if most
                else f"Put more images there; they come from {SOURCE}",
            )


def _within(quota: Sequence[int], supply: Sequence[int]) -> bool:
    return all(wanted <= count for wanted, count in zip(quota, supply, strict=True))
