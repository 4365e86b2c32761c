"""A data set that Hugging Face's `datasets` saved with `save_to_disk`. Nothing is downloaded, none of its code is run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.decoding import Stored, look
from spurcli.datasets.inputs import Inputs, decode_square
from spurcli.datasets.own.columns import Source, Wanted, choose_columns, texts_of
from spurcli.datasets.own.splitting import split_name
from spurcli.datasets.tables import Table, as_text
from spurcli.errors import InputError, MissingExtraError, UsageError

_AGAIN = "Save it again with save_to_disk."


@dataclass(frozen=True)
class SavedTable(Table):
    """Columns of all splits end to end; `line` is the row within its split, counted from 0, `split` [n] its name."""

    split: Sequence[str] = ()

    def where(self, row: int) -> str:
        place = f" of {self.split[row]}" if self.split[row] else ""
        return f"{self.path}, row {self.line[row]:,}{place}"


@dataclass(frozen=True)
class SavedImages:
    """Images in the Arrow files of a saved data set, mapped and decoded on demand as `FileImages` are.

    `index` int64 [n] are their rows in `rows`, a `datasets.Dataset`.
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
            name, content = self._encoded(index)
            batch[place] = decode_square(name, self.size, squash=self.squash, content=content)
        return batch

    def stored(self, index: int) -> Stored:
        return look(*self._encoded(index))

    def _encoded(self, index: int) -> tuple[Path, bytes]:
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


def read_saved(folder: Path, wanted: Wanted) -> Source:
    """What `wanted` asks of the data set in a folder: splits of a DatasetDict, or a Dataset, perhaps with a split column.

    Raises InputError for a damaged folder, and for images that are not in its files.
    """
    if wanted.folder or wanted.suffix:
        raise UsageError("dataset.options.folder and suffix are for tables of paths", "Leave them out.")
    saved = _open(folder)
    first = next(iter(saved.values()))
    roles, attributes = choose_columns(first.column_names, wanted, str(folder))
    columns = list(dict.fromkeys((*roles.values(), *attributes)))
    for name, rows in saved.items():
        if lacking := [column for column in columns if column not in rows.column_names]:
            raise InputError(
                f"{folder}: the split {name} has no column {lacking[0]!r}", "All splits have the same columns."
            )
        if rows.features[roles["label"]] != first.features[roles["label"]]:
            raise InputError(f"{folder}: the split {name} has other labels than the others", _AGAIN)
    sizes = [len(rows) for rows in saved.values()]
    where = [name for name, size in zip(saved, sizes, strict=True) for _ in range(size)]
    number = np.concatenate([np.arange(size) for size in sizes]).tolist()
    image = roles.get("image")
    table = SavedTable(
        folder,
        {
            name: [value for rows in saved.values() for value in _texts(rows, name, folder)]
            for name in columns
            if name != image
        },
        number,
        split=where,
    )
    if not len(table):
        raise InputError(f"{folder} has no rows", "Check that the right folder is named.")
    identifiers = [f"{name}/{row}" if name else str(row) for name, row in zip(where, number, strict=True)]
    label_names = tuple(getattr(first.features[roles["label"]], "names", None) or ())
    inputs = texts_of(table, roles) if image is None else _images(saved, image, identifiers, wanted, folder)
    splits = [] if "" in saved else [split_name(name) for name in where]
    return Source(table, roles, attributes, inputs, identifiers, label_names, splits)


def _open(folder: Path) -> dict[str, Any]:
    """The `datasets.Dataset` of each split; {"": …} of a folder that is one without splits."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(
            f"{folder} was saved by Hugging Face's `datasets`, which is not installed", "pip install 'spurcli[hf]'"
        ) from error
    with _readable(folder), _quiet(datasets):
        parts = {"": folder}
        if (folder / "dataset_dict.json").is_file():
            names = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            parts = {name: folder / _inside(name) for name in names}
        for part in parts.values():
            for file in json.loads((part / "state.json").read_text(encoding="utf-8"))["_data_files"]:
                _inside(file["filename"])
        found = {name: datasets.Dataset.load_from_disk(str(part)).with_format(None) for name, part in parts.items()}
        for rows in found.values():
            rows.data.validate(full=True)  # else an offset outside the file ends the process with a signal
    if not found:
        raise InputError(f"{folder} has no splits", _AGAIN)
    return found


def _inside(name: str) -> str:
    if "/" in name or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name[:60]!r} leads out of it")
    return name


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged folder raises almost anything
        reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
        raise InputError(f"{folder} is no data set that can be read: {reason}", _AGAIN) from error


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Without the library's progress bars."""
    shown = not datasets.utils.are_progress_bars_disabled()
    datasets.utils.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.utils.enable_progress_bars()


def _texts(rows: Any, column: str, folder: Path) -> list[str]:
    """A column as text: class numbers as their names, none ("") for those that stand for no class."""
    with _readable(folder):
        values = rows.data.column(column).to_pylist()
    names = getattr(rows.features[column], "names", None)
    if names is not None:
        return [names[value] if value is not None and 0 <= value < len(names) else "" for value in values]
    where = f"{folder}, column {column!r}"
    return [value if isinstance(value, str) else as_text(value, where) for value in values]


def _images(saved: dict[str, Any], column: str, identifiers: Sequence[str], wanted: Wanted, folder: Path) -> Any:
    import datasets
    from pyarrow import compute

    start = 0
    for rows in saved.values():
        if not isinstance(rows.features[column], datasets.Image):
            raise InputError(
                f"{folder}: column {column!r} holds {rows.features[column]}, not images",
                "Name a column of the feature Image: --set dataset.options.image=COLUMN",
            )
        absent = np.asarray(compute.is_null(compute.struct_field(rows.data.column(column), "bytes")))
        if absent.any():
            raise InputError(
                f"{folder}: {identifiers[start + int(absent.argmax())]} holds no image, or only its path", _AGAIN
            )
        start += len(rows)
    with _readable(folder):
        joined = datasets.concatenate_datasets([rows.select_columns([column]) for rows in saved.values()])

    def inputs(index: NDArray[np.int64]) -> Inputs:
        return SavedImages(joined, column, index, identifiers, wanted.image_size, wanted.squash)

    return inputs
