"""The rows of tables whose fields are separated by a character: the meaning of quotation marks, and which rows are rejected.

In CSV a quotation mark encloses a field, perhaps over several lines. In tab-separated files it is a character, unless
the field is closed on its line, or only the reading over several lines gives complete rows.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spurcli.datasets.tables_separator import NAMED, Shape, csv_format, find_shape
from spurcli.datasets.tables_text import (
    FIX,
    Opened,
    Reading,
    Row,
    encoding_of,
    lines_of,
    not_decodable,
    open_text,
)
from spurcli.errors import InputError
from spurcli.names import canonical
from spurcli.words import counted

_CLOSE = "A quotation mark may not be closed. For texts this long, use .jsonl or .parquet."
_QUOTING = "; if quotation marks are ordinary characters: --set dataset.options.quoting=none"
_ESCAPED = '; if \\" is a quotation mark inside quotes: --set dataset.options.quoting=backslash'
_CLOSED = re.compile(r'"((?:[^"\t]|"")*)"(?=\t|$)')
_NUM_LINES, _EVERY, _MAX_VALUES = 5000, 16, 200  # the part that is read to distinguish rows from texts
Fields = tuple[int, list[str]]
Lines = Iterator[tuple[int, str]]


def open_separated(path: Path, default: str, reading: Reading | None, *, quoted: bool = True) -> Opened:
    """Open a file whose fields are separated by `default`, unless its header is separated by another character.

    `reading` None is for files of one known layout: nothing is guessed.
    """
    own, reading = reading is not None, reading or Reading()
    encoding = encoding_of(path, reading.encoding)
    quoting = reading.quoting or ("" if quoted else "none")
    try:
        shape = find_shape(path, default, reading, encoding, own)
    except UnicodeDecodeError as error:
        raise not_decodable(path, encoding, own) from error
    separator = shape.separator

    def all_rows() -> Iterator[Fields]:
        try:
            with open_text(path, encoding, newline="\n" if quoting == "none" else "") as stream:
                lines = lines_of(stream, path)
                for _ in range(shape.skipped):
                    next(lines, None)
                if quoting == "none":
                    yield from _plain_rows(lines, separator)
                elif separator == "\t" and not quoting:
                    yield from _tab_rows(lines, path, own, _Classes(path, encoding, separator))
                else:
                    classes = None if quoting else _Classes(path, encoding, separator)
                    yield from _csv_rows(lines, path, csv_format(separator, quoting), own, classes)
        except UnicodeDecodeError as error:
            raise not_decodable(path, encoding, own) from error

    _, first = next(all_rows(), (0, []))
    header = [canonical(name) for name in first]
    refuse_twice([name for name in header if name], path)
    check = _Widths(path, first, header, shape) if own else None

    def rows_of(names: list[str]) -> Iterator[Row]:
        places = [header.index(name) + shape.has_row_names for name in names]
        rows = all_rows()
        next(rows, None)
        for line, row in rows:
            if check is None and len(row) != len(header):
                raise _wrong_width(path, line, row, header, FIX)
            if check is None or check.is_sample(line, row):
                yield line, [row[place] for place in places]

    said = f"separated by {NAMED.get(separator, repr(separator))}, {encoding.upper().removesuffix('-SIG')}"
    if quoting == "none":
        said += ", quotation marks are ordinary characters"
    return Opened(lambda _: [name for name in header if name], rows_of, said, shape.decided)


class _Widths:
    """Which rows of a user's table are samples: those as wide as the header, without what programs add on the right."""

    def __init__(self, path: Path, first: Sequence[str], header: Sequence[str], shape: Shape) -> None:
        self._path, self._first, self._header, self._shape = path, first, header, shape
        self._width = len(header) + shape.has_row_names
        self._named = self._width  # columns without a name after the last one: Excel writes them
        while self._named > 1 and not header[self._named - 1 - shape.has_row_names]:
            self._named -= 1

    def is_sample(self, line: int, row: Sequence[str]) -> bool:
        """False for a row without a value; InputError for one that does not fit the header, or repeats it."""
        if not any(row):
            return False  # separators alone, as Excel writes below the last row
        beyond = any(row[self._named :])
        if len(row) < self._named or (len(row) != self._width and len(row) > self._named and beyond):
            raise _wrong_width(self._path, line, row, self._header, self._advice(row))
        if beyond:
            raise InputError(f"{self._path}, line {line:,}: a value in a column that has no name", FIX)
        if row == self._first:
            raise InputError(
                f"{self._path}, line {line:,} repeats the header", "Remove this line: two files may have been joined."
            )
        if self._shape.has_row_names and not row[0].isdecimal():
            raise InputError(f"{self._path}, line {line:,}: {row[0][:40]!r} is not the number of a row", FIX)
        return True

    def _advice(self, row: Sequence[str]) -> str:
        if self._shape.is_wider:
            return "If each row begins with its name, as R writes it, name that column in the header too."
        if len(row) > self._width:
            return f"{FIX} A text that holds the separator must be in quotation marks."
        return FIX


