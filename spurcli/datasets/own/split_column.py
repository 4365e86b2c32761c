"""What the values of a split column mean: words, 0/1/2, flags such as is_train, or what the option `split_values` says."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from spurcli.datasets.own.splitting import split_name
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import canonical, canonical_values, is_missing, warn_alike

_NUMBERED = {"0": "train", "1": "val", "2": "test"}  # as WILDS, Waterbirds and CelebA number them
_TRUE, _FALSE = ("1", "true", "yes", "t", "y"), ("0", "false", "no", "f", "n")
_FLAGS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "holdout"),
    "val": ("val", "valid", "validation", "dev"),
}
_MANY = 20


def splits_of(table: Table, column: str, meaning: Mapping[str, Any]) -> list[str]:
    """The split of each row by a column; `meaning` is the option split_values: from a value to a split's name.

    Words are read as `split_name` reads them; 0, 1 and 2 are train, val and test. In a column whose name says one split
    (is_train) true and 1 are that split, and a warning gives the counts. Everything else that is not a word is refused:
    only 0 and 1, folds, true and false of any other column.

    Raises InputError that names the line of an empty value, or the option that says what the values mean.
    """
    plain = canonical_values(table[column])
    values = [plain[value] for value in table[column]]
    count = Counter(values)
    for value in count:
        if is_missing(value):
            raise InputError(f"{table.where(values.index(value))}: {column} is empty", "Write train, val or test.")
    where = f"{table.path}: {column}"
    if meaning:
        names = _as_told(table, column, values, meaning)
    else:
        names = _as_flag(column, count) or _as_numbers(column, count, where) or _as_words(column, count, where)
    if len(set(names.values())) > _MANY or "train" not in names.values():
        shown = ", ".join(value[:40] for value in sorted(names)[:5])
        raise InputError(
            f"{where} says {shown}, and no row is for training",
            "Write train, val or test; or name another column with --set dataset.options.split=COLUMN.",
        )
    return [names[value] for value in values]


def _as_told(table: Table, column: str, values: list[str], meaning: Mapping[str, Any]) -> dict[str, str]:
    """By the option; a value that it does not list is an error with its line."""
    for value, name in meaning.items():
        if not isinstance(name, str) or not name:
            raise UsageError(
                f"dataset.options.split_values: {value} is {name!r}, not the name of a split",
                f"Write {_option(values)}",
            )
    told = {canonical(value): split_name(name) for value, name in meaning.items()}
    told |= {canonical_values([value])[value]: name for value, name in told.items() if value not in values}
    for value in dict.fromkeys(values):
        if value not in told:
            raise InputError(
                f"{table.where(values.index(value))}: {column} is {value[:40]!r}, which dataset.options.split_values does not list",
                f"It lists: {', '.join(told)}.",
            )
    return {value: told[value] for value in set(values)}


def _as_flag(column: str, count: Counter[str]) -> dict[str, str]:
    """By a column that says of each row whether it is of one split; nothing for other columns."""
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", canonical(column)).lower())
    said = [name for name, spellings in _FLAGS.items() if set(spellings) & set(words)]
    lowered = {value: value.lower() for value in count}
    if len(said) != 1 or not set(lowered.values()) <= {*_TRUE, *_FALSE}:
        return {}
    other = "test" if said[0] == "train" else "train"
    names = {value: said[0] if low in _TRUE else other for value, low in lowered.items()}
    _warn_read(column, names, count)
    return names


def _as_numbers(column: str, count: Counter[str], where: str) -> dict[str, str]:
    """0, 1, 2 are train, val, test; nothing where the values are words."""
    bare = [value for value in count if re.fullmatch(r"[+-]?[0-9.]+|true|false", value.lower())]
    if not bare:
        return {}
    whole = sorted(count) == ["0", "1", "2"] or sorted(count) in (["0", "2"], ["0"])
    if not whole or re.search(r"fold|cv|cross|is_|flag", column.lower()):
        shown = ", ".join(f"{value[:20]} ({_rows(count[value])})" for value in sorted(count)[:6])
        raise InputError(
            f"{where} holds {shown}{', …' if len(count) > 6 else ''}: which is train, which is test?",
            f"Say what the values mean: --set 'dataset.options.split_values={_option(sorted(count))}'",
        )
    names = {value: _NUMBERED[value] for value in count}
    if len(count) < 3:
        _warn_read(column, names, count)
    return names


def _as_words(column: str, count: Counter[str], where: str) -> dict[str, str]:
    names = {value: split_name(value) for value in count}
    for name in dict.fromkeys(names.values()):
        same = sorted({value.lower() for value, found in names.items() if found == name})
        if len(same) > 1 and name in _FLAGS:
            _warn_read(column, {value: name for value in names if names[value] == name}, count)
    if len(set(names.values())) <= _MANY:
        warn_alike(names.values(), "splits", where, stacklevel=5)
    return names


def _warn_read(column: str, names: Mapping[str, str], count: Counter[str]) -> None:
    said = ", ".join(f"{value} is read as {names[value]} ({_rows(count[value])})" for value in sorted(names))
    warnings.warn(
        SpurWarning(f"The split is the column {column}: {said}; dataset.options.split_values says otherwise"),
        stacklevel=5,
    )


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _option(values: list[str]) -> str:
    """The option's value to type for these values: the first is train, the last is test."""
    distinct = list(dict.fromkeys(values))[:6]
    last = len(distinct) - 1
    return (
        "{"
        + ", ".join(
            f'{value if re.fullmatch(r"[A-Za-z0-9_-]+", value) else repr(value)}="{"test" if number == last and last else "train"}"'
            for number, value in enumerate(distinct)
        )
        + "}"
    )
