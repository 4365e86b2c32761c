"""A table of predictions that any program made: classes, labels, groups, ids and splits by its columns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.class_check import confusion, warn_if_reordered
from spurcli.datasets.own.columns import unique_ids, within_class
from spurcli.datasets.own.naming import in_order
from spurcli.datasets.own.split_column import splits_of, warn_unused
from spurcli.datasets.own.splitting import split_name
from spurcli.datasets.prediction_values import class_columns, logits_of
from spurcli.datasets.tables import Reading, Table, column_names, listed, read_table
from spurcli.datasets.tables_hdf5 import columns_beside, named_classes, widened
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import NUMBER, canonical, canonical_values, is_missing, warn_alike
from spurcli.registry import Options, near
from spurcli.words import counted

_WHAT, _HINT = "a table of predictions", "Name a .csv, .tsv, .jsonl, .json, .parquet or .h5 file."
MANY = 20  # more different numbers than this are quarters, not groups of their own
_SHOWN = 4


@dataclass(frozen=True)
class PredictionColumns:
    """The roles of the columns of a table. `proba` and `logit` are names or patterns (`p_*`), one column a class, the
    matrix of an HDF5 file, or one column alone: that of the positive class; `predicted` holds classes. "" and () stand for none; `label`, `id` and
    `split` are the columns of these names unless others are named. `split_values` maps values of the split column to splits.
    """

    label: str = ""
    proba: Sequence[str] = ()
    logit: Sequence[str] = ()
    predicted: str = ""
    groups: Sequence[str] = ()
    id: str = ""
    split: str = ""
    split_values: Options = field(default_factory=dict)
    reading: Reading = field(default_factory=Reading)


@dataclass(frozen=True)
class TablePredictions:
    """`logits` float32 [n, classes] and `label` int64 [n] of all rows; `attribute` int64 [n], `sample_id` [n] and `split` [n]
    where columns say them. Where only classes were predicted, logits are 1 for that class and 0 for the others."""

    path: Path
    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    attribute: NDArray[np.int64] | None = None
    attribute_names: tuple[str, ...] = ()
    sample_id: tuple[str, ...] | None = None
    split: tuple[str, ...] = ()
    split_column: str = ""

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(f"{label}/{attribute}" for label in self.class_names for attribute in self.attribute_names)

    def rows_of(self, split: str) -> NDArray[np.int64]:
        """Positions int64 [m] of the rows of a split; all rows where no column says splits."""
        if not self.split:
            return np.arange(len(self.label))
        return np.flatnonzero(np.array(self.split) == split)

    def require_rows_of(self, split: str, hint: str = "Name one with --split.") -> NDArray[np.int64]:
        """`rows_of`, and InputError where there is none, with the `hint`."""
        rows = self.rows_of(split)
        if not len(rows):
            there = ", ".join(dict.fromkeys(self.split))
            raise InputError(f"{self.path} has no row of the split {split!r}", f"It has: {there}. {hint}")
        return rows

    def group(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Group int64 [m] of some rows = label · attributes + attribute."""
        if self.attribute is None:
            return None
        return self.label[rows] * len(self.attribute_names) + self.attribute[rows]


