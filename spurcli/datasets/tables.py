"""Tables from outside (CSV, TSV, JSON lines, Parquet): the columns that are asked for, as text, with line numbers.

The one reader behind the benchmarks' metadata and a user's own table. What is wrong is named by line and column.
"""

from __future__ import annotations

import csv
import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from spurcli.artifacts.envelope import require_file
from spurcli.errors import InputError, MissingExtraError
from spurcli.registry import near

SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")
_MAX_LINE = 1 << 24
_MEND = "Mend that line."
_CLOSE = "A quotation mark may not be closed. Texts as long as that: bring them as .jsonl or .parquet."
Row = tuple[int, Sequence[Any]]
Reader = tuple[list[str], Callable[[list[str]], Iterator[Row]]]  # the names of all columns, the rows of some


@dataclass(frozen=True)
class Table:
    """Some columns of a file: `columns` maps each name to its n values as text ("" where there is none).

    `line` [n] counts from 1, the header included; in a Parquet file it is the row.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    line: Sequence[int]

    def __len__(self) -> int:
        return len(self.line)

    def __getitem__(self, name: str) -> Sequence[str]:
        return self.columns[name]

    def where(self, row: int) -> str:
        """The row at a position as errors name it."""
        return f"{self.path}, line {self.line[row]:,}"

    def codes(self, name: str, allowed: Sequence[str]) -> list[int]:
        """The position in `allowed` of each value of a column; InputError naming the first line with another one."""
        position = {value: number for number, value in enumerate(allowed)}
        try:
            return [position[value] for value in self.columns[name]]
        except KeyError as error:
            value = str(error.args[0])
            raise InputError(
                f"{self.where(self.columns[name].index(value))}: {name} is {value[:40]!r}{near(value, allowed)}",
                f"It must be one of: {', '.join(allowed[:10])}.",
            ) from error


def read_table(path: Path, columns: Sequence[str], what: str, hint: str, *, quoted: bool = True) -> Table:
    """Read `columns` of a .csv, .tsv, .txt (tabs), .jsonl or .parquet file; a name that ends in "?" may be absent.

    `what` and `hint` are said when there is no such file. Without `quoted` a quotation mark is a character like
    others, as in the tab-separated files of MultiNLI and GLUE. A byte-order mark and either line end are accepted.

    Raises InputError for a missing column, with near names, and for a bad row, with its line number.
    """
    known, rows_of = _open(path, what, hint, quoted)
    names = _present(columns, known, path)
    values: list[list[str]] = [[] for _ in names]
    lines = array("q")
    for line, row in rows_of(names):
        lines.append(line)
        for column, value in zip(values, row, strict=True):
            column.append(value if isinstance(value, str) else as_text(value, f"{path}, line {line:,}"))
    if not lines:
        raise InputError(f"{path} has no rows", "Check that the right file is named.")
    return Table(path, dict(zip(names, values, strict=True)), lines)


def column_names(path: Path, what: str, hint: str) -> list[str]:
    """The names of all columns of a table (in JSON lines, those of its first), of which `read_table` reads some."""
    return _open(path, what, hint, quoted=True)[0]


def as_text(value: Any, where: str) -> str:
    """A value that is no text, as one: labels may be numbers. None and NaN are "", as in an empty cell."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if abs(value) < 2**53 and value == int(value) else str(value)
    raise InputError(f"{where}: a value is a {type(value).__name__}", "Use texts and numbers.")


def listed(names: Sequence[str]) -> str:
    """Names of columns for an error: the first twenty, none longer than a name should be."""
    return ", ".join(name[:40] if name.isprintable() else repr(name[:40]) for name in names[:20]) or "no columns"


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


def _open(path: Path, what: str, hint: str, quoted: bool) -> Reader:
    require_file(path, what, hint)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    if suffix in (".jsonl", ".json"):
        return _json_lines(path)
    if suffix in SUFFIXES:
        return _separated(path, "," if suffix == ".csv" else "\t", quoted)
    raise InputError(f"{path} is no table that can be read", f"Accepted: {', '.join(SUFFIXES)} (.txt with tabs).")


