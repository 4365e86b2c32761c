"""Tables of other programs (CSV, TSV, JSON, Parquet, HDF5): the requested columns, as text, with line numbers.

The one reader behind the benchmarks' metadata and a user's own table. Errors name the line and column.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import require_file
from spurcli.datasets.tables_hdf5 import is_hdf5_name, open_hdf5_table
from spurcli.datasets.tables_json import open_json
from spurcli.datasets.tables_parquet import open_parquet
from spurcli.datasets.tables_separated import open_separated
from spurcli.datasets.tables_text import PACKED, Opened, Reading, without_packing
from spurcli.errors import InputError, SpurWarning
from spurcli.registry import near

__all__ = ["SUFFIXES", "Reading", "Table", "as_text", "column_names", "is_table_name", "listed", "read_table"]
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
_OTHERS = {
    ("xlsx", "xls", "xlsm", "ods", "numbers"): "Save the sheet as CSV (UTF-8), and name that file.",
    ("zip", "7z", "tar", "tgz", "rar", "zst"): "Unpack it, and name the table in it.",
    ("gzip",): "Rename it to end in .gz; a Parquet file ends in .parquet, however it is compressed.",
    ("feather", "arrow", "orc", "pkl", "pickle", "dta", "sav", "rdata", "sqlite", "db"): "Save it as Parquet or CSV.",
}


@dataclass(frozen=True)
class Table:
    """Some columns of a file: `columns` maps each name to its n values as text ("" where there is none).

    `line` [n] counts from 1, the header included; in a Parquet or HDF5 file it is the row, in a JSON array the object. `read_as`
    says how the file was read, `within` [n] the part of it (a split, a file) where there are several.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    line: Sequence[int]
    read_as: str = ""
    unit: str = "line"
    within: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.line)

    def __getitem__(self, name: str) -> Sequence[str]:
        return self.columns[name]

    def where(self, row: int) -> str:
        """The row at a position as errors name it."""
        part = f" of {self.within[row]}" if self.within else ""
        return f"{self.path}, {self.unit} {self.line[row]:,}{part}"

    def take(self, rows: NDArray[np.int64]) -> Table:
        """The table of some rows, by their positions int64 [m]."""
        if len(rows) == len(self) and bool((rows == np.arange(len(self))).all()):
            return self
        chosen = rows.tolist()
        return replace(
            self,
            columns={name: [values[row] for row in chosen] for name, values in self.columns.items()},
            line=[self.line[row] for row in chosen],
            within=[self.within[row] for row in chosen] if self.within else (),
        )

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


def read_table(
    path: Path, columns: Sequence[str], what: str, hint: str, *, quoted: bool = True, reading: Reading | None = None
) -> Table:
    """Read `columns` of a .csv, .tsv, .txt (tabs), .jsonl, .ndjson, .json, .parquet or .h5 file; one that ends in "?" may be absent.

    `what` and `hint` are used in the error for a missing file. Without `quoted` a quotation mark is a character like
    others, as in the tab-separated files of MultiNLI and GLUE. With `reading` (a user's own table) the separator is
    detected in the header unless it is given, and a warning names the detected one. Compressed text (.gz, .bz2, .xz), a
    byte-order mark and any line end are accepted.

    Raises InputError for a missing column, with near names, and for a bad row, with its line number.
    """
    opened = _open(path, what, hint, quoted, reading)
    names = _present(columns, opened.names([column.removesuffix("?") for column in columns]), path)
    if opened.columns is not None:
        whole = opened.columns(names)
        return Table(path, whole, range(1, 1 + len(whole[names[0]])), opened.read_as, opened.unit)
    values: list[list[str]] = [[] for _ in names]
    lines = array("q")
    for line, row in opened.rows(names):
        lines.append(line)
        for name, column, value in zip(names, values, row, strict=True):
            column.append(
                value if isinstance(value, str) else as_text(value, f"{path}, {opened.unit} {line:,}: {name}")
            )
    if not lines:
        raise InputError(f"{path} has no rows", "Check that the right file is named.")
    for decision in opened.decided:
        warnings.warn(SpurWarning(decision), stacklevel=2)
    return Table(path, dict(zip(names, values, strict=True)), lines, opened.read_as, opened.unit)


def column_names(path: Path, what: str, hint: str, reading: Reading | None = None) -> list[str]:
    """The names of all columns of a table (of JSON, the keys of all objects), of which `read_table` reads some."""
    return _open(path, what, hint, True, reading).names(())


def is_table_name(name: str) -> bool:
    """Whether a file's name is that of a table, compressed or not."""
    return without_packing(Path(name)).suffix.lower() in SUFFIXES


def as_text(value: Any, where: str) -> str:
    """A value of another type as text, because labels may be numbers. None and NaN are "", as in an empty cell.

    Raises InputError that begins with `where`, which names the column, for values of other types.
    """
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if abs(value) < 2**53 and value == int(value) else str(value)
    raise InputError(f"{where} is of type {type(value).__name__}", "Write one text or number in each cell.")


def listed(names: Sequence[str]) -> str:
    """Names of columns for an error: the first twenty, none longer than a name should be."""
    return ", ".join(name[:40] if name.isprintable() else repr(name[:40]) for name in names[:20]) or "no columns"


def _open(path: Path, what: str, hint: str, quoted: bool, reading: Reading | None) -> Opened:
    require_file(path, what, hint)
    suffix = without_packing(path).suffix.lower()
    if suffix == ".parquet":
        return open_parquet(path)
    if is_hdf5_name(path):
        return open_hdf5_table(path)
    if suffix in (".jsonl", ".ndjson", ".json"):
        return open_json(path, reading)
    if suffix in SUFFIXES:
        return open_separated(path, "," if suffix == ".csv" else "\t", reading, quoted=quoted)
    advice = next((advice for endings, advice in _OTHERS.items() if suffix[1:] in endings), "")
    raise InputError(
        f"{path}: unsupported table format",
        advice or f"Accepted: {', '.join(SUFFIXES)} (.txt with tabs), {', '.join(PACKED)}.",
    )


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
