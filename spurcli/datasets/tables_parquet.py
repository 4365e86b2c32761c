"""Tables in Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spurcli.datasets.tables_separated import refuse_twice
from spurcli.datasets.tables_text import Opened, Row
from spurcli.errors import InputError, MissingExtraError

AGAIN = "Write it again."


def open_parquet(path: Path) -> Opened:
    """Open a Parquet file; rows are counted from 1."""
    file = parquet_file(path)
    from pyarrow import ArrowException

    header: list[str] = file.schema_arrow.names

    def rows_of(names: list[str]) -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(columns=names):
                for row in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
                    number += 1
                    yield number, row
        except (ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: dates beyond Python's
            raise InputError(f"{path}, after row {number:,}: {reason(error)}", AGAIN) from error

    return Opened(lambda _: header, rows_of, "Parquet")


def parquet_file(path: Path) -> Any:
    """The `pyarrow.parquet.ParquetFile` there, whose schema can be read and names each column once."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError(
            "Reading Parquet needs the package 'pyarrow'", "pip install 'spurcli[tables]'"
        ) from error
    try:
        file = parquet.ParquetFile(path)
        header = file.schema_arrow.names
    except (ArrowException, OSError, ValueError, LookupError, TypeError) as error:  # names that are no text, …
        raise InputError(f"{path} is not a Parquet file ({reason(error)})", AGAIN) from error
    refuse_twice(header, path)
    return file


def reason(error: Exception) -> str:
    """The first line of a library's error, cut to fit a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:80]