def _wrong_width(path: Path, line: int, row: Sequence[str], header: Sequence[str], advice: str) -> InputError:
    return InputError(f"{path}, line {line:,}: {counted(len(row), 'field')}, the header has {len(header)}", advice)


def refuse_twice(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path} has two columns called {twice[:60]!r}", "Rename one of them.")


# ---- rows


def _plain_rows(lines: Lines, separator: str) -> Iterator[Fields]:
    for line, text in lines:
        if text := text.rstrip("\r\n"):
            yield line, text.split() if separator == " " else text.split(separator)


def _csv_rows(lines: Lines, path: Path, form: dict[str, Any], own: bool, classes: _Classes | None) -> Iterator[Fields]:
    """Rows of RFC 4180, or in the format of `csv_format`; with `classes`, a quoted text that contains rows is an error."""
    taken: list[tuple[int, str]] = []
    start = 1

    def feed() -> Iterator[str]:
        for line, text in lines:
            taken.append((line, text))
            yield text.rstrip(" \r\n") + "\n" if form["delimiter"] == " " else text

    width = 0
    try:
        for row in csv.reader(feed(), strict=True, **form):
            width = width or len(row)
            first, last = taken[0][0], taken[-1][0]
            if row:
                yield first, row
            if classes is not None and len(taken) > 1 and classes.in_most([text for _, text in taken], width):
                raise _swallowed(path, first, last, own)
            start = last + 1
            taken.clear()
    except csv.Error as error:
        where = f"{path}, line {taken[0][0] if taken else start:,}"
        if "field limit" in str(error):
            raise InputError(f"{where}: {error}", _CLOSE) from error
        is_escaped = "escapechar" not in form and any('\\"' in text for _, text in taken)
        raise InputError(f"{where}: {error}", _fix(own, is_escaped)) from error


def _swallowed(path: Path, first: int, last: int, own: bool) -> InputError:
    return InputError(
        f"{path}, line {first:,}: a quoted text spans {counted(last - first + 1, 'line')} and looks like rows of the table",
        'Write "" for a quotation mark inside quotes, or --set dataset.options.quoting=none (csv: it is one text).'
        if own
        else "Fetch the file again.",
    )


def _fix(own: bool, is_escaped: bool = False) -> str:
    return FIX.removesuffix(".") + ((_ESCAPED if is_escaped else _QUOTING) if own else ".")


