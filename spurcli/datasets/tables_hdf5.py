"""HDF5 files as tables: each data set at the top is a column [n], or a matrix [n, classes] of one column a class."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.hdf5_texts import read_names, text_member
from spurcli.datasets.tables_text import Opened, require_unpacked_size
from spurcli.errors import InputError
from spurcli.words import counted

ENDINGS = (".h5", ".hdf5")
_WHAT, _HINT = "a table of predictions", "Write it again."
_PLAIN = "iufb"  # NumPy's kinds of numbers that are read


class Numbers(Sequence[str]):
    """Numbers [n] that are converted to text on request, in the shortest form that gives the same number."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Numbers: ...
    def __getitem__(self, at: int | slice) -> str | Numbers:
        return Numbers(self.values[at]) if isinstance(at, slice) else _text(self.values[at])

    def __iter__(self) -> Iterator[str]:
        return map(_text, self.values)


def is_hdf5_name(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS


def open_hdf5_table(path: Path) -> Opened:
    """Open an HDF5 file; the columns of a matrix `logits` are `logits/CLASS`. Rows are counted from 1."""

    def names(asked: Collection[str]) -> list[str]:
        with hdf5.open_hdf5(path, _WHAT, _HINT) as file:
            found = _names(file)
            matrices = dict.fromkeys(name.partition("/")[0] for name in asked if "/" in name)
            return [*found, *(column for name in matrices if name in found for column in _columns(file, name, path))]

    def columns(asked: list[str]) -> dict[str, Sequence[str]]:
        with hdf5.open_hdf5(path, _WHAT, _HINT) as file:
            matrices: dict[str, dict[str, Numbers]] = {}
            found: dict[str, Sequence[str]] = {}
            for name in asked:
                matrix, slash, _ = name.partition("/")
                if slash and matrix not in matrices:
                    values = _numbers(file, matrix, path, ndim=2)
                    each = zip(_columns(file, matrix, path), values.T, strict=True)
                    matrices[matrix] = {column: Numbers(part) for column, part in each}
                found[name] = matrices[matrix][name] if slash else _texts(file, name, path)
            _require_alike(found, path)
            return found

    return Opened(names, lambda _: iter(()), "HDF5", unit="row", columns=columns)


def widened(path: Path, outputs: Sequence[str], patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The columns of the matrix that `outputs` name and the pattern that they follow; unchanged if it is not a matrix."""
    if not is_hdf5_name(path):
        return list(outputs), list(patterns)
    with hdf5.open_hdf5(path, _WHAT, _HINT) as file:
        matrices = [name for name in outputs if _item(file, name, path).ndim == 2]
        if not matrices:
            return list(outputs), list(patterns)
        if len(outputs) > 1:
            raise InputError(
                f"{path}: {matrices[0]!r} is a matrix, and {', '.join(outputs[:4])} are named", "Name the matrix alone."
            )
        return _columns(file, matrices[0], path), [f"{matrices[0]}/*"]


def columns_beside(path: Path, known: Sequence[str], column: str) -> list[str]:
    """Those of the `known` columns that have a value for each row of `column`; all of them, but in an HDF5 file."""
    if not is_hdf5_name(path):
        return list(known)
    with hdf5.open_hdf5(path, _WHAT, _HINT) as file:
        shapes = {
            name: file[name].shape
            for name in _names(file)
            if isinstance(file.get(name, getlink=True), h5py.HardLink) and _is_column(file[name])
        }
    return [name for name in known if name in shapes and shapes[name] == shapes.get(column)]


def named_classes(path: Path, values: list[str]) -> list[str]:
    """The names of classes that are numbers from 0 on, where an HDF5 file holds class_names; else `values`."""
    if not is_hdf5_name(path):
        return values
    with hdf5.open_hdf5(path, _WHAT, _HINT) as file:
        return _named(values, read_names(file, "class_names", str(path)))


def _names(file: Any) -> list[str]:
    """What may be a column: all at the top but groups and single values; links, to say that they are refused."""
    names = [name for name in file if file.get(name, getclass=True, getlink=True) is not h5py.HardLink]
    items = {name: file[name] for name in file if name not in names}
    return [name for name in file if name in names or (isinstance(items[name], h5py.Dataset) and items[name].ndim)]


def _item(file: Any, name: str, path: Path) -> Any:
    item = hdf5.member(file, name, h5py.Dataset, str(path))
    if item is None:  # the name exists, but its data is damaged
        raise InputError(f"{path}: {name!r} cannot be read", "The file is damaged: write it again.")
    return item


def _is_column(item: Any) -> bool:
    if item.is_virtual or item.external or item.ndim != 1:
        return False
    return item.dtype.kind in _PLAIN or h5py.check_string_dtype(item.dtype) is not None


def _columns(file: Any, matrix: str, path: Path) -> list[str]:
    """The names of the columns of a matrix: from class_names, if the file has them, else by their numbers."""
    item = _item(file, matrix, path)
    if item.ndim != 2:
        raise InputError(f"{path}: {matrix!r} has {counted(item.ndim, 'axis', 'axes')}, not 2", "Write [n, classes].")
    num_classes = int(item.shape[1])
    names = read_names(file, "class_names", str(path))
    if names and len(names) != num_classes:
        raise InputError(
            f"{path} has {counted(len(names), 'class name')} for {counted(num_classes, 'column')} of {matrix!r}",
            "Write one for each.",
        )
    return [f"{matrix}/{name}" for name in names or map(str, range(num_classes))]


def _numbers(file: Any, name: str, path: Path, *, ndim: int) -> NDArray[Any]:
    item = _item(file, name, path)
    label = f"{path}: {name!r}"
    if item.dtype.kind not in _PLAIN:
        raise InputError(f"{label} is {item.dtype}, not plain numbers", "Write numbers, or texts.")
    if item.ndim != ndim:
        wanted = "one value for each row, [n]" if ndim == 1 else "[n, classes]"
        raise InputError(f"{label} has the shape {list(item.shape)}", f"Write {wanted}.")
    hdf5.require_backed(item, label, item.dtype.itemsize)
    require_unpacked_size(path, int(np.prod(item.shape, dtype=object)) * item.dtype.itemsize, label)
    values: NDArray[Any] = item[()]
    return values


def _texts(file: Any, name: str, path: Path) -> list[str]:
    """The values of a column as texts; numbers from 0 on have the names of NAME_names, where the file holds these."""
    item = _item(file, name, path)
    if h5py.check_string_dtype(item.dtype) is None:
        values = list(Numbers(_numbers(file, name, path, ndim=1)))
        return _named(values, read_names(file, f"{name}_names", str(path))) if item.dtype.kind in "iu" else values
    if item.ndim != 1:
        raise InputError(f"{path}: {name!r} has the shape {list(item.shape)}", "Write one text for each row, [n].")
    texts = text_member(file, name, str(path))
    assert texts is not None
    require_unpacked_size(path, len(texts) * (item.dtype.itemsize if item.dtype.kind == "S" else 16), texts.where)
    return texts.read()


def _named(values: list[str], names: Sequence[str]) -> list[str]:
    number = {str(place): name for place, name in enumerate(names)}
    return [number[value] for value in values] if number and all(value in number for value in values) else values


def _require_alike(columns: dict[str, Sequence[str]], path: Path) -> None:
    first, *others = columns
    for name in others:
        if len(columns[name]) != len(columns[first]):
            found, wanted = counted(len(columns[name]), "value"), counted(len(columns[first]), "value")
            raise InputError(
                f"{path}: {name!r} has {found}, and {first!r} has {wanted}",
                "Name data sets of the same samples, with one value for each.",
            )


def _text(value: Any) -> str:
    if value.dtype.kind == "b":
        return str(bool(value)).lower()
    if value.dtype.kind in "iu":
        return str(value)
    if value != value:
        return ""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else str(value)
