"""Texts in HDF5 files from any source: of fixed length, or of variable length, which h5py writes by default.

A text of variable length is a reference into a heap. What one reference gives is bounded by the largest object of the
file's heaps, so texts are read in slices of at most `_SLICE_BYTES`, and in total at most the size of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.hdf5 import array_member, largest_heap_object, member, require_backed
from spurcli.errors import InputError
from spurcli.words import counted

_SLICE_BYTES = 1 << 26


@dataclass(frozen=True)
class Texts:
    """The data set `item` of UTF-8 texts [n]; `longest` bytes one of them can have."""

    item: Any
    longest: int
    where: str

    def __len__(self) -> int:
        return int(self.item.shape[0])

    def read(self, indices: NDArray[np.int64] | None = None) -> list[str]:
        """All texts, or those at `indices`, ascending."""
        return list(self.stream(indices))

    def stream(self, indices: NDArray[np.int64] | None = None) -> Iterator[str]:
        """The same one after another, so that not all texts are in memory at once."""
        step = max(1, min(1 << 16, _SLICE_BYTES // max(1, self.longest)))
        num_wanted = len(self) if indices is None else len(indices)
        limit = Path(self.item.file.filename).stat().st_size if self.item.dtype.kind == "O" else None
        for start in range(0, num_wanted, step):
            stop = min(start + step, num_wanted)
            wanted = slice(start, stop) if indices is None else indices[start:stop]
            values = self.item[wanted].tolist()
            if limit is not None:
                limit -= sum(map(len, values))
                if limit < 0:  # many references to one object
                    raise InputError(f"{self.where} declares more text than the file has", "The file is damaged.")
            for value in values:
                yield value.decode("utf-8")


def text_member(group: Any, name: str, where: str, *, length: int | None = None) -> Texts | None:
    """The data set `group[name]` of texts [n], checked to be plain and inside the file; None if absent.

    Fixed-length and variable-length texts are read; references, other variable-length kinds and links are refused.
    """
    item = member(group, name, h5py.Dataset, where)
    if item is None:
        return None
    label = f"{where}: {name!r}"
    string = h5py.check_string_dtype(item.dtype)
    if string is None:
        raise InputError(
            f"{label} is {_kind(item.dtype)}, not text",
            f'Write texts: file["{name}"] = numpy.array(values, dtype="S").',
        )
    if string.length is not None:
        fixed = array_member(group, name, where, kinds="S", ndim=1, length=length)
        return Texts(fixed, fixed.dtype.itemsize, label)
    if item.ndim != 1:
        raise InputError(f"{label} has {item.ndim} axes", "Write one text for each sample, [n].")
    if length is not None and item.shape[0] != length:
        raise InputError(f"{label} has {counted(item.shape[0], 'value')}, {length:,} expected", "Make the file again.")
    require_backed(item, label, 16)  # what a reference takes in the file
    return Texts(item, largest_heap_object(item), label)


def read_names(group: Any, name: str, where: str) -> tuple[str, ...]:
    """Names of classes or groups: the data set `name`, or the attribute of that name; () if there is neither."""
    texts = text_member(group, name, where)
    if texts is not None:
        return tuple(texts.read())
    if name not in group.attrs:
        return ()
    stored = group.attrs.get_id(name)
    string = h5py.check_string_dtype(stored.dtype)
    label = f"{where}: attribute {name!r}"
    if string is None or len(stored.shape) != 1:
        raise InputError(f"{label} is not a list of texts", "Write a list of names.")
    if string.length is None and largest_heap_object(group) * int(stored.shape[0]) > 4 * _SLICE_BYTES:
        raise InputError(f"{label} is too large for a list of names", f"Write the data set {name!r} instead.")
    values = group.attrs[name].tolist()
    return tuple(value.decode("utf-8") if isinstance(value, bytes) else value for value in values)


def _kind(dtype: np.dtype[Any]) -> str:
    """The name of a value type."""
    if h5py.check_ref_dtype(dtype) is not None:
        return "references"
    return str(dtype) if dtype.kind != "O" else "values of variable length"