def read_prediction_table(path: Path, wanted: PredictionColumns, *, suggests: bool = True) -> TablePredictions:
    """Read the predictions of a table.

    Raises UsageError where the columns of the predictions are not named, InputError with near names for a column that is
    not there, and with the line for an empty cell or what is no number.
    """
    kinds = {"--proba": wanted.proba, "--logit": wanted.logit, "--predicted": wanted.predicted}
    given = [flag for flag, value in kinds.items() if value]
    known = column_names(path, _WHAT, _HINT, wanted.reading)
    if len(given) != 1:
        problem = "Which columns hold the predictions?" if not given else f"{' and '.join(given)} contradict each other"
        raise UsageError(problem, f"Name --proba, --logit or --predicted. {path} has: {listed(known)}.")
    one = [
        ("--label", wanted.label),
        ("--id", wanted.id),
        ("--split-column", wanted.split),
        ("--predicted", wanted.predicted),
    ]
    for flag, name in [*one, *(("--group", name) for name in wanted.groups)]:
        if name and name not in known:
            raise _no_column(path, flag, name, known)
    label = wanted.label or ("label" if "label" in known else "")
    if not label:
        raise UsageError(
            f"Which column of {path} is the true class?", f"Name it with --label. It has: {listed(known)}."
        )
    taken = [label, *(name for _, name in one), *wanted.groups]
    outputs = _expanded(wanted.proba or wanted.logit, known, taken, path, given[0]) or [wanted.predicted]
    outputs, patterns = widened(path, outputs, wanted.proba or wanted.logit)
    roles = [label, *outputs, *wanted.groups]
    free = [name for name in known if name not in roles]
    identifier = wanted.id or ("id" if "id" in free else "")
    split = wanted.split or ("split" if "split" in free else "")
    roles += filter(None, (identifier, split))
    if len(set(roles)) < len(roles):
        twice = next(name for name in roles if roles.count(name) > 1)
        raise UsageError(f"The column {twice} is named twice", "Use each column once.")
    table = read_table(path, roles, _WHAT, _HINT, reading=wanted.reading)
    true = named_classes(path, names_in(table, label))
    if wanted.predicted:
        predicted = named_classes(path, names_in(table, wanted.predicted))
        classes = _classes([*true, *predicted], f"{path}: {label}, {wanted.predicted}")
        logits = np.eye(len(classes), dtype=np.float32)[[classes.index(name) for name in predicted]]
    else:
        classes, order = class_columns(outputs, patterns, set(true), str(path), label)
        logits = logits_of(table, outputs, order, is_proba=bool(wanted.proba), classes=classes)
    number = {name: place for place, name in enumerate(classes)}
    unknown = next((row for row, name in enumerate(true) if name not in number), None)
    if unknown is not None:
        raise InputError(
            f"{table.where(unknown)}: {label} is {true[unknown][:40]!r}, and the columns of the predictions are of {', '.join(classes[:8])}",
            "Use the class names of these columns as labels, or name the columns of all classes.",
        )
    codes = np.array([number[name] for name in true], dtype=np.int64)
    warn_if_reordered(confusion(logits, codes), classes, str(path), "Name each column after its class.")
    found = TablePredictions(
        path,
        logits,
        codes,
        classes,
        sample_id=tuple(_ids(table, identifier)) if identifier else None,
        split=tuple(_splits(table, split, wanted.split_values)) if split else (),
        split_column=split,
    )
    unused = [name for name in columns_beside(path, known, label) if name not in roles]
    if not split:
        warn_unused(
            unused,
            lambda name: read_table(path, [name], _WHAT, _HINT, reading=wanted.reading)[name],
            str(path),
            "--split-column",
        )
    if not wanted.groups:
        if suggests:
            suggest_attributes(path, read_columns_quietly(path, unused, wanted.reading), "--group")
        return found
    columns = []
    for column in wanted.groups:
        written, where = names_in(table, column), f"{path}: {column}"
        values = group_values(written, column, where, " with --group")
        if len(wanted.groups) == 1 and values == written:  # whole groups, "cat/west", as well as attributes
            values = list(within_class(values, classes, codes, where))
        columns.append(values)
    names, attribute = attribute_of(columns)
    return replace(found, attribute=attribute, attribute_names=names)


