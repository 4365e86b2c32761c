"""Tables in Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.envelope import parse_json
from spurcli.datasets.tables_separated import refuse_twice
from spurcli.datasets.tables_text import Opened, Row, require_table
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
                for row in zip(*(_values(batch.column(name)) for name in names), strict=True):
                    number += 1
                    yield number, row
        except (ArrowException, OSError, ValueError, OverflowError) as error:  # ValueError: dates beyond Python's
            raise InputError(f"{path}, after row {number:,}: {reason(error)}", AGAIN) from error

    return Opened(lambda _: header, rows_of, "Parquet", unit="row")


def _values(column: Any) -> list[Any]:
    """The values of a column; those of float32 and float16 as the short texts that give the same number again.

    As Python's floats, 0.9 in float32 would be 0.8999999761581421, and would not look rounded.
    """
    from pyarrow import types

    if not (types.is_float32(column.type) or types.is_float16(column.type)):
        values: list[Any] = column.to_pylist()
        return values
    return [None if value is None else str(np.float32(value)) for value in column.to_pylist()]


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
        _require_parquet(path)
        raise InputError(f"{path} is not a Parquet file ({reason(error)})", AGAIN) from error
    refuse_twice(header, path)
    return file


def _require_parquet(path: Path) -> None:
    with path.open("rb") as stream:
        begin = stream.read(1024)
    if not begin.startswith(b"PAR1"):
        require_table(begin, path)


def reason(error: Exception) -> str:
    """The first line of a library's error, cut to fit a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:80]


def class_names(path: Path, column: str) -> tuple[str, ...]:
    """The names of the classes in a column of a file; () unless it is a Parquet file whose schema says them."""
    return class_names_of(parquet_file(path)).get(column, ()) if path.suffix.lower() == ".parquet" else ()


def image_columns(path: Path) -> frozenset[str]:
    """The columns of a file that hold images as bytes; none if it is not a Parquet file."""
    return image_columns_of(parquet_file(path)) if path.suffix.lower() == ".parquet" else frozenset()


def class_names_of(file: Any) -> dict[str, tuple[str, ...]]:
    """The names of the classes in each ClassLabel column, from what `datasets` leaves in the schema; nothing if it is not there."""
    content = (file.schema_arrow.metadata or {}).get(b"huggingface")
    if content is None:
        return {}
    try:
        features = parse_json(content, "the schema")["info"]["features"]
        found = {
            name: tuple(feature["names"])
            for name, feature in features.items()
            if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel"
        }
    except (InputError, LookupError, TypeError, AttributeError):
        return {}
    return {name: names for name, names in found.items() if names and all(isinstance(item, str) for item in names)}


def image_columns_of(file: Any) -> frozenset[str]:
    """The columns that hold images as bytes, alone or with their path."""
    from pyarrow import types

    def holds_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            index = kind.get_field_index("bytes")
            return index >= 0 and holds_bytes(kind.field(index).type)
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    return frozenset(field.name for field in file.schema_arrow if holds_bytes(field.type))
