"""The values of a column that are names: classes, attributes, groups. Their canonical form, their order, empty cells."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.own.naming import in_order
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, SpurWarning
from spurcli.names import NUMBER, canonical, canonical_values, is_missing, may_be_missing, warn_alike
from spurcli.registry import near
from spurcli.words import counted

_MANY, _FEW = 100, 10  # more different values than this, in most rows or in all rows different ones, are not classes
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_EMPTY = "Fill it in, or remove the row."


def named_values(table: Table, column: str, named: Sequence[str], option: str, *, is_said: bool = False) -> list[str]:
    """The name in each row of a column, in its canonical form; `named` are names that the option of that name lists.

    Raises InputError for the first line that is empty or holds what stands for an empty cell (nan, <NA>, NaT), unless
    `named` lists it. NA, None and null are names, and a warning says that they may be none, unless it `is_said` already.
    """
    plain = canonical_values(table[column])
    values = [plain[value] for value in table[column]]
    for value in dict.fromkeys(values):  # in the order of the rows: the first line that is wrong is named
        where = f"{table.where(values.index(value))}: {column}"
        if value not in named and is_missing(value):
            if not value:
                raise InputError(f"{where} is empty", _EMPTY)
            raise InputError(
                f"{where} is {value!r}, which means an empty cell",
                f"{_EMPTY} If it is a name, list it in dataset.options.{option}.",
            )
        if len(value) > 200 or _CONTROL.search(value):
            reason = (
                "longer than 200 characters" if len(value) > 200 else "with a character that is not allowed in a name"
            )
            raise InputError(f"{where} is {value[:40]!r}, which is not a name: {reason}", _EMPTY)
    for value in dict.fromkeys(values):
        if may_be_missing(value) and value not in named and not is_said:
            warnings.warn(
                SpurWarning(
                    f"{table.path}: {column} is {value!r} in {counted(values.count(value), 'row')}, taken as a name; "
                    f"if the cells are empty, fill them in (dataset.options.{option} lists the real names)"
                ),
                stacklevel=4,
            )
    return values


def coded(
    table: Table, column: str, given: Sequence[str], option: str, what: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names of a column's values, and the number of each, int64 [n]; `what` they are (classes), for a warning.

    The names are the values in order, or `given` (the option of that name): the values in the order that is wanted, or
    names for the numbers 0, 1, … or for false and true.

    Raises InputError for an empty value, for one that is not `given`, and for a column of too many to be classes.
    """
    given = tuple(canonical(name) for name in given)
    values = named_values(table, column, given, option, is_said=option == "attributes")  # by who made that column
    distinct = set(values)
    if len(distinct) > _FEW and (
        len(distinct) == len(values) or (len(distinct) > _MANY and 2 * len(distinct) > len(values))
    ):
        raise InputError(
            f"{table.path}: {column} has {counted(len(distinct), 'different value')} in {counted(len(values), 'row')}",
            f"Name a column of few different values: --{_role(option)} COLUMN",
        )
    written: dict[str, str] = {}  # names keep the order that they had as they are written
    for name, value in zip(values, table[column], strict=True):
        written[name] = min(written.get(name, value.strip()), value.strip())
    names = allowed = in_order(distinct)
    if not all(NUMBER.fullmatch(name) for name in names):
        names = allowed = tuple(sorted(distinct, key=lambda name: (written[name], name)))
    if given:
        numbered = names == tuple(map(str, range(len(given)))) and distinct.isdisjoint(given)
        lowered = tuple(name.lower() for name in names)
        truths = len(given) == 2 and lowered == ("false", "true") and distinct.isdisjoint(given)
        names, allowed = given, names if numbered or truths else given
    else:
        warn_alike(names, what, f"{table.path}: {column}", stacklevel=4)
    position = {name: number for number, name in enumerate(allowed)}
    for row, value in enumerate(values):
        if value not in position:
            raise InputError(
                f"{table.where(row)}: {column} is {value[:40]!r}{near(value, allowed)}",
                f"It must be one of: {', '.join(allowed[:10])}.",
            )
    return names, np.array([position[value] for value in values], dtype=np.int64)


def _role(option: str) -> str:
    return {"classes": "label", "attributes": "attribute"}[option]
