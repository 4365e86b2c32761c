"""Parquet files in the layout of the Hugging Face hub: images as bytes in a column, class names in the schema, shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurcli.datasets.own.columns import Source, Wanted
from spurcli.datasets.own.stored import ArrowRows, StoredPart, read_stored
from spurcli.datasets.tables_parquet import AGAIN, class_names_of, image_columns_of, parquet_file, reason
from spurcli.errors import InputError
from spurcli.words import counted

_MAX_BYTES = 8 << 30  # encoded images are held in memory
_SAVE = "Save it for reading from disk: datasets.load_dataset('parquet', data_files=…).save_to_disk(FOLDER)"


def read_hub(place: Path, files: Sequence[tuple[str, Path]], wanted: Wanted) -> Source:
    """The content that `wanted` selects from the Parquet `files`, each with its split ("" where there are none), in their order."""
    by_split: dict[str, list[Any]] = {}
    paths: dict[str, list[Path]] = {}
    for split, path in files:
        by_split.setdefault(split, []).append(parquet_file(path))
        paths.setdefault(split, []).append(path)
    parts = {split: _part(shards, paths[split]) for split, shards in by_split.items()}

    def rows_with(column: str, splits: Sequence[str]) -> ArrowRows:
        import pyarrow

        try:
            size = sum(_num_bytes(shard, column) for split in splits for shard in by_split[split])
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise InputError(f"{place}, column {column!r}: {reason(error)}", AGAIN) from error
        if size > _MAX_BYTES:
            raise InputError(f"{place} holds {size / 2**30:.0f} GiB of images, too many to load into memory", _SAVE)
        chunks = [chunk for split in splits for chunk in _as_struct(parts[split].column(column)).chunks]
        return ArrowRows(
            pyarrow.table({column: pyarrow.chunked_array(chunks)}),
            [{"filename": str(path)} for split in splits for path in paths[split]],
        )

    return read_stored(place, parts, wanted, rows_with, read_as="Parquet", again=AGAIN)


def _part(shards: Sequence[Any], paths: Sequence[Path]) -> StoredPart:
    first = shards[0]
    for shard, path in zip(shards, paths, strict=True):
        if not shard.schema_arrow.equals(first.schema_arrow):
            raise InputError(f"{path} has other columns than {paths[0].name}", "Fetch the files again.")

    def column(name: str) -> Any:
        import pyarrow

        chunks = []
        for shard, path in zip(shards, paths, strict=True):
            try:
                found = shard.read(columns=[name]).column(name)
                found.validate(full=True)  # else a text that is not UTF-8 fails later
                if len(found) != shard.metadata.num_rows:
                    raise ValueError(f"{counted(len(found), 'value')} in {counted(shard.metadata.num_rows, 'row')}")
                chunks += found.chunks
            except (pyarrow.ArrowException, OSError, ValueError, LookupError, MemoryError) as error:
                raise InputError(f"{path}, column {name!r}: {reason(error)}", AGAIN) from error
        return pyarrow.chunked_array(chunks, type=first.schema_arrow.field(name).type)

    return StoredPart(
        sum(shard.metadata.num_rows for shard in shards),
        list(first.schema_arrow.names),
        class_names_of(first),
        image_columns_of(first),
        column,
    )


def _as_struct(column: Any) -> Any:
    """Plain bytes as the struct format of images with a path."""
    import pyarrow

    if pyarrow.types.is_struct(column.type):
        return column
    chunks = [pyarrow.StructArray.from_arrays([chunk], ["bytes"]) for chunk in column.chunks]
    return pyarrow.chunked_array(chunks, type=pyarrow.struct([("bytes", column.type)]))


def _num_bytes(file: Any, column: str) -> int:
    metadata = file.metadata
    return sum(
        metadata.row_group(group).column(place).total_uncompressed_size
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
        if metadata.row_group(group).column(place).path_in_schema.split(".")[0] == column
    )
