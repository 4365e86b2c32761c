"""How the fields of a table are separated: detected in its header and first rows, and reported if it was guessed."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurcli.datasets.tables_text import Reading, lines_of, open_text
from spurcli.errors import InputError

NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 1 << 20


@dataclass(frozen=True)
class Shape:
    """How a file is cut into rows of fields: `separator`, `skipped` lines before the header, and `has_row_names`, whether
    each row begins with a number that the header does not name, as R's write.table has it.

    `is_wider`: all rows have one field more than the header. `decided` says what was guessed.
    """

    separator: str
    skipped: int = 0
    has_row_names: bool = False
    is_wider: bool = False
    decided: tuple[str, ...] = ()


def csv_format(separator: str, quoting: str) -> dict[str, Any]:
    """The words that Python's csv takes for a separator and the option `quoting`."""
    form: dict[str, Any] = {"delimiter": separator}
    if separator == " ":
        form["skipinitialspace"] = True  # any number of spaces is one separator
    if quoting == "backslash":
        form["escapechar"] = "\\"
    return form


def find_shape(path: Path, default: str, reading: Reading, encoding: str, own: bool) -> Shape:
    """How a file is separated: as `reading` or a line sep=; says, else as its header is; `default` if that fits.

    Without `own`, of a file of a known layout, nothing is looked at. Raises InputError if it may be one or another.
    """
    if not own:
        return Shape(default)
    sample = _sample(path, encoding)
    told = re.fullmatch(r'"?sep=(.)"?\s*', sample[0]) if sample else None
    skipped = int(told is not None)
    rows = {separator: _rows(sample[skipped:], separator, reading.quoting) for separator in NAMED}
    separator, decided = reading.separator or (told[1] if told else ""), []
    if not separator:
        separator = _likely(path, default, rows)
        if separator != default:
            decided.append(
                f"{path.name} is read as separated by {NAMED[separator]}, as its header is. --set {_option(separator)} avoids this warning"
            )
    found = rows.get(separator) or _rows(sample[skipped:], separator, reading.quoting)
    has_row_names = _has_row_names(found)
    if has_row_names:
        decided.append(
            f"{path.name}: each row has one field more than the header; the first field is read as the row number, as R writes it"
        )
    return Shape(separator, skipped, has_row_names, _is_wider(found), tuple(decided))


def _sample(path: Path, encoding: str) -> list[str]:
    """The first lines."""
    with open_text(path, encoding) as stream:
        sample, size = [], 0
        for _, text in lines_of(stream, path):
            sample.append(text)
            size += len(text)
            if len(sample) > _SAMPLE_LINES or size > _SAMPLE_CHARACTERS:
                sample.pop()  # a record may continue after it
                break
    return sample


def _likely(path: Path, default: str, rows: dict[str, list[list[str]]]) -> str:
    """The separator of a header: `default` if the header holds it, unless another one fits all rows and it does not."""
    widths = {separator: [len(row) for row in found] or [0] for separator, found in rows.items()}
    fitting = [
        separator
        for separator, found in widths.items()
        if found[0] > 1 and (len(set(found)) == 1 or _has_row_names(rows[separator]))
    ]
    headed = [separator for separator, found in widths.items() if found[0] > 1 and separator != " "]
    if default in fitting or (default in headed and not fitting):
        return default
    found = [separator for separator in fitting if separator != " "] or headed or fitting  # texts hold spaces
    if not found:
        return default
    if len(found) > 1:
        raise InputError(
            f"{path} may be separated by {' or '.join(NAMED[item] for item in found)}",
            f"Choose one: --set {_option(found[0])}",
        )
    return found[0]


def _option(separator: str) -> str:
    named = {"\t": "tab", " ": "space"}
    return shlex.quote(f"dataset.options.separator={named.get(separator, separator)}")


def _has_row_names(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all rows have one field more than the header, and begin with different whole numbers."""
    names = [row[0] for row in rows[1:]]
    return _is_wider(rows) and all(name.isdecimal() for name in names) and len(set(names)) == len(names)


def _is_wider(rows: Sequence[Sequence[str]]) -> bool:
    """Whether all rows have one field more than the header, and that is not just a separator at the end of each."""
    if len(rows) < 2 or not all(rows[0]):
        return False
    return all(len(row) == len(rows[0]) + 1 for row in rows[1:]) and any(row[-1] for row in rows[1:])


def _rows(sample: Sequence[str], separator: str, quoting: str) -> list[list[str]]:
    """The rows of a sample; as many as can be split so."""
    lines = [text.rstrip("\r\n" if separator != " " else " \r\n") for text in sample]
    if quoting == "none" or (separator == "\t" and not quoting):
        cut = None if separator == " " else separator
        rows = [text.split(cut) for text in lines if text.strip(separator + " ")]
        return [
            [field[1:-1] if len(field) > 1 and field[0] == field[-1] == '"' else field for field in row] for row in rows
        ]
    found = []
    try:
        for row in csv.reader([text + "\n" for text in lines], strict=True, **csv_format(separator, quoting)):
            if any(row):
                found.append(row)
    except csv.Error:
        pass  # cut at the sample's end, or a mistake that reading names with its line
    return found
