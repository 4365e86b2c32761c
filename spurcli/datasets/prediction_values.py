"""Columns of probabilities or logits: which class each is of, and their values as logits."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.logit_checks import what_instead
from spurcli.datasets.own.naming import in_order
from spurcli.datasets.tables import Table
from spurcli.datasets.tables_hdf5 import Numbers
from spurcli.errors import InputError, SpurWarning
from spurcli.names import canonical, canonical_values
from spurcli.registry import near
from spurcli.words import counted

_SUM = 0.02  # how far from 1 a row may be: ten classes at three decimals stay below
# Forms of numbers of spreadsheets that are not read, and what to write instead.
_FORMS = {
    r"-?[0-9]*,[0-9]+": "Write it with a point: 0.5.",
    r"-?[0-9]*[.,]?[0-9]+\s*%": "Write it as a fraction: 0.5 for 50%.",
}
_NO_NUMBER = "Fill it in, or remove the row."
_COARSE = 3  # so many decimals or fewer: close to 0 and 1 the differences between logits are lost


def class_columns(
    columns: Sequence[str], patterns: Sequence[str], labels: Collection[str], path: str, label: str
) -> tuple[tuple[str, ...], list[int]]:
    """The classes in order, and for each the position of its column; −1 is the class that one column alone leaves.

    Columns are named after their classes (p_cat, p_dog), whatever their order; numbers from 0 on may stand for the labels
    in order, and a warning says so. One column is that of the class that it is named after, else of the last class.
    """
    if len(columns) == 1:
        return _positive(columns[0], labels, path, label)
    ends = _ends(columns, patterns)
    plain = canonical_values(ends)
    names = [plain[end] for end in ends]
    if len(set(names)) < len(names) or not all(names):
        raise InputError(
            f"{path}: the columns {', '.join(columns[:8])} do not name their classes",
            "Name them after their classes, as in p_cat, p_dog.",
        )
    if set(names) == set(map(str, range(len(labels)))) and set(names).isdisjoint(labels):
        classes = in_order(set(labels))
        order = [names.index(str(number)) for number in range(len(classes))]
        said = ", ".join(f"{columns[place]} as {name}" for place, name in zip(order[:4], classes, strict=False))
        _warn(
            f"{path}: columns are numbers and labels are names; in the order of names {said}{', …' if len(classes) > 4 else ''}"
        )
        return classes, order
    missing = sorted(set(labels) - set(names))
    if missing:
        _require_one_case(labels, path, label)
        folded = {name.casefold(): name for name in names}
        if len(folded) == len(names) and all(name.casefold() in folded for name in labels):
            lowered = {name.casefold(): name for name in labels}
            names = [lowered.get(name.casefold(), name) for name in names]
        else:
            raise InputError(
                f"{path}: no column is of the class {missing[0][:40]!r} of {label}{near(missing[0], names)}",
                f"The columns {', '.join(columns[:6])} are of {', '.join(names[:6])}: name one of each class, as in p_{missing[0][:20]}.",
            )
    classes = in_order(set(names))
    return classes, [names.index(name) for name in classes]


def _require_one_case(labels: Collection[str], path: str, label: str) -> None:
    """Raise InputError if two labels differ only in case: one of them is probably a slip."""
    known: dict[str, str] = {}
    for name in sorted(labels):
        if (other := known.setdefault(name.casefold(), name)) != name:
            raise InputError(
                f"{path}: {label} has {other[:40]!r} and {name[:40]!r}, which differ only in upper and lower case",
                "Write each class in one way.",
            )


def logits_of(
    table: Table, columns: Sequence[str], order: Sequence[int], *, is_proba: bool, classes: Sequence[str]
) -> NDArray[np.float32]:
    """Logits float32 [n, classes] of the columns in the order of the classes: log-probabilities of probabilities.

    Rounded probabilities stay probabilities, from which `judge` knows that reliance is undefined, and a warning says why.
    InputError that names the line of an empty cell, of a value that is not a number, and of rows that do not sum to 1.
    """
    values = np.stack([_numbers(table, column) for column in columns], axis=1)
    flag = "--proba" if is_proba else "--logit"
    if is_proba:
        _require_probabilities(table, columns, values)
    if len(columns) == 1:
        other = 1 - values if is_proba else np.zeros_like(values)
        values = np.concatenate([values, other], axis=1)
        order = [0 if place >= 0 else 1 for place in order]
    values = values[:, list(order)]
    if not is_proba:
        if np.abs(values).max() > np.finfo(np.float32).max:
            raise InputError(
                f"{table.path}: {flag} holds a number that is too large", "Check the model that made them."
            )
        if len(columns) > 1 and (found := what_instead(values)):
            raise InputError(
                f"{table.path}: {flag} {', '.join(columns[:4])}: {found[0]}, not logits",
                "Use --proba for probabilities.",
            )
        return np.asarray(values, dtype=np.float32)
    values = values / values.sum(axis=1, keepdims=True)
    if reason := _rounded(table, columns, values):
        top = np.sort(values, axis=1)
        ties = int((top[:, -1] == top[:, -2]).sum())
        tied = (
            f"; in {counted(ties, 'row')} two classes are equal, and the first of them ({' before '.join(classes[:2])}) counts"
            if ties
            else ""
        )
        _warn(
            f"{table.path}: {reason}: measures of reliance are undefined{tied}. Write all digits, or logits (--logit)"
        )
        return np.asarray(values, dtype=np.float32)
    return np.asarray(np.log(values), dtype=np.float32)


def _rounded(table: Table, columns: Sequence[str], values: NDArray[np.float64]) -> str:
    """The reason why differences between logits are unknown, as text; "" if there is none."""
    zeros = np.flatnonzero((values <= 0).any(axis=1))
    if len(zeros):
        return f"probabilities are 0 or 1 in {counted(len(zeros), 'row')}, first in {table.unit} {table.line[int(zeros[0])]:,}"
    decimals = -1
    for text in (text for column in columns for text in table[column]):
        decimals = max(decimals, _decimals(text))
        if decimals > _COARSE:
            return ""
    return f"probabilities are rounded to {counted(decimals, 'decimal')}"


def _decimals(text: str) -> int:
    mantissa, _, exponent = text.strip().lower().partition("e")
    return len(mantissa.partition(".")[2].rstrip("0")) - int(exponent or 0)


def _require_probabilities(table: Table, columns: Sequence[str], values: NDArray[np.float64]) -> None:
    total = values.sum(axis=1)
    outside = np.flatnonzero(((values < 0) | (values > 1)).any(axis=1))
    if len(outside):
        row = int(outside[0])
        column = int(np.flatnonzero((values[row] < 0) | (values[row] > 1))[0])
        percent = len(columns) > 1 and values.min() >= 0 and bool((np.abs(total / 100 - 1) < _SUM).all())
        hint = "They are percentages: divide by 100." if percent else "Use --logit for logits."
        raise InputError(f"{table.where(row)}: {columns[column]} is {values[row, column]:g}, not a probability", hint)
    wrong = np.flatnonzero(np.abs(total - 1) > _SUM)
    if len(columns) > 1 and len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"{table.where(row)}: the probabilities {', '.join(columns[:4])}{', …' if len(columns) > 4 else ''} sum to {total[row]:.3g}, not 1",
            "Name the columns of all classes, and of classes that exclude each other.",
        )


def _numbers(table: Table, column: str) -> NDArray[np.float64]:
    written = table[column]
    if isinstance(written, Numbers) and np.isfinite(written.values).all():
        return written.values.astype(np.float64)
    values = []
    for row, text in enumerate(written):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            hint = next((words for form, words in _FORMS.items() if re.fullmatch(form, text.strip())), _NO_NUMBER)
            said = f"{text[:40]!r}, which is not a finite number" if text.strip() else "empty"
            raise InputError(f"{table.where(row)}: {column} is {said}", hint)
        values.append(value)
    return np.array(values)


def _positive(column: str, labels: Collection[str], path: str, label: str) -> tuple[tuple[str, ...], list[int]]:
    """The two classes, and whose probability or logit one column alone is."""
    classes = in_order(set(labels))
    if len(classes) != 2:
        raise InputError(
            f"{path}: {column} is one column, and {label} has {counted(len(classes), 'class')}",
            "Name a column of each class, as in --proba 'p_*'."
            if len(classes) > 2
            else "At least two classes are required.",
        )
    mine = [
        name for name in classes if re.search(rf"(^|[\W_]|(?<=[a-z])(?=[0-9])){re.escape(name)}$", canonical(column))
    ]
    positive = classes.index(mine[0]) if len(mine) == 1 else 1
    if len(mine) != 1:
        _warn(
            f"{path}: {column} is read as the probability of the class {classes[1]!r}, the last of {', '.join(classes)}; to change this, name the column after its class"
        )
    return classes, [0 if number == positive else -1 for number in range(2)]


def _ends(columns: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The part of the names that distinguishes the columns: the match of a pattern's *, else the names without their common part."""
    if len(patterns) == 1 and patterns[0].count("*") == 1 and not re.search(r"[?\[]", patterns[0]):
        before, _, after = patterns[0].partition("*")
        return [canonical(name[len(before) : len(name) - len(after)]) for name in columns]
    before = _shared(columns)
    after = _shared([name[::-1] for name in columns])
    return [canonical(name[len(before) : len(name) - len(after)]) for name in columns]


def _shared(columns: Sequence[str]) -> str:
    """The common prefix, up to a separator, or to the numbers that follow (p0, p1)."""
    first, last = min(columns), max(columns)
    same = [one == other for one, other in zip(first, last, strict=False)]
    common = first[: (same.index(False) if False in same else len(same))]
    found = re.match(r".*[\W_]", common, re.DOTALL)
    if found:
        return found[0]
    letters = common.rstrip("0123456789")
    return letters if all(name[len(letters) :].isdecimal() for name in columns) else ""


def _warn(text: str) -> None:
    warnings.warn(SpurWarning(text), stacklevel=4)
