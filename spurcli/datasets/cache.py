"""A store of named arrays on disk, memory-mapped later: decoded pixels, token ids.

    open_cached(root, key)                 the arrays of `key`, or None if they were not written
    write_cached(root, key, arrays)        write them, unless they exist already
    verify_cached(root, key)               compare every byte with what was written
    remove_cached(root, key)               so that they can be written again
    is_whole(root, key, check, progress)   verify, else remove

`key` is a JSON object of everything that the content depends on; its `kind` ("pixels", "tokens") begins the folder's name.
A folder below `root` holds one .npy file per array and cache.json, which states the key, kinds, shapes and hashes.
It is written atomically: as NAME.tmp, then renamed. NAME.lock is locked meanwhile, so a second
builder waits for the first, and files of a killed builder are recognised by their free lock and removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import flush
from spurcli.artifacts.envelope import canonical_json, field, read_json_artifact, sha256_of_json
from spurcli.artifacts.lock import lock
from spurcli.artifacts.space import in_words
from spurcli.errors import InputError
from spurcli.progress import Progress, Silent
from spurcli.words import counted

FORMAT, VERSION = "spurcli.cache", 1
MANIFEST = "cache.json"
Key = Mapping[str, object]


class ArrayFacts(TypedDict):
    """The description of an array in a manifest."""

    dtype: str
    shape: list[int]
    sha256: str


@dataclass(frozen=True)
class Blocks:
    """An array to be written: its type, its shape, and its rows in consecutive blocks, computed only when needed."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    rows: Iterable[NDArray[Any]]

    @classmethod
    def of(cls, array: NDArray[Any]) -> Blocks:
        """An array that is in memory already."""
        return cls(array.dtype, array.shape, [array])


def cached_folder(root: Path, key: Key) -> Path:
    """The folder of the arrays of `key`, whether it exists or not."""
    return Path(root) / f"{key['kind']}-{sha256_of_json(dict(key))[:32]}"


def open_cached(root: Path, key: Key) -> dict[str, NDArray[Any]] | None:
    """The arrays of `key` by name, read-only and memory-mapped; None if there are none.

    Raises InputError if files are missing, truncated, or not of the type and shape in cache.json. The bytes
    are not checked: see `verify_cached`.
    """
    folder = cached_folder(root, key)
    if not folder.is_dir():
        return None
    manifest = _read_manifest(folder, key)
    return {name: _open_array(folder, name, facts) for name, facts in manifest.items()}


