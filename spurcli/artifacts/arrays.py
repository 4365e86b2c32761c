"""Logits, labels and ids made by any program: .npy, .npz, .safetensors or HDF5, never pickled; ids also as lines of text."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.envelope import parse_json, require_file
from spurcli.artifacts.hdf5_texts import read_names, text_member
from spurcli.artifacts.npz import npz_names, read_npz
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "Accepted: .npy, .npz, .safetensors, .h5/.hdf5."
_INSTEAD = {  # the hint for other file types
    (".pt", ".pth"): "np.save('logits.npy', torch.load(path).float().cpu().numpy())",
    (".csv", ".tsv", ".txt"): "np.save('logits.npy', pandas.read_csv(path).to_numpy())",
    (".parquet", ".feather"): "np.save('logits.npy', pandas.read_parquet(path).to_numpy())",
    (".pkl", ".pickle", ".joblib"): "np.save('logits.npy', np.asarray(logits))",
}
# Possible names of an array in a file of several.
_NAMES = {
    "logits": ("logits",),
    "label": ("label", "labels", "target", "targets", "y", "y_true"),
    "sample_id": ("sample_id", "sample_ids", "id", "ids", "path", "paths", "filename", "filenames"),
    "class_names": ("class_names",),
    "embedding": ("embedding", "embeddings"),
    "group": ("group", "groups", "group_names"),
}
_HDF5 = (".h5", ".hdf5")
ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors", *_HDF5)  # what read_array reads
_MAX_TEXT_BYTES = 4 << 30


def read_array(path: Path, what: str) -> NDArray[Any]:
    """The array of `path` that is `what` (a key of `_NAMES`), as it is stored; texts as NumPy strings.

    In a file of several arrays it is found by name, else it must be the only one without another known name. InputError if
    it is missing or stored outside the file.
    """
    require_file(path, what, _HINT)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array = _read_npy(path)
    elif suffix == ".npz":
        array = read_npz(path, _chosen_name(path, what))
    elif suffix == ".safetensors":
        array = _read_safetensors(path, what)
    elif suffix in _HDF5:
        array = _read_hdf5(path, what)
    else:
        line = next((line for endings, line in _INSTEAD.items() if suffix in endings), "")
        if what != "logits":
            line = line.replace("logits", "labels" if what == "label" else "ids")
        raise InputError(f"{path}: unknown file type {path.suffix!r}", f"{_HINT} Write {line}" if line else _HINT)
    if array.ndim and not len(array):
        raise InputError(f"{path} has no rows", "Check the program that wrote it.")
    return array


def has_array(path: Path, what: str) -> bool:
    """Whether an HDF5 or safetensors file holds an array that is called `what`."""
    return any(name in _NAMES[what] for name in _array_names(path))


def names_beside(path: Path, what: str) -> tuple[str, ...]:
    """The texts `what` in the file of an array: HDF5 data set or attribute, JSON list in safetensors' metadata.

    () if there are none.
    """
    if path.suffix.lower() == ".npz":
        called = next((name for name in _NAMES[what] if name in npz_names(path)), "")
        return ids_of(read_npz(path, called), path) if called else ()
    if path.suffix.lower() in _HDF5:
        with hdf5.open_hdf5(path, "an HDF5 file", _HINT) as file:
            for name in _NAMES[what]:
                if found := read_names(file, name, str(path)):
                    return found
    elif path.suffix.lower() == ".safetensors":
        metadata = read_safetensors_header(path, "a safetensors file", _HINT).get("__metadata__") or {}
        for name in _NAMES[what]:
            if name in metadata:
                return _json_names(metadata[name], f"{path}: metadata {name!r}")
    return ()


def read_ids(path: Path, num_samples: int) -> tuple[str, ...]:
    """Ids of samples [n]: an array of texts or whole numbers, or a text file with one id per line."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz", ".safetensors", *_HDF5):
        found = names_beside(path, "sample_id") if suffix == ".safetensors" else ()
        ids = found or ids_of(read_array(path, "sample_id"), path)
    else:
        ids = _read_lines(path)
    if len(ids) != num_samples:
        hint = "Write one id for each row, in the order of the rows."
        if suffix in (".csv", ".tsv", ".json"):
            hint = "Write only the ids, one per line, without a header: np.savetxt('ids.txt', ids, fmt='%s')."
        raise InputError(f"{path} has {counted(len(ids), 'id')} for {counted(num_samples, 'row')} of logits", hint)
    return ids


