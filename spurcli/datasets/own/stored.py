"""Rows in Arrow columns: data sets that `save_to_disk` wrote, and Parquet files. Images are bytes in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.decoding import Stored, look
from spurcli.datasets.inputs import Inputs, decode_square
from spurcli.datasets.own.columns import Source, Wanted, choose_columns, texts_of
from spurcli.datasets.own.rows import chosen_rows, without_label
from spurcli.datasets.own.split_column import warn_unused
from spurcli.datasets.own.splitting import split_name
from spurcli.datasets.tables import Table, as_text
from spurcli.errors import InputError, UsageError


@dataclass(frozen=True)
class StoredPart:
    """The rows of one split: `column` gives an Arrow array of a name; `class_names` are those of its ClassLabel columns."""

    num_rows: int
    column_names: Sequence[str]
    class_names: Mapping[str, tuple[str, ...]]
    image_columns: frozenset[str]
    column: Callable[[str], Any]


@dataclass(frozen=True)
class ArrowRows:
    """The source of `SavedImages` if it is not a `datasets.Dataset`: a `pyarrow.Table`, and its files."""

    data: Any
    cache_files: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class SavedImages:
    """Images in an Arrow column, decoded on demand as `FileImages` are.

    `index` int64 [n] are their rows in `rows`, a `datasets.Dataset` or `ArrowRows`.
    """

    rows: Any
    column: str
    index: NDArray[np.int64]
    sample_id: Sequence[str]
    size: int
    squash: bool
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, 3

    def __len__(self) -> int:
        return len(self.index)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        batch = np.empty((len(indices), self.size, self.size, 3), dtype=np.uint8)
        for place, index in enumerate(indices.tolist()):
            name, content = self.encoded(index)
            batch[place] = decode_square(name, self.size, squash=self.squash, content=content)
        return batch

    def stored(self, index: int) -> Stored:
        return look(*self.encoded(index))

    def encoded(self, index: int) -> tuple[Path, bytes]:
        """The name of an image and its bytes as stored."""
        row = int(self.index[index])
        return Path(self.sample_id[row]), self.rows.data.column(self.column)[row].as_py()["bytes"]

    def sources(self) -> Iterator[str]:
        yield from (part["filename"] for part in self.rows.cache_files)
        yield self.column
        yield from map(str, self.index.tolist())

    def num_bytes(self) -> NDArray[np.int64]:
        from pyarrow import compute

        length = compute.binary_length(compute.struct_field(self.rows.data.column(self.column), "bytes"))
        return np.asarray(length.to_numpy()[self.index], dtype=np.int64)


def read_stored(
    place: Path,
    parts: Mapping[str, StoredPart],
    wanted: Wanted,
    rows_with: Callable[[str, Sequence[str]], Any],
    *,
    read_as: str,
    again: str,
) -> Source:
    """The content that `wanted` selects from the rows of all splits, concatenated; `parts` maps {"": …} where there are no splits.

    `rows_with(column, splits)` gives the images of some splits to `SavedImages`. Ids are split/row.

    Raises InputError for splits of other columns or classes, and for images that are not in the files.
    """
    if wanted.folder or wanted.suffix:
        raise UsageError("dataset.options.folder and suffix are for tables of paths", "Remove them.")
    first = next((part for name, part in parts.items() if split_name(name) == "train"), next(iter(parts.values())))
    roles, attributes = choose_columns(first.column_names, wanted, str(place))
    label, image = roles["label"], roles.get("image")
    kept = without_label({name: part.column_names for name, part in parts.items()}, label, wanted, place)
    parts = {name: parts[name] for name in kept}
    if not wanted.roles["split"] and not all(roles.get("split") in part.column_names for part in parts.values()):
        roles.pop("split", None)
    columns = list(dict.fromkeys((*roles.values(), *attributes)))
    for name, part in parts.items():
        if lacking := [column for column in columns if column not in part.column_names]:
            raise InputError(
                f"{place}: the split {name} has no column {lacking[0]!r}", "All splits must have the same columns."
            )
        if part.class_names.get(label) != first.class_names.get(label):
            raise InputError(f"{place}: the split {name} has other labels than the others", again)
        if image is not None and image not in part.image_columns:
            raise InputError(
                f"{place}: column {image!r} holds {part.column(image).type}, not images",
                "Name a column of images: --image COLUMN",
            )
    sizes = [part.num_rows for part in parts.values()]
    where = [name for name, size in zip(parts, sizes, strict=True) for _ in range(size)]
    number = np.concatenate([np.arange(size) for size in sizes]).tolist()
    texts = {
        name: [value for part in parts.values() for value in _texts(part, name, place)]
        for name in columns
        if name != image
    }
    if "" in parts and "split" not in roles:
        left = [name for name in first.column_names if name not in columns]
        warn_unused(left, lambda name: _texts(first, name, place), str(place))
    table = Table(place, texts, number, read_as, "row", where if any(where) else ())
    if not len(table):
        raise InputError(f"{place} has no rows", "Check that the right folder is named.")
    identifiers = [f"{name}/{row}" if name else str(row) for name, row in zip(where, number, strict=True)]
    rows, splits = chosen_rows(table, roles, [] if "" in parts else [split_name(name) for name in where], wanted)
    table = table.take(rows)
    if "" not in parts:
        roles.pop("split", None)
    if image is None:
        inputs = texts_of(table, roles)
    else:
        inputs = _images(rows_with(image, kept), image, identifiers, rows, wanted, place, again)
    names = first.class_names.get(label, ())
    return Source(table, roles, attributes, inputs, [identifiers[row] for row in rows.tolist()], names, splits)


def _texts(part: StoredPart, column: str, place: Path) -> list[str]:
    """A column as text: class numbers as their names, none ("") for those that stand for no class."""
    values = part.column(column).to_pylist()
    names = part.class_names.get(column)
    if names is not None:
        return [names[value] if isinstance(value, int) and 0 <= value < len(names) else "" for value in values]
    return [value if isinstance(value, str) else as_text(value, f"{place}: {column}") for value in values]


def _images(
    rows: Any,
    column: str,
    identifiers: Sequence[str],
    chosen: NDArray[np.int64],
    wanted: Wanted,
    place: Path,
    again: str,
) -> Callable[[NDArray[np.int64]], Inputs]:
    from pyarrow import compute

    absent = np.asarray(compute.is_null(compute.struct_field(rows.data.column(column), "bytes")))[chosen]
    if absent.any():
        name = identifiers[int(chosen[int(absent.argmax())])]
        raise InputError(f"{place}: {name} holds no image, or only its path", again)

    def inputs(index: NDArray[np.int64]) -> Inputs:
        return SavedImages(rows, column, chosen[index], identifiers, wanted.image_size, wanted.squash)

    return inputs