def write_cached(root: Path, key: Key, arrays: Mapping[str, Blocks], progress: Progress | None = None) -> bool:
    """Write `arrays` under `key`; False if they exist already, perhaps because another process wrote them meanwhile.

    Raises InputError if the disk is full or `root` cannot be written; nothing is left behind then.
    """
    folder = cached_folder(root, key)
    with _readable_errors(Path(root)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with _lock(folder, progress or Silent()):
            if folder.is_dir():
                return False
            temporary = folder.with_suffix(".tmp")
            shutil.rmtree(temporary, ignore_errors=True)  # left by a builder of the same arrays that was just killed
            try:
                temporary.mkdir()
                facts = {name: _write_array(temporary / f"{name}.npy", blocks) for name, blocks in arrays.items()}
                content = {"format": FORMAT, "version": VERSION, "key": dict(key), "arrays": facts}
                with _flushed(temporary / MANIFEST) as stream:
                    stream.write(canonical_json(content).encode())
                temporary.rename(folder)
                flush(folder.parent)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return True


def verify_cached(root: Path, key: Key) -> None:
    """Read all that was written under `key`; raise InputError if any byte has changed."""
    folder = cached_folder(root, key)
    for name, facts in _read_manifest(folder, key).items():
        array = _open_array(folder, name, facts)
        digest = hashlib.sha256()
        for start in range(0, len(array), step := max(1, (1 << 24) // max(1, array[:1].nbytes))):
            digest.update(np.ascontiguousarray(array[start : start + step]).data)
        if digest.hexdigest() != facts["sha256"]:
            raise damaged(folder, f"the bytes of {name}.npy have changed since they were written")


def remove_cached(root: Path, key: Key) -> None:
    """Remove the arrays of `key`, if any."""
    folder = cached_folder(root, key)
    with _readable_errors(Path(root)), _lock(folder, Silent()):
        if folder.is_dir():
            shutil.rmtree(folder.with_suffix(".tmp"), ignore_errors=True)
            folder.rename(folder.with_suffix(".tmp"))  # removed later if this process ends before it is done
            shutil.rmtree(folder.with_suffix(".tmp"))


def is_whole(root: Path, key: Key, check: Callable[[], object], progress: Progress) -> bool:
    """Whether the arrays of `key` pass `verify_cached` and `check`, which raises InputError; else it is removed."""
    try:
        verify_cached(root, key)
        check()
    except InputError as error:
        progress.say(f"{error.problem}; making it again")
        remove_cached(root, key)
        return False
    return True


def require_space(root: Path, num_bytes: int) -> None:
    """Raise InputError if fewer than `num_bytes` are free on the disk of `root`."""
    there = next(folder for folder in (Path(root).absolute(), *Path(root).absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < num_bytes:
        raise InputError(
            f"The cache needs {in_words(num_bytes)}, {in_words(free)} are free in {root}: "
            f"{in_words(num_bytes - free)} more are needed",
            "Free some space, or set the environment variable SPURCLI_CACHE to a folder on another disk.",
        )


def damaged(folder: Path, problem: str) -> InputError:
    """The error for a cache that cannot be used."""
    return InputError(
        f"The cache {folder} is unusable: {problem}",
        "Make it again with spurcli data cache and the same data set, recipe and settings; or delete the folder.",
    )


def _read_manifest(folder: Path, key: Key) -> dict[str, ArrayFacts]:
    where = str(folder / MANIFEST)
    try:
        content = read_json_artifact(folder / MANIFEST, FORMAT, VERSION, "")
        if sha256_of_json(content.get("key")) != sha256_of_json(dict(key)):
            raise InputError("it was written for other data")
        arrays: dict[str, ArrayFacts] = field(content, "arrays", dict, where)
        for name in arrays:
            facts = field(arrays, name, dict, where)
            if "/" in name or not all(isinstance(facts.get(part), str) for part in ("dtype", "sha256")):
                raise InputError(f"{name!r} is not described")
    except InputError as error:
        raise damaged(folder, error.problem) from error
    return arrays


def _open_array(folder: Path, name: str, facts: ArrayFacts) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        with path.open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            start, size = stream.tell(), os.fstat(stream.fileno()).st_size
    except Exception as error:  # NumPy parses the header as Python, which can raise anything
        raise damaged(folder, f"{path.name} cannot be read ({str(error)[:80]})") from error
    if [dtype.str, list(shape), is_fortran] != [facts["dtype"], facts.get("shape"), False] or dtype.hasobject:
        raise damaged(folder, f"{path.name} is {dtype.str} {list(shape)}, not {facts['dtype']} {facts.get('shape')}")
    if size != start + dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise damaged(folder, f"{path.name} has {counted(size, 'byte')}, which does not fit its shape")
    if size == start:
        return np.empty(shape, dtype)  # nothing cannot be mapped
    return np.memmap(path, dtype, mode="r", offset=start, shape=shape)


def _write_array(path: Path, blocks: Blocks) -> ArrayFacts:
    """Write a .npy file block by block, through the file and not a memory map, so that a full disk is an error and not a signal."""
    digest, num_rows = hashlib.sha256(), 0
    with _flushed(path) as stream:
        header = {"descr": blocks.dtype.str, "fortran_order": False, "shape": tuple(blocks.shape)}
        np.lib.format.write_array_header_1_0(stream, header)
        for rows in blocks.rows:
            assert rows.dtype == blocks.dtype, f"a block of {rows.dtype}"
            assert rows.shape[1:] == blocks.shape[1:], f"a block of shape {rows.shape}"
            content = np.ascontiguousarray(rows).data
            digest.update(content)
            stream.write(content)
            num_rows += len(rows)
    assert num_rows == blocks.shape[0], f"{num_rows} rows of {blocks.shape[0]}"
    return {"dtype": blocks.dtype.str, "shape": list(blocks.shape), "sha256": digest.hexdigest()}


@contextlib.contextmanager
def _flushed(path: Path) -> Iterator[BinaryIO]:
    """A new file that is on disk at the end."""
    with path.open("wb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _sweep(root: Path) -> None:
    """Remove the files of killed builders, recognised by locks that no process holds."""
    for path in {found.with_suffix("") for ending in ("tmp", "lock") for found in root.glob(f"*.{ending}")}:
        with contextlib.suppress(OSError), lock(path.with_suffix(".lock")):  # one that is held, or another user's
            shutil.rmtree(path.with_suffix(".tmp"), ignore_errors=True)


def _lock(folder: Path, progress: Progress) -> contextlib.AbstractContextManager[None]:
    """Hold the lock of `folder`, waiting until it is free."""
    return lock(
        folder.with_suffix(".lock"), lambda: progress.say(f"Another process is writing {folder.name}; waiting for it")
    )


@contextlib.contextmanager
def _readable_errors(root: Path) -> Iterator[None]:
    """Convert an error of the operating system on writing below `root` into an InputError with a next step."""
    elsewhere = "set the environment variable SPURCLI_CACHE to another folder"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"No space left while writing the cache in {root}", f"Free some space, or {elsewhere}."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise InputError(
                f"Not allowed to write the cache in {root} ({os.strerror(error.errno)})",
                f"Check its permissions, or {elsewhere}.",
            ) from error
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise InputError(
                f"The file system of {root} does not support file locks", f"{elsewhere[0].upper()}{elsewhere[1:]}."
            ) from error
        raise