def _separated(path: Path, separator: str, quoted: bool) -> Reader:
    rows = _quoted_rows(path, separator) if quoted else _plain_rows(path, separator)
    _, first = next(rows, (0, []))
    header = [name.strip() for name in first]
    _refuse_twice(header, path)

    def rows_of(names: list[str]) -> Iterator[Row]:
        places = [header.index(name) for name in names]
        for line, row in rows:
            if len(row) != len(header):
                raise InputError(f"{path}, line {line:,}: {len(row)} fields, the header has {len(header)}", _MEND)
            yield line, [row[place] for place in places]

    return header, rows_of


def _quoted_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            for row in reader:
                line, first = reader.line_num, line + 1
                if row:
                    yield first, row
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, after line {line:,}: not UTF-8 text", "Save it as UTF-8.") from error
    except csv.Error as error:
        long = "field limit" in str(error)
        raise InputError(f"{path}, line {line + 1:,}: {error}", _CLOSE if long else _MEND) from error


def _plain_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        for line, text in _lines(stream, path):
            yield line, text.split(separator)


def _lines(stream: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, counted from 1; only a line feed ends one: texts hold other separators."""
    line = 0
    try:
        while text := stream.readline(_MAX_LINE):
            line += 1
            if len(text) == _MAX_LINE:
                raise InputError(f"{path}, line {line:,} is longer than {_MAX_LINE:,} characters", _MEND)
            if text := text.rstrip("\r\n"):
                yield line, text
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, after line {line:,}: not UTF-8 text", "Save it as UTF-8.") from error


def _json_lines(path: Path) -> Reader:
    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            for line, text in _lines(stream, path):
                try:
                    record = json.loads(text)
                    if "\\u" in text:
                        json.dumps(record, ensure_ascii=False).encode()  # half of a surrogate pair is no character
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {line:,} is not JSON ({str(error)[:60]})", _MEND) from error
                if not isinstance(record, dict):
                    raise InputError(f"{path}, line {line:,} is not a JSON object", "One object a line.")
                yield line, record

    def rows_of(names: list[str]) -> Iterator[Row]:
        for line, record in records():
            for name in names:
                if name not in record:
                    raise InputError(f"{path}, line {line:,} has no {name!r}{near(name, record)}", _MEND)
            yield line, [record[name] for name in names]

    return list(next(records(), (0, {}))[1]), rows_of


def _parquet(path: Path) -> Reader:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError(
            "Reading Parquet needs the package 'pyarrow'", "pip install 'spurcli[tables]'"
        ) from error
    try:
        file = parquet.ParquetFile(path)
        header: list[str] = file.schema_arrow.names
    except (ArrowException, OSError, ValueError, LookupError, TypeError) as error:  # names that are no text, …
        raise InputError(f"{path} is no Parquet file ({_reason(error)})", "Write it again.") from error
    _refuse_twice(header, path)

    def rows_of(names: list[str]) -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(columns=names):
                for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                    number += 1
                    yield number, row
        except (ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: dates beyond Python's
            raise InputError(f"{path}, after row {number:,}: {_reason(error)}", "Write it again.") from error

    return header, rows_of


def _refuse_twice(header: Sequence[str], path: Path) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise InputError(f"{path} has two columns called {twice[:60]!r}", "Rename one of them.")


def _present(columns: Sequence[str], known: Sequence[str], path: Path) -> list[str]:
    """The names of `columns` that the file has; those without "?" must be there."""
    names = []
    for column in columns:
        name = column.removesuffix("?")
        if name in known:
            names.append(name)
        elif name == column:
            raise InputError(f"{path} has no column {name!r}{near(name, known)}", f"It has: {listed(known)}.")
    return names