class _Classes:
    """The values of those columns that hold few different ones: they distinguish a row from a part of a text.

    Taken from the lines without quotation marks, when it is first asked.
    """

    def __init__(self, path: Path, encoding: str, separator: str) -> None:
        self._path, self._encoding, self._separator = path, encoding, separator
        self._columns: list[tuple[int, Counter[str]]] | None = None

    def in_most(self, lines: Sequence[str], width: int) -> bool:
        """Whether most of these lines, two at least, are rows with known values in all such columns."""
        rows = [text.rstrip("\r\n").split(self._separator) for text in lines]
        rows = [row for row in rows if len(row) == width > 1]
        if len(rows) < 2 or 2 * len(rows) <= len(lines):
            return False
        if self._columns is None:
            self._columns = self._look(width)
        alike = [row for row in rows if self._is_known(row)]
        return len(alike) > 1 and 2 * len(alike) > len(lines)

    def _is_known(self, row: Sequence[str]) -> bool:
        columns = self._columns or []
        return any(row[place] for place, _ in columns) and all(counts[row[place]] > 1 for place, counts in columns)

    def _look(self, width: int) -> list[tuple[int, Counter[str]]]:
        counts: list[Counter[str]] = [Counter() for _ in range(width)]
        num_rows = 0
        with open_text(self._path, self._encoding) as stream:
            for line, text in lines_of(stream, self._path):
                if '"' in text or (line > _NUM_LINES and line % _EVERY):
                    continue
                row = text.rstrip("\r\n").split(self._separator)
                if len(row) != width:
                    continue
                num_rows += 1
                if num_rows == 1:
                    continue  # the header
                for counter, value in zip(counts, row, strict=True):
                    if len(counter) <= _MAX_VALUES:
                        counter[value] += 1
        few = [len(counter) <= _MAX_VALUES and 2 * len(counter) < num_rows for counter in counts]
        return [(place, counts[place]) for place in range(width) if few[place]]


def _tab_rows(lines: Lines, path: Path, own: bool, classes: _Classes) -> Iterator[Fields]:
    """Rows of tab-separated fields. A quotation mark that is not closed on its line is a character if the lines that it
    would enclose are rows, or if it is never closed so that a complete row comes out; else it encloses several lines.
    """
    waiting: deque[tuple[int, str]] = deque()
    width = 0

    def following() -> tuple[int, str] | None:
        return waiting.popleft() if waiting else next(lines, None)

    def is_row(text: str) -> bool:
        after = following()
        if after is None:
            return True
        waiting.appendleft(after)
        return classes.in_most([text, after[1]], width)

    while (item := following()) is not None:
        line, text = item
        if not text.strip("\r\n"):
            continue
        fields, is_open = _fields_of_line(text)
        width = width or len(fields)
        complete = len(fields) == width
        if (is_open and not (complete and is_row(text))) or ('"' in text and not complete):
            taken = [item]
            row = _row_over_lines(taken, following)
            if row is not None and len(row) == width and not classes.in_most([part for _, part in taken], width):
                fields = row
            else:
                waiting.extendleft(reversed(taken[1:]))
                if is_open and not complete and row is not None and len(row) == width:
                    raise _swallowed(path, line, taken[-1][0], own)
                if is_open and not complete:
                    raise InputError(
                        f"{path}, line {line:,}: {counted(len(fields), 'field')}, and a quotation mark that is not closed",
                        _fix(own),
                    )
        yield line, fields


def _fields_of_line(text: str) -> tuple[list[str], bool]:
    """The fields of one line, and whether one begins with a quotation mark that is not closed before the next tab."""
    text = text.rstrip("\r\n")
    if '"' not in text:
        return text.split("\t"), False
    fields, place, is_open = [], 0, False
    while place <= len(text):
        closed = _CLOSED.match(text, place)
        end = text.find("\t", place) if closed is None else closed.end()
        end = len(text) if end < 0 else end
        if closed is None:
            is_open = is_open or text.startswith('"', place)
            fields.append(text[place:end])
        else:
            fields.append(closed[1].replace('""', '"'))
        place = end + 1
    return fields, is_open


def _row_over_lines(taken: list[tuple[int, str]], following: Callable[[], tuple[int, str] | None]) -> list[str] | None:
    """The row that begins in `taken` by the rules of CSV, to which the lines that it needs are added; None if none ends."""

    def feed() -> Iterator[str]:
        yield taken[0][1]
        size = 0
        while size < csv.field_size_limit() and (item := following()) is not None:
            taken.append(item)
            size += len(item[1])
            yield item[1]

    try:
        return next(csv.reader(feed(), delimiter="\t", strict=True), None)
    except csv.Error:
        return None
