"""Tables and lists of ids."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from spurcli.artifacts.atomic import atomic_path
from spurcli.errors import InputError, MissingExtraError
from spurcli.exporting.content import Content, as_mapping, plain


def write_csv(content: Content, path: Path) -> None:
    """A row for each sample under a header; missing probabilities are empty."""
    columns = [[_empty(plain(value)) for value in values] for values in content.columns.values()]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(content.columns)
        writer.writerows(zip(*columns, strict=True))


def _empty(value: object) -> object:
    return "" if value == "nan" else str(value).lower() if isinstance(value, bool) else value


def write_parquet(content: Content, path: Path) -> None:
    """The same table as Parquet."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet is written by pyarrow, which is not installed", "pip install 'spurcli[tables]'"
        ) from error
    table = pyarrow.table(as_mapping(content.columns))
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def write_ids(content: Content, path: Path) -> None:
    """One id a line, in the order of the data set."""
    _write_lines(content.ids, path)


def write_keys(content: Content, path: Path) -> None:
    """The key of each sample as webdataset makes it of a file's path: up to the first dot of its name."""
    keys = [key_of(identifier) for identifier in content.ids]
    require_unique(keys, content.ids, "webdataset key")
    _write_lines(keys, path)


def key_of(identifier: str) -> str:
    path = PurePosixPath(identifier)
    return str(path.with_name(path.name.partition(".")[0])) if path.name.partition(".")[0] else identifier


def require_unique(keys: Iterable[str], ids: Iterable[str], what: str) -> None:
    """Raise InputError if two ids give the same key: the export would mix up their samples."""
    first: dict[str, str] = {}
    for key, identifier in zip(keys, ids, strict=True):
        if first.setdefault(key, identifier) != identifier:
            raise InputError(
                f"{first[key]!r} and {identifier!r} have the same {what}, {key!r}",
                "Export as csv, which keeps the full ids.",
            )


def _write_lines(lines: Iterable[str], path: Path) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for line in lines:
            if line.splitlines() != [line]:
                raise InputError(f"The id {line[:60]!r} is not one line", "Export as csv.")
            stream.write(f"{line}\n")
