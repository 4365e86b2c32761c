"""Rows and columns of foreign logits, brought into the order of a data set: by ids and class names where they exist.

The data set's order never changes. Messages state what could not be compared, and warn of a likely different order.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.foreign_logits import ForeignLogits, read_foreign_logits
from spurcli.artifacts.logit_checks import warn_unless_fitting
from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.own.foreign_order import image_folder_order
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import canonical, matched
from spurcli.words import counted

_MADE_UP = re.compile(
    r"\d+-[0-9a-f]{8}"
)  # what a table without ids gets (datasets/own/columns.py): the line and a hash
_SHOWN = 3


def align(
    foreign: ForeignLogits, dataset: Dataset, split_name: str, *, is_image_folder: bool = False
) -> tuple[NDArray[np.float32], str]:
    """Logits float32 [n, classes] of a split in the data set's order, and one sentence on how the rows were matched.

    Columns are matched by class names and rows by ids if the file has them; labels are compared if it has them. InputError
    if rows, columns or labels do not fit. Without ids a SpurWarning is given if the order of other programs is likely to
    differ: in an image folder (`is_image_folder`), and for classes that are numbers.
    """
    split, where = dataset.split(split_name), f"split {split_name!r} of {dataset.name!r}"
    if foreign.logits.shape == (len(dataset.class_names), len(split)) != (len(split), len(dataset.class_names)):
        raise InputError(
            f"{foreign.path} is [{len(dataset.class_names)}, {len(split):,}], which is transposed", "Write logits.T."
        )
    if foreign.sample_id is None and len(foreign.logits) != len(split):
        raise InputError(
            f"{foreign.path} and {where} are not about the same samples: {counted(len(foreign.logits), 'sample')} against {len(split):,}",
            "Use files made from the same data set, or give ids of the rows: --ids FILE.",
        )
    columns = _columns(foreign, dataset, where)
    logits: NDArray[np.float32] = foreign.logits if columns is None else foreign.logits[:, columns]
    label = foreign.label
    if label is not None and columns is not None:
        label = np.argsort(columns)[label]
    rows = None
    if foreign.sample_id is not None:
        rows = match_ids(foreign.sample_id, ids_of_split(split), str(foreign.path), where)
        logits, label = logits[rows], label[rows] if label is not None else None
    if label is not None:
        _require_same_labels(label, split, dataset, foreign, where)
    if rows is not None:
        moved = int((rows != np.arange(len(rows))).sum())
        how = (
            f"{moved:,} of {counted(len(rows), 'row')} were in a different order"
            if moved
            else "they are in the same order"
        )
        return logits, f"{foreign.path}: rows are matched to {where} by id; {how}"
    if label is None and columns is None and dataset.class_order_note is not None:
        _warn(f"{foreign.path} names no classes. {dataset.class_order_note}. Store class_names with the logits.")
    if is_image_folder:
        _warn_of_image_folder(label, split, dataset, foreign, where)
    compared = "number of rows" if label is None else "number of rows and the labels"
    return logits, f"{foreign.path}: only the {compared} could be compared with {where}; --ids FILE matches each row"


def read_aligned(
    paths: tuple[Path, Path | None, Path | None],
    dataset: Dataset | None,
    split_name: str,
    *,
    is_image_folder: bool = False,
) -> tuple[ForeignLogits, str]:
    """Logits, labels and ids from `paths`, with the labels and in the order of `dataset`, and the sentence of `align`.

    Without a data set they stay as in the files, which must hold labels: UsageError otherwise.
    """
    foreign = read_foreign_logits(*paths, class_names=dataset.class_names if dataset else ())
    if dataset is None:
        if foreign.label is None:
            raise UsageError("Logits alone do not include the true classes", "Add --labels FILE or --dataset NAME.")
        warn_unless_fitting(foreign.logits, foreign.label, str(foreign.path))
        names = foreign.class_names or tuple(map(str, range(foreign.logits.shape[1])))
        return replace(foreign, class_names=names), ""
    logits, note = align(foreign, dataset, split_name, is_image_folder=is_image_folder)
    split = dataset.split(split_name)
    warn_unless_fitting(logits, split.label, str(foreign.path))
    sample_id = tuple(split.sample_id) if split.sample_id is not None else None
    return replace(
        foreign, logits=logits, label=split.label, sample_id=sample_id, class_names=dataset.class_names
    ), note


def match_ids(foreign: Sequence[str], ours: Sequence[str], path: str, where: str) -> NDArray[np.int64]:
    """For each of `ours` the position int64 [n] of its row among `foreign` ids.

    Ids are equal, or one is the end of the other's path: /data/d/train/cat/1.png and train/cat/1.png. InputError for a
    sample without a row and an id that fits several; rows without a sample are left out with a SpurWarning.
    """
    found = np.full(len(ours), -1, dtype=np.int64)
    whole = {_plain(name): place for place, name in enumerate(ours)}
    ends: dict[str, int] | None = None
    unknown: list[str] = []
    for row, written in enumerate(foreign):
        name = _plain(written)
        place = next((whole[end] for end in (name, *_ends(name)) if end in whole), None)
        if place is None:
            if ends is None:
                ends = _all_ends(ours)
            place = ends.get(name)
        if place is None:
            unknown.append(written)
            continue
        if place < 0:
            raise InputError(
                f"{path}: the id {written[-80:]!r} fits several samples of {where}", "Write ids with their folders."
            )
        if found[place] >= 0:
            raise InputError(
                f"{path}: rows {int(found[place]):,} and {row:,} are both for {ours[place][-80:]!r} ({foreign[int(found[place])][-80:]!r} "
                f"and {written[-80:]!r})",
                "Write each sample once.",
            )
        found[place] = row
    missing = np.flatnonzero(found < 0)
    if len(missing):
        hint = "Compute logits of all samples."
        if unknown:
            hint = f"These rows match no sample: {_listed(unknown)}. Are the ids spelled differently?"
            if all(map(_MADE_UP.fullmatch, ours)):
                hint = f"These rows match no sample: {_listed(unknown)}. The samples have no ids: name their column with --set dataset.options.id=COLUMN"
        raise InputError(
            f"{path} has no row for {len(missing):,} of {counted(len(ours), 'sample')} of {where}: {_listed([ours[n] for n in missing[:_SHOWN]], len(missing))}",
            hint,
        )
    if unknown:
        _warn(f"{path}: left out {counted(len(unknown), 'row')} without a sample in {where}: {_listed(unknown)}")
    return found


def _columns(foreign: ForeignLogits, dataset: Dataset, where: str) -> NDArray[np.int64] | None:
    """For each class of the data set the column with its name; None if the file has no names."""
    num_columns, ours = foreign.logits.shape[1], [canonical(name) for name in dataset.class_names]
    theirs = [canonical(name) for name in foreign.class_names]
    numbered = list(map(str, range(num_columns)))  # the value in spurcli's own files if nothing is known
    if theirs == numbered and set(theirs) != set(ours):
        theirs = []
    if num_columns != len(ours):
        raise InputError(
            f"{foreign.path} has {counted(num_columns, 'column')}, {where} {counted(len(ours), 'class')}",
            "Use logits of a model for this data set.",
        )
    if not theirs:
        return None
    unknown = [name for name in theirs if name not in ours]
    if unknown and (alike := matched(theirs, ours)) is not None:
        return np.array(alike, dtype=np.int64)
    if unknown:
        raise InputError(
            f"{foreign.path} has columns of other classes than {where}: {_listed(unknown)}",
            f"The classes are {_listed(dataset.class_names, len(ours), 8)}.",
        )
    return np.array([theirs.index(name) for name in ours], dtype=np.int64)


def _require_same_labels(
    label: NDArray[np.int64], split: Split, dataset: Dataset, foreign: ForeignLogits, where: str
) -> None:
    differ = np.flatnonzero(label != split.label)
    if not len(differ):
        return
    row = int(differ[0])
    pairs = set(zip(label.tolist(), split.label.tolist(), strict=True))
    is_renumbered = len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    hint = "Use files made from the same data set, or make the older one again."
    if is_renumbered:
        hint = f"The classes have different numbers: here they are {_listed(dataset.class_names, len(dataset.class_names), 8)}. Store class_names with the logits."
    elif foreign.sample_id is None and sorted(label.tolist()) == sorted(split.label.tolist()):
        hint = "The rows are in another order: give their ids with --ids FILE."
    raise InputError(
        f"{foreign.path} and {where} are not about the same samples: the labels differ in {len(differ):,} of {len(label):,}, "
        f"first that of {ids_of_split(split)[row][-80:]!r}",
        hint,
    )


def _warn_of_image_folder(
    label: NDArray[np.int64] | None, split: Split, dataset: Dataset, foreign: ForeignLogits, where: str
) -> None:
    """Warn if the rows may be in ImageFolder's order, and this differs from the data set's."""
    order = image_folder_order(split, dataset.class_names)
    if order is None or split.sample_id is None:
        return
    if label is not None:
        theirs = np.argsort(np.argsort(np.array(dataset.class_names, dtype=object)))  # number of a class in ImageFolder
        labels_of_theirs = [split.label[order], theirs[split.label[order]]]
        if not any(np.array_equal(label, possible) for possible in labels_of_theirs):
            return
    place = int(np.flatnonzero(order != np.arange(len(order)))[0])
    _warn(
        f"{foreign.path} has no ids, and torchvision's ImageFolder has another order than {where}: row {place:,} is "
        f"{split.sample_id[order[place]]!r} there and {split.sample_id[place]!r} here. Give the ids of the rows: --ids FILE."
    )


def ids_of_split(split: Split) -> Sequence[str]:
    """The ids of a split, or the indices if it has none."""
    return split.sample_id if split.sample_id is not None else list(map(str, range(len(split))))


def _plain(name: str) -> str:
    """An id in the form for comparison: with / between folders, and composed accents."""
    name = name if name.isascii() else unicodedata.normalize("NFC", name)
    return name.replace("\\", "/").removeprefix("./")


def _ends(name: str) -> Iterator[str]:
    """The ends of a path, longest first."""
    place = name.find("/")
    while place >= 0:
        yield name[place + 1 :]
        place = name.find("/", place + 1)


def _all_ends(ours: Sequence[str]) -> dict[str, int]:
    """Which of `ours` has this end of a path; −1 for several."""
    places: dict[str, int] = {}
    for place, name in enumerate(ours):
        for end in _ends(_plain(name)):
            places[end] = -1 if end in places else place
    return places


def _listed(names: Sequence[Any], num_names: int | None = None, shown: int = _SHOWN) -> str:
    num_names = len(names) if num_names is None else num_names
    return ", ".join(str(name)[-80:] for name in names[:shown]) + (", …" if num_names > shown else "")


def _warn(text: str) -> None:
    warnings.warn(SpurWarning(text), stacklevel=3)
