"""Tables whose fields are separated by commas, tabs, semicolons or bars: which character, what quotation marks mean.

In CSV a quotation mark encloses a field, perhaps over several lines. In tab-separated files it is a character, unless
the field is closed on its line, or only the reading over several lines gives complete rows.
"""

from __future__ import annotations

import csv
import re
import shlex
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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

_NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 1 << 20
_CLOSE = "A quotation mark may not be closed. Bring texts as long as that as .jsonl or .parquet."
_QUOTING = "; if quotation marks are characters: --set dataset.options.quoting=none"
_CLOSED = re.compile(r'"((?:[^"\t]|"")*)"(?=\t|$)')
_NUM_LINES, _EVERY, _MAX_VALUES = 5000, 16, 200  # what is looked at to tell rows from texts
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
        separator, skipped, decided = _separator(path, default, reading, encoding, own)
    except UnicodeDecodeError as error:
        raise not_decodable(path, encoding, own) from error

    def all_rows() -> Iterator[Fields]:
        try:
            with open_text(path, encoding, newline="\n" if quoting == "none" else "") as stream:
                lines = lines_of(stream, path)
                for _ in range(skipped):
                    next(lines, None)
                if quoting == "none":
                    yield from _plain_rows(lines, separator)
                elif separator == "\t" and not quoting:
                    yield from _tab_rows(lines, path, own, _Classes(path, encoding, separator))
                else:
                    classes = None if quoting else _Classes(path, encoding, separator)
                    yield from _csv_rows(lines, path, separator, own, classes)
        except UnicodeDecodeError as error:
            raise not_decodable(path, encoding, own) from error

    _, first = next(all_rows(), (0, []))
    header = [canonical(name) for name in first]
    named = len(header)
    while named > 1 and not header[named - 1]:
        named -= 1  # columns without a name after the last one: Excel writes them
    refuse_twice([name for name in header if name], path)

    def rows_of(names: list[str]) -> Iterator[Row]:
        places = [header.index(name) for name in names]
        rows = all_rows()
        next(rows, None)
        for line, row in rows:
            if own and not any(row):
                continue  # separators alone, as Excel writes below the last row
            if len(row) != len(header) and len(row) != named:
                raise InputError(
                    f"{path}, line {line:,}: {counted(len(row), 'field')}, the header has {len(header)}", FIX
                )
            if any(row[named:]):
                raise InputError(f"{path}, line {line:,}: a value in a column that has no name", FIX)
            yield line, [row[place] for place in places]

    said = f"separated by {_NAMED.get(separator, repr(separator))}, {encoding.upper().removesuffix('-SIG')}"
    if quoting == "none":
        said += ", quotation marks are characters"
    return Opened(lambda _: [name for name in header if name], rows_of, said, decided)


def refuse_twice(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path} has two columns called {twice[:60]!r}", "Rename one of them.")


# ---- which character separates


def _separator(
    path: Path, default: str, reading: Reading, encoding: str, own: bool
) -> tuple[str, int, tuple[str, ...]]:
    """The separator, the number of lines before the header, and what to say about it."""
    if not own:
        return default, 0, ()
    with open_text(path, encoding) as stream:
        sample, size = [], 0
        for _, text in lines_of(stream, path):
            sample.append(text)
            size += len(text)
            if len(sample) > _SAMPLE_LINES or size > _SAMPLE_CHARACTERS:
                sample.pop()  # a record may go on after it
                break
    told = re.fullmatch(r'"?sep=(.)"?\s*', sample[0]) if sample else None
    skipped = int(told is not None)
    if reading.separator or told is not None:
        return reading.separator or (told[1] if told else ""), skipped, ()
    widths = {separator: _widths(sample, separator, reading.quoting) for separator in _NAMED}
    fitting = [separator for separator, found in widths.items() if found[0] > 1 and len(set(found)) == 1]
    headed = [separator for separator, found in widths.items() if found[0] > 1]
    if default in fitting or (default in headed and not fitting):
        return default, 0, ()
    found = fitting or headed
    if not found:
        return default, 0, ()
    if len(found) > 1:
        raise InputError(
            f"{path} may be separated by {' or '.join(_NAMED[item] for item in found)}",
            f"Say which: --set {_option(found[0])}",
        )
    flag = f"--set {_option(found[0])}"
    said = (
        f"{path.name} is read as separated by {_NAMED[found[0]]}, as its header is. {flag} says so without this warning"
    )
    return found[0], 0, (said,)


def _option(separator: str) -> str:
    return shlex.quote(f"dataset.options.separator={'tab' if separator == chr(9) else separator}")


def _widths(sample: Sequence[str], separator: str, quoting: str) -> list[int]:
    """The number of fields of each row of a sample; [0] if it cannot be split so."""
    lines = [text.rstrip("\r\n") for text in sample]
    if quoting == "none" or (separator == "\t" and not quoting):
        return [len(text.split(separator)) for text in lines if text.strip(separator + " ")] or [0]
    rows = csv.reader(sample, delimiter=separator, strict=True)
    widths = []
    try:
        for row in rows:
            if any(row):
                widths.append(len(row))
    except csv.Error:
        pass  # cut at the sample's end, or a mistake that reading names with its line
    return widths or [0]


# ---- rows


def _plain_rows(lines: Lines, separator: str) -> Iterator[Fields]:
    for line, text in lines:
        if text := text.rstrip("\r\n"):
            yield line, text.split(separator)


def _csv_rows(lines: Lines, path: Path, separator: str, own: bool, classes: _Classes | None) -> Iterator[Fields]:
    """Rows of RFC 4180; with `classes`, a quoted text that has swallowed rows is an error."""
    taken: list[tuple[int, str]] = []
    start = 1

    def feed() -> Iterator[str]:
        for line, text in lines:
            taken.append((line, text))
            yield text

    width = 0
    try:
        for row in csv.reader(feed(), delimiter=separator, strict=True):
            width = width or len(row)
            first, last = taken[0][0], taken[-1][0]
            if row:
                yield first, row
            if classes is not None and len(taken) > 1 and classes.in_most([text for _, text in taken], width):
                raise InputError(
                    f"{path}, line {first:,}: a quoted text runs over {last - first + 1:,} lines and holds what looks like rows",
                    'Write "" for a quotation mark inside quotes, or --set dataset.options.quoting=none (csv: it is one text).'
                    if own
                    else "Fetch the file again.",
                )
            start = last + 1
            taken.clear()
    except csv.Error as error:
        where = f"{path}, line {taken[0][0] if taken else start:,}"
        if "field limit" in str(error):
            raise InputError(f"{where}: {error}", _CLOSE) from error
        raise InputError(f"{where}: {error}", _fix(own)) from error


def _fix(own: bool) -> str:
    return FIX.removesuffix(".") + (_QUOTING if own else ".")


class _Classes:
    """The values of those columns that hold few different ones: they tell a row from a piece of a text.

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
