"""ticks.csv: what a person answered about samples of the training split (yes, no, unsure), as the tick sheet saves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.tables import Reading, Table, read_table
from spurcli.errors import InputError
from spurcli.words import counted

COLUMNS = ("id", "answer", "class", "quartile", "stratum", "stratum_size", "feature")
"""The columns of ticks.csv, of which only the first two are needed."""
UNKNOWN = -1
_HINT = "It has the columns id and answer (yes, no or unsure). The tick sheet saves it: spurcli audit --sheet"
_ANSWERS = {
    **dict.fromkeys(("yes", "y", "1", "true"), "yes"),
    **dict.fromkeys(("no", "n", "0", "false"), "no"),
    **dict.fromkeys(("unsure", "u", "?"), "unsure"),
}


@dataclass(frozen=True)
class Ticks:
    """Each ticked sample once: `index` int64 [m] in the training split, ascending; `yes` bool [m], of those that are `sure` [m].

    `quartile` int64 [m] is that of the difficulty in the class, 0 the easiest, and `stratum` int64 [m] that of the random
    sample, which has `stratum_size` int64 [strata] training samples; UNKNOWN where the file does not say. `feature` is the name of the ticked
    feature, "" if it has none. Of `num_repeated` samples that were shown twice or more `num_agreeing` got the same answer;
    the others count as unsure.
    """

    index: NDArray[np.int64]
    yes: NDArray[np.bool_]
    sure: NDArray[np.bool_]
    quartile: NDArray[np.int64]
    stratum: NDArray[np.int64]
    stratum_size: NDArray[np.int64]
    feature: str
    num_repeated: int
    num_agreeing: int


def read_ticks(
    path: Path, label: NDArray[np.int64], class_names: Sequence[str], sample_id: Sequence[str] | None
) -> Ticks:
    """Read ticks.csv about the training samples, with these labels and ids (None: the position is the id).

    Raises InputError for an id or answer that is not known, a class that is not the sample's, and statements about a
    sample or stratum that contradict each other. Rows without an answer are left out.
    """
    wanted = [name if name in ("id", "answer") else f"{name}?" for name in COLUMNS]
    table = read_table(path, wanted, "a table of ticks", _HINT, reading=Reading())
    names = sample_id if sample_id is not None else list(map(str, range(len(label))))
    places = {name: place for place, name in enumerate(names)}
    answers: dict[int, list[str]] = {}
    quartiles: dict[int, int] = {}
    strata: dict[int, str] = {}
    sizes: dict[str, int] = {}
    for row, (name, written) in enumerate(zip(table["id"], table["answer"], strict=True)):
        where = table.where(row)
        if not written.strip():
            continue
        answer = _ANSWERS.get(written.strip().lower())
        if answer is None:
            raise InputError(f"{where}: answer {written[:40]!r} is not known", "Write yes, no or unsure.")
        place = places.get(name)
        if place is None:
            raise InputError(
                f"{where}: no training sample has the id {name[-80:]!r}", "Use ticks of the same data set."
            )
        _require_class(table, row, class_names[label[place]], where)
        quartile = _whole(table, "quartile", row, where, 1, 4) - 1
        stratum = _cell(table, "stratum", row)
        if quartiles.setdefault(place, quartile) != quartile or strata.setdefault(place, stratum) != stratum:
            raise InputError(f"{where}: {name[-80:]!r} is in two quartiles or strata", "Use the sheet's own file.")
        size = _whole(table, "stratum_size", row, where, 1, len(label))
        if stratum and sizes.setdefault(stratum, size) != size:
            raise InputError(f"{where}: stratum {stratum[:40]!r} has two sizes", "Use the sheet's own file.")
        answers.setdefault(place, []).append(answer)
    if not answers:
        raise InputError(f"{path} has no answer", "Open the tick sheet, answer, and save ticks.csv again.")
    index = sorted(answers)
    given = [set(answers[place]) for place in index]
    repeated = [len(answers[place]) > 1 for place in index]
    order = {name: code for code, name in enumerate(sorted(name for name in sizes if sizes[name] > 0))}
    ticks = Ticks(
        np.array(index, dtype=np.int64),
        np.array([one == {"yes"} for one in given]),
        np.array([one in ({"yes"}, {"no"}) for one in given]),
        np.array([quartiles[place] if quartiles[place] >= 0 else UNKNOWN for place in index], dtype=np.int64),
        np.array([order.get(strata[place], UNKNOWN) for place in index], dtype=np.int64),
        np.array([sizes[name] for name in order], dtype=np.int64),
        _feature(table, path),
        sum(repeated),
        sum(twice and len(one) == 1 for twice, one in zip(repeated, given, strict=True)),
    )
    counts = np.bincount(ticks.stratum[ticks.stratum >= 0], minlength=len(order))
    if (counts > ticks.stratum_size).any():
        bad = list(order)[int(np.flatnonzero(counts > ticks.stratum_size)[0])]
        raise InputError(f"{path}: stratum {bad[:40]!r} has more answers than samples", "Use the sheet's own file.")
    return ticks


def _cell(table: Table, name: str, row: int) -> str:
    return table[name][row].strip() if name in table.columns else ""


def _require_class(table: Table, row: int, expected: str, where: str) -> None:
    stated = _cell(table, "class", row)
    if stated and stated != expected.strip():
        raise InputError(
            f"{where}: the class is {stated[:40]!r}, and the sample is {expected[:40]!r}",
            "Use ticks of the same data set.",
        )


def _whole(table: Table, name: str, row: int, where: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`; 0 for an empty cell or no such column."""
    written = _cell(table, name, row)
    if not written:
        return 0
    if written.isascii() and written.isdigit() and len(written) < 16 and low <= int(written) <= high:
        return int(written)
    raise InputError(
        f"{where}: {name} {written[:40]!r} is not a number from {low} to {high:,}", "Use the sheet's own file."
    )


def _feature(table: Table, path: Path) -> str:
    """The one name of the feature, fit to be part of a group's name."""
    names = {" ".join(name.split()) for name in table["feature"]} - {""} if "feature" in table.columns else set()
    if len(names) > 1:
        raise InputError(
            f"{path} is about {counted(len(names), 'feature')}: {', '.join(sorted(names))[:80]}",
            "Tick one feature at a time.",
        )
    return next(iter(names), "").replace("/", "-").lstrip("#").strip()[:48]
