"""Hard ImageNet's ranks: the training images of each class ordered by the strength of the cue."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median

from spurcli.datasets.unpickle import read_pickled_dict
from spurcli.errors import InputError, SpurWarning
from spurcli.words import counted

RANKS = Path("hardImageNet") / "meta" / "paths_by_rank.pkl"
# The median of the listed images must be this near an end, to identify the end that is free of the cue.
_AN_END = 0.25


def choose_by_rank(
    folder: Path,
    index_and_wnid: tuple[int, str],
    names: Sequence[str],
    number: int,
    listed: Collection[str],
    *,
    whole: bool,
) -> list[str]:
    """`number` of `names` with the weakest cue, in the order of `names`; a warning says from which end.

    The ranks are next to the folder of images, or in it. `listed` are images known to be free of the cue: which end of
    the ranks is free of it is not documented, so it is the one where these are.

    Raises InputError if there are no ranks, if they do not show it, or (`whole`) if they hold too few images.
    """
    path = next((path for path in (folder.parent / RANKS, folder / RANKS) if path.is_file()), folder.parent / RANKS)
    ranked, at_front = cue_free_first(read_ranks(path, *index_and_wnid), listed, path)
    there = set(names)
    chosen = [name for name in ranked if name in there][:number]
    if len(chosen) < number and whole:
        raise InputError(
            f"{path} ranks {len(chosen):,} of the existing images, {number:,} are requested",
            "Lower dataset.options.num_dog_sled.",
        )
    shared = len(set(ranked[: len(listed)]) & set(listed))
    warnings.warn(
        SpurWarning(
            f"{len(chosen):,} dog sleds are from the {'front' if at_front else 'end'} of {RANKS.name}, not those that the "
            f"paper lists: of the {len(listed)} at that end {shared} are listed"
        ),
        stacklevel=2,
    )
    kept = set(chosen)
    return [name for name in names if name in kept]


def read_ranks(path: Path, index: int, wnid: str) -> list[str]:
    """File names of a class's training images, in the order of the file; `index` is ImageNet's number of the class."""
    listed = read_pickled_dict(path).get(str(index))
    names = [name.decode() if isinstance(name, bytes) else name for name in listed] if isinstance(listed, list) else []
    prefix = f"train/{wnid}/"
    if not names or not all(isinstance(name, str) and name.startswith(prefix) for name in names):
        raise InputError(f"{path} holds no list of {prefix}… under {index}", "Fetch it again from its source.")
    files = [name.removeprefix(prefix) for name in names]
    if len(set(files)) < len(files):
        raise InputError(f"{path} ranks an image of {wnid} twice", "Fetch it again from its source.")
    return files


def cue_free_first(ranked: Sequence[str], listed: Collection[str], path: Path) -> tuple[list[str], bool]:
    """The ranks from the end that is free of the cue, where the `listed` images are, and whether this is the front."""
    places = [place for place, name in enumerate(ranked) if name in listed]
    middle = median(places) / max(len(ranked) - 1, 1) if len(places) > len(listed) / 2 else 0.5
    if _AN_END < middle < 1 - _AN_END:
        raise InputError(
            f"{path} does not show which end is free of the cue: {len(places)} of {counted(len(listed), 'image')} known to be free "
            f"of it are in the list, their median at {middle:.0%}",
            "Leave dataset.options.num_dog_sled at 59: the paper's images, by name.",
        )
    at_front = middle <= _AN_END
    return list(ranked) if at_front else list(reversed(ranked)), at_front
