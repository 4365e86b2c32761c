"""Which rows of a user's table are used: those of the requested splits, without splits that have no labels."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.own.columns import Wanted
from spurcli.datasets.own.split_column import splits_of
from spurcli.datasets.own.splitting import KNOWN, chosen_splits, split_name
from spurcli.datasets.tables import Table
from spurcli.errors import SpurWarning, UsageError
from spurcli.names import canonical, is_missing, may_be_missing
from spurcli.registry import near
from spurcli.words import counted

_FEW = 10  # rows of a split that may by chance have one label


def chosen_rows(
    table: Table, roles: Mapping[str, str], splits: Sequence[str], wanted: Wanted
) -> tuple[NDArray[np.int64], list[str]]:
    """Positions int64 [m] of the rows that are used, in their order, and the split of each; [] where there are no splits.

    `splits` [n] are those that the source has outside columns; else the column of that role states them. A split in which no
    row has a label is left out with a warning, unless the option `splits` names it; train never is.
    """
    if splits and "split" in roles:
        _compare(table, roles["split"], splits)
    split = list(splits) or (splits_of(table, roles["split"], wanted.split_values) if "split" in roles else [])
    if not split:
        if wanted.splits:
            raise UsageError(
                f"{table.path} names no splits, so dataset.options.splits has no effect",
                "Remove it, or name a column: split=COLUMN.",
            )
        return np.arange(len(table)), []
    taken = set(chosen_splits(dict.fromkeys(split), wanted.splits, str(table.path)))
    if not wanted.splits:
        for name in _unlabelled(table[roles["label"]], split):
            taken.discard(name)
            _warn_left_out(table.path, name, counted(split.count(name), "row"))
        _warn_of_placeholders(table, roles["label"], split, taken)
    rows = np.array([row for row, name in enumerate(split) if name in taken], dtype=np.int64)
    return rows, [split[row] for row in rows.tolist()]


def _compare(table: Table, column: str, splits: Sequence[str]) -> None:
    """Warn if a column of splits differs from the files or folders, which take precedence."""
    said = [split_name(value) for value in table[column]]
    differ = [row for row, (one, other) in enumerate(zip(said, splits, strict=True)) if one != other and one in KNOWN]
    if differ:
        row = differ[0]
        warnings.warn(
            SpurWarning(
                f"{table.path}: the splits are those of the files; the column {column} says otherwise in {counted(len(differ), 'row')}, "
                f"first {said[row]!r} for {splits[row]!r} ({table.unit} {table.line[row]:,} of {table.within[row] if table.within else table.path.name})"
            ),
            stacklevel=4,
        )


def without_label(columns: Mapping[str, Sequence[str]], label: str, wanted: Wanted, place: Path) -> list[str]:
    """The parts of a data set to read, of those whose columns are given: not those of other splits than are asked for,
    nor those that have no column of labels, which a warning names.
    """
    kept = list(columns)
    if "" not in columns:
        kept = chosen_splits(kept, wanted.splits, str(place))
    for name in list(kept):
        if label not in columns[name] and split_name(name) != "train" and not wanted.splits and len(kept) > 1:
            kept.remove(name)
            _warn_left_out(place, name, f"no column {label!r}{near(label, columns[name])}")
    return kept


def _unlabelled(labels: Sequence[str], split: Sequence[str]) -> list[str]:
    """The splits but train in which all labels are empty, or all are one word for none that no other split has."""
    seen: dict[str, set[str]] = {}
    for name, label in zip(split, labels, strict=True):
        seen.setdefault(name, set()).add(label)
    found = []
    for name, values in seen.items():
        others = set().union(*(other for key, other in seen.items() if key != name))
        empty = all(is_missing(value) for value in values)
        word = canonical(next(iter(values)))
        marked = len(values) == 1 and (word in ("-1", "-1.0") or may_be_missing(word)) and values.isdisjoint(others)
        if name != "train" and (empty or marked):
            found.append(name)
    return found


def _warn_of_placeholders(table: Table, column: str, split: Sequence[str], taken: Collection[str]) -> None:
    """Warn of test splits all of whose labels are the same: perhaps there are none, as in the files of a competition."""
    seen: dict[str, set[str]] = {}
    for name, label in zip(split, table[column], strict=True):
        if name in taken:
            seen.setdefault(name, set()).add(label)
    for name, labels in seen.items():
        count = split.count(name)
        if name != "train" and len(labels) == 1 < len(seen.get("train", ())) and count >= _FEW:
            asked = ", ".join(f'"{other}"' for other in seen if other != name)
            warnings.warn(
                SpurWarning(
                    f"{table.path}: every label of the split {name} ({counted(count, 'row')}) is {next(iter(labels))[:40]!r}; if it has no "
                    f"real labels, leave it out: --set 'dataset.options.splits=[{asked}]'"
                ),
                stacklevel=4,
            )


def _warn_left_out(place: Path, name: str, why: str) -> None:
    warnings.warn(
        SpurWarning(f"{place}: the split {name} has no labels and is left out ({why})"),
        stacklevel=4,
    )
