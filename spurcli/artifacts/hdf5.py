"""Safe reading of HDF5 files from any source: only plain data."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import check_format, parse_json, require_file
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, SpurError
from spurcli.words import counted

# Deflate cannot compress better than about 1:1032; a data set that claims more is not backed by real bytes.
_MAX_COMPRESSION = 1100
_ALLOWED_FILTERS = {"gzip", "shuffle", "fletcher32", "lzf"}
CHUNK = 1 << 16
_HEAP_MAGIC = b"GCOL\x01\0\0\0"


@contextlib.contextmanager
def open_hdf5(path: Path, what: str, hint: str) -> Iterator[h5py.File]:
    """Open `path` for reading; errors of HDF5 itself become an `InputError`."""
    require_file(path, what, hint)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except SpurError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError, UnicodeError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        if "unable to lock" in str(error).lower():
            raise InputError(f"{path} is being written by another process", "Wait for it, then try again.") from error
        raise InputError(
            f"{path} cannot be read as HDF5 ({reason})", f"It may be truncated or not {what}. {hint}"
        ) from error


def create_hdf5(path: Path) -> h5py.File:
    """A new file for writing, in the HDF5 1.10 layout, whose checksums reveal damage.

    Without a chunk cache: on a full disk HDF5 cannot close what is cached, and crashes.
    """
    return h5py.File(path, "w", rdcc_nbytes=0, libver=("v110", "v110"))


def set_text(item: Any, name: str, text: str) -> None:
    """Write an attribute as fixed-length UTF-8 inside its header, not as a pointer into a heap without checksums."""
    content = text.encode()
    item.attrs.create(name, content, dtype=h5py.string_dtype("utf-8", max(1, len(content))))


def check_header(file: h5py.File, expected: str, newest: int, where: str) -> int:
    return check_format(text_attribute(file, "format"), whole_attribute(file, "version"), expected, newest, where)


def whole_attribute(item: Any, name: str) -> int | None:
    """A whole number; None if it is absent or of another type, which is not read."""
    if name not in item.attrs or item.attrs.get_id(name).dtype.kind not in "iu":
        return None
    value = item.attrs[name]
    return int(value) if isinstance(value, int | np.integer) else None


def text_attribute(item: Any, name: str) -> str | None:
    if name not in item.attrs:
        return None
    string = h5py.check_string_dtype(item.attrs.get_id(name).dtype)
    if string is not None and string.length is None:
        largest_heap_object(item)
    value = item.attrs[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    return value if isinstance(value, str) else None


def largest_heap_object(item: Any) -> int:
    """Bytes of the largest text of variable length in the file of `item`; InputError if its heaps are damaged."""
    path = Path(item.file.filename)
    return _largest_heap_object(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _largest_heap_object(path: Path, _changed: int) -> int:
    """Raise unless the objects in every global heap (texts of variable length) have sizes within the heap.

    HDF5 trusts these sizes: an object of size 0 causes an endless loop that Ctrl-C cannot stop.
    """
    largest = 0
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        heap = content.find(_HEAP_MAGIC)
        while heap >= 0:
            size = int.from_bytes(content[heap + 8 : heap + 16], "little")
            position = 16
            while position + 16 <= size:
                start = heap + position
                index = int.from_bytes(content[start : start + 2], "little")
                length = int.from_bytes(content[start + 8 : start + 16], "little")
                needed = 16 + -(-length // 8) * 8 if index else length  # index 0 is free space with its header
                if not 16 <= needed <= size - position or heap + size > len(content):
                    raise InputError(f"{path} holds a damaged HDF5 heap", "Make the file again.")
                largest = max(largest, length if index else 0)
                position += needed
            heap = content.find(_HEAP_MAGIC, heap + 8)
    return largest


def json_attribute(item: Any, name: str, where: str) -> Any:
    text = text_attribute(item, name)
    return parse_json(text, f"{where}: attribute {name!r}") if text is not None else None


def member(group: Any, name: str, kind: type, where: str) -> Any:
    """`group[name]` if it is a hard link to a `kind`; soft and external links are refused. None if absent."""
    link = group.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{where}: {name!r} is a link, which is not allowed", "Write the data into the file.")
    item = group[name]
    if not isinstance(item, kind):
        raise InputError(f"{where}: {name!r} is not a {kind.__name__.lower()}", "See docs/formats.md for the layout.")
    return item


def array_member(group: Any, name: str, where: str, *, kinds: str, ndim: int, length: int | None = None) -> Any:
    """The data set `group[name]`, checked to be plain, stored in this file, of the required type and shape.

    `kinds` holds numpy kind letters ("iu" integers, "f" floats, "S" bytes; for texts see `hdf5_texts`). `length` is that of the last axis
    for two-dimensional data and of the first for one-dimensional. None if absent.
    """
    item = member(group, name, h5py.Dataset, where)
    if item is None:
        return None
    label = f"{where}: {name!r}"
    if item.dtype.kind not in kinds or item.ndim != ndim:
        raise InputError(
            f"{label} is {item.dtype} with {item.ndim} axes",
            "See docs/formats.md for the kind that belongs there.",
        )
    found = item.shape[-1] if ndim == 2 and length is not None else item.shape[0]
    if length is not None and found != length:
        raise InputError(f"{label} has {counted(found, 'value')}, {length:,} expected", "Make the file again.")
    require_backed(item, label, item.dtype.itemsize)
    return item


def require_backed(item: Any, label: str, item_bytes: int) -> None:
    """Raise InputError unless the values of a data set, of `item_bytes` each, are in this file."""
    if item.is_virtual or item.external:
        raise InputError(
            f"{label} stores its data outside the file, which is not allowed", "Write the data into the file."
        )
    if 0 in item.shape:
        raise InputError(f"{label} is empty", "Make the file again.")
    unknown = set(item._filters) - _ALLOWED_FILTERS
    if unknown:
        raise InputError(f"{label} uses an unknown HDF5 filter", "Write it with gzip, lzf or without compression.")
    declared = int(np.prod(item.shape, dtype=object)) * item_bytes
    if declared > item.id.get_storage_size() * _MAX_COMPRESSION:
        raise InputError(f"{label} claims {counted(declared, 'byte')} that are not in the file", "The file is damaged.")
    if item.chunks and int(np.prod(item.chunks, dtype=object)) * item_bytes > 1 << 30:
        raise InputError(f"{label} has chunks over 1 GiB", "Write it in smaller chunks.")


def read_subject(file: h5py.File, where: str, own: Callable[[], Fingerprint]) -> Subject:
    """The subject that the file states; if another program omits the fingerprint, `own` computes it from the content."""
    stated = json_attribute(file, "fingerprint", where)
    fingerprint = Fingerprint.from_json(stated, where) if stated else own()
    return Subject(fingerprint, text_attribute(file, "injection_sha256"), name=where)


def require_labels(label: Any, fingerprint: Fingerprint, where: str) -> None:
    """Raise InputError unless the data set `label` [n] matches the fingerprint; reads it by slices."""
    if len(label) != fingerprint.num_samples:
        raise InputError(f"{where}: fingerprint and labels differ in length", "Make the file again.")
    if fingerprint.labels_sha256 is None:
        return
    digest = hashlib.sha256()
    for start in range(0, len(label), 16 * CHUNK):
        digest.update(np.ascontiguousarray(label[start : start + 16 * CHUNK], dtype="<i8").data)
    if digest.hexdigest() != fingerprint.labels_sha256:
        raise InputError(f"{where}: the labels do not match the fingerprint", "Make the file again.")


def write_names(file: h5py.File, name: str, values: Sequence[str]) -> None:
    """Write names of classes or groups; none at all are left out, since an empty data set is refused."""
    if values:
        file.create_dataset(name, data=fixed_utf8(list(values)), chunks=True, fletcher32=True)


def fixed_utf8(values: list[str]) -> NDArray[np.bytes_]:
    """`values` as a fixed-length bytes array that HDF5 stores without pointers."""
    return np.array([value.encode() for value in values], dtype=np.bytes_)