def ids_of(array: NDArray[Any], path: Path) -> tuple[str, ...]:
    """Texts, whole numbers, or uint8 [n, bytes] (UTF-8, filled up with zeros) as ids."""
    try:
        if array.ndim == 2 and array.dtype == np.uint8:  # safetensors has no text type
            array = np.ascontiguousarray(array).view(f"S{array.shape[1]}")[:, 0]
        if array.ndim == 1 and array.dtype.kind in "iuU":
            return tuple(map(str, array.tolist()))
        if array.ndim == 1 and array.dtype.kind == "S":
            return tuple(value.decode("utf-8") for value in array.tolist())
    except UnicodeDecodeError as error:
        raise InputError(f"{path} has ids that are not UTF-8", "Write ids in UTF-8.") from error
    raise InputError(
        f"{path} has ids of kind {array.dtype} and shape {list(array.shape)}",
        "Write texts [n]: np.save('ids.npy', np.array(ids, dtype='U')), or a text file with one id per line.",
    )


def _read_lines(path: Path) -> tuple[str, ...]:
    require_file(path, "ids", "Write one id per line.")
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise InputError(f"{path} is too large for a list of ids", "Check that the right file is named.")
    try:
        with path.open(
            encoding="utf-8-sig", newline=None
        ) as stream:  # editors on Windows start a text with a byte-order mark
            ids = tuple(line.removesuffix("\n") for line in stream)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file", "Write one id per line, in UTF-8.") from error
    if "" in ids:
        raise InputError(f"{path}, line {ids.index('') + 1} is empty", "Write one id per line.")
    return ids


def _array_names(path: Path) -> list[str]:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return npz_names(path)
    if suffix == ".safetensors":
        return [key for key in read_safetensors_header(path, "a safetensors file", _HINT) if key != "__metadata__"]
    if suffix in _HDF5:
        with hdf5.open_hdf5(path, "an HDF5 file", _HINT) as file:
            return [key for key in file if isinstance(file.get(key, getlink=True), h5py.HardLink)]
    return []


def _chosen_name(path: Path, what: str) -> str:
    names = _array_names(path)
    if called := [name for name in _NAMES[what] if name in names]:
        return called[0]
    others = {name for kind, known in _NAMES.items() if kind != what for name in known}
    left = [name for name in names if name not in others]
    if len(left) == 1 or len(names) == 1:
        return (left or names)[0]
    raise InputError(f"{path} has no {what!r}", f"It has: {', '.join(names[:8]) or 'nothing'}.")


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            if stream.read(6) != b"\x93NUMPY":
                raise ValueError("its header is not that of a .npy file")
            warnings.simplefilter("ignore")  # headers of old versions
            # private and not read-only: NumPy's argmax copies an array that it may not write to
            array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, which can raise anything
        pickled = "pickle" in str(error).lower() or "python objects" in str(error).lower()
        reason = "it holds pickled objects, which are not read" if pickled else str(error).partition("\n")[0][:100]
        hint = f"Texts: np.save(path, array.astype('U')). {_HINT}" if pickled else _HINT
        raise InputError(f"{path} cannot be read as .npy: {reason}", hint) from error
    return array


def _read_hdf5(path: Path, what: str) -> NDArray[Any]:
    key = _chosen_name(path, what)
    with hdf5.open_hdf5(path, f"an HDF5 file with {what!r}", _HINT) as file:
        item, label = hdf5.member(file, key, h5py.Dataset, str(path)), f"{path}: {key!r}"
        if h5py.check_string_dtype(item.dtype) is not None:
            texts = text_member(file, key, str(path))
            assert texts is not None
            return np.array(texts.read(), dtype=np.str_)
        if item.dtype.kind not in "iufb":
            raise InputError(f"{label} is {item.dtype}, not plain numbers", "Write numbers, or texts.")
        hdf5.require_backed(item, label, item.dtype.itemsize)
        array: NDArray[Any] = item[()]
        return array


def _read_safetensors(path: Path, what: str) -> NDArray[Any]:
    import safetensors
    import safetensors.numpy

    key = _chosen_name(path, what)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:  # which checks all offsets
            entry = read_safetensors_header(path, "a safetensors file", _HINT)[key]
            array: NDArray[Any] = _bfloat16(path, entry) if entry["dtype"] == "BF16" else file.get_tensor(key)
    except (safetensors.SafetensorError, AttributeError, TypeError, KeyError, ValueError) as error:  # no float8
        raise InputError(f"{path}: {key!r} cannot be read ({str(error)[:80]})", "Save it as float32.") from error
    return array


def _bfloat16(path: Path, entry: Any) -> NDArray[np.float32]:
    """Values that NumPy has no type for, as float32: bfloat16 are its upper two bytes."""
    start, stop = entry["data_offsets"]
    with path.open("rb") as stream:
        start += 8 + int.from_bytes(stream.read(8), "little")
        stream.seek(start)
        upper = np.frombuffer(stream.read(stop - entry["data_offsets"][0]), dtype="<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def _json_names(text: Any, where: str) -> tuple[str, ...]:
    values = parse_json(text, where) if isinstance(text, str) else None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{where} is not a JSON list of texts", "Write json.dumps(names).")
    return tuple(values)