def attribute_of(columns: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of the attributes and that of each row, int64 [n]; several columns are crossed, as in "dark, male"."""
    joined = [", ".join(values) for values in zip(*columns, strict=True)]
    names = in_order(set(joined))
    number = {name: place for place, name in enumerate(names)}
    return names, np.array([number[value] for value in joined], dtype=np.int64)


def quarters(values: Sequence[str], where: str) -> list[str]:
    """The quarter of each number of a column, as in "Q2 > 30 and ≤ 45"; a warning states the edges.

    Equal numbers stay together, so that there may be fewer than four.
    """
    numbers = np.array([float(value) for value in values])
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75], method="lower"))
    edges = edges[edges < numbers.max()]
    shown = [f"{edge:g}" for edge in edges]
    names = [
        f"≤ {shown[0]}",
        *(f"> {low} and ≤ {high}" for low, high in pairwise(shown)),
        f"> {shown[-1]}",
    ]
    names = [f"Q{place + 1} {name}" for place, name in enumerate(names)]
    warnings.warn(
        SpurWarning(
            f"{where} holds {len(np.unique(numbers)):,} different numbers, so its quarters are the groups: {', '.join(names)}. If each number "
            "is a group, write it as a name"
        ),
        stacklevel=3,
    )
    return [names[place] for place in np.searchsorted(edges, numbers).tolist()]


def group_values(values: Sequence[str], column: str, where: str, flag: str) -> list[str]:
    """The groups that the names in a column are: quarters of many different numbers; `flag` names another column.

    InputError for a column of so many names that they are ids.
    """
    distinct = set(values)
    if len(distinct) > MANY and all(NUMBER.fullmatch(value) for value in distinct):
        return [f"{column} {name}" for name in quarters(values, where)]
    if len(distinct) > MANY and 2 * len(distinct) > len(values):
        raise InputError(
            f"{where} has {counted(len(distinct), 'different value')} in {counted(len(values), 'row')}",
            f"Name a column of few different values{flag}.",
        )
    warn_alike(distinct, "groups", where, stacklevel=3)
    return list(values)


def names_in(table: Table, column: str) -> list[str]:
    """The name in each row of a column; InputError for the first line without one."""
    plain = canonical_values(table[column])
    values = [plain[value] for value in table[column]]
    for value in plain.values():
        if is_missing(value):
            written = repr(value) + ", which means an empty cell" if value else "empty"
            raise InputError(
                f"{table.where(values.index(value))}: {column} is {written}", "Fill it in, or remove the row."
            )
    return values


def _ids(table: Table, column: str) -> Sequence[str]:
    return unique_ids(table, table[column], "--id COLUMN")


def _splits(table: Table, column: str, meaning: Options) -> list[str]:
    if meaning:
        return splits_of(table, column, meaning)
    values = names_in(table, column)
    names = {value: split_name(value) for value in values}
    if "train" in names.values() or all(
        NUMBER.fullmatch(value) or value.lower() in ("true", "false") for value in names
    ):
        return splits_of(table, column, {})
    return [names[value] for value in values]


def _classes(names: Sequence[str], where: str) -> tuple[str, ...]:
    distinct = set(names)
    if len(distinct) < 2:
        raise InputError(f"{where}: the only class is {names[0][:40]!r}", "At least two classes are required.")
    if len(distinct) > MANY and 2 * len(distinct) > len(names):
        raise InputError(
            f"{where}: {counted(len(distinct), 'different value')} in {counted(len(names) // 2, 'row')} are too many to be classes",
            "Name other columns.",
        )
    warn_alike(distinct, "classes", where, stacklevel=3)
    return in_order(distinct)


def _expanded(patterns: Sequence[str], known: Sequence[str], taken: Sequence[str], path: Path, flag: str) -> list[str]:
    """The columns that names and patterns select; those of a pattern in the order of the file, without what is `taken`."""
    found: list[str] = []
    for pattern in patterns:
        mine = (
            [pattern]
            if pattern in known
            else [name for name in known if fnmatchcase(name, pattern) and name not in taken]
        )
        if not mine:
            raise _no_column(path, flag, pattern, known)
        found += mine
    return list(dict.fromkeys(found))


def _no_column(path: Path, flag: str, name: str, known: Sequence[str]) -> InputError:
    return InputError(f"{path} has no column {name!r} ({flag}){near(name, known)}", f"It has: {listed(known)}.")


def read_columns_quietly(path: Path, names: Sequence[str], reading: Reading) -> Mapping[str, Sequence[str]]:
    """Columns of a table that was read before: its warnings are not given again."""
    if not names:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)
        return read_table(path, names, _WHAT, _HINT, reading=reading).columns


def suggest_attributes(path: Path, unused: Mapping[str, Sequence[str]], flag: str) -> None:
    """One warning that names columns which look like attributes and are not used, if there are such."""
    likely = []
    for name, values in unused.items():
        distinct = {canonical(value) for value in values}
        if 2 <= len(distinct) <= min(MANY, len(values) // 2) and not any(_is_fraction(value) for value in distinct):
            likely.append(name)
    if likely:
        more = ", …" if len(likely) > _SHOWN else ""
        said = f"{path}: no column defines groups; candidates: {', '.join(likely[:_SHOWN])}{more}"
        warnings.warn(SpurWarning(f"{said}. Choose one: {flag} {likely[0]}"), stacklevel=4)


def _is_fraction(value: str) -> bool:
    return bool(NUMBER.fullmatch(value)) and not math.isclose(float(value), round(float(value)))


def described(columns: PredictionColumns) -> Mapping[str, Any]:
    """The named columns, as stored in provenance."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(replace(columns, reading=Reading())).items()
        if value and name != "reading"
    } | {name: value for name, value in asdict(columns.reading).items() if value}
