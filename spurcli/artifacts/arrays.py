"""Logits and labels made by any program: .npy, .safetensors or HDF5, never pickled."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.checkpoint import read_safetensors_header
from spurcli.artifacts.envelope import require_file
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "Accepted: .npy, .safetensors, .h5/.hdf5."


def read_logits(path: Path) -> NDArray[np.float32]:
    """Logits [n, classes] as float32, memory-mapped where the file allows; NaN and infinities are refused.

    A SpurWarning says so if they look like probabilities (`warn_unless_logits`).
    """
    logits = _read(path, "logits", kinds="f", ndim=2)
    if logits.shape[1] < 2:
        raise InputError(f"{path}: logits need at least 2 classes, found {logits.shape[1]}", "Write [n, classes].")
    for start in range(0, len(logits), hdf5.CHUNK):
        block = logits[start : start + hdf5.CHUNK]
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise InputError(f"{path}: logits of sample {row:,} hold NaN or infinity", "Check the model made them.")
    warn_unless_logits(logits, str(path))
    return logits


def read_labels(path: Path, num_samples: int, num_classes: int) -> NDArray[np.int64]:
    """Labels int64 [n], checked to be as many as the logits and within the classes."""
    labels = np.asarray(_read(path, "label", kinds="iu", ndim=1), dtype=np.int64)
    if len(labels) != num_samples:
        raise InputError(
            f"{path} has {counted(len(labels), 'label')} for {counted(num_samples, 'row')} of logits",
            "Use the same split.",
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        bad = int(np.flatnonzero((labels < 0) | (labels >= num_classes))[0])
        raise InputError(
            f"{path}: label {int(labels[bad])} of sample {bad:,} is outside the {num_classes} classes of the logits",
            "Labels count from 0.",
        )
    return labels


def _read(path: Path, name: str, *, kinds: str, ndim: int) -> NDArray[Any]:
    require_file(path, name, _HINT)
    if path.suffix == ".npy":
        array = _read_npy(path)
    elif path.suffix == ".safetensors":
        array = _read_safetensors(path, name)
    elif path.suffix in (".h5", ".hdf5"):
        with hdf5.open_hdf5(path, f"an HDF5 file with {name!r}", _HINT) as file:
            keys = [key for key in file if isinstance(file.get(key, getlink=True), h5py.HardLink)]
            key = name if name in keys else (keys[0] if len(keys) == 1 else name)
            item = hdf5.array_member(file, key, str(path), kinds=kinds, ndim=ndim)
            if item is None:
                raise InputError(f"{path} has no {name!r}", f"It has: {', '.join(keys) or 'nothing'}.")
            array = item[:]
    else:
        raise InputError(f"{path}: unknown kind of file {path.suffix!r}", _HINT)
    if array.ndim != ndim or array.dtype.kind not in kinds:
        raise InputError(
            f"{path} is {array.dtype} of shape {list(array.shape)}",
            f"Expected {'floating-point [n, classes]' if ndim == 2 else 'integer [n]'}.",
        )
    if not len(array):
        raise InputError(f"{path} has no rows", "Check the program that wrote it.")
    if kinds != "f" or array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused
        return array.astype(np.float32)


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            if stream.read(6) != b"\x93NUMPY":
                raise ValueError("it does not begin like one")
            warnings.simplefilter("ignore")  # headers of old versions
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python, which can fail in any way
        pickled = "pickle" in str(error).lower() or "python objects" in str(error).lower()
        reason = "it holds pickled objects, which are refused" if pickled else str(error).partition("\n")[0][:100]
        raise InputError(f"{path} cannot be read as .npy: {reason}", _HINT) from error
    return array


def _read_safetensors(path: Path, name: str) -> NDArray[Any]:
    import safetensors
    import safetensors.numpy

    header = read_safetensors_header(path, "a safetensors file", _HINT)
    keys = [key for key in header if key != "__metadata__"]
    key = name if name in keys else (keys[0] if len(keys) == 1 else name)
    if key not in keys:
        raise InputError(f"{path} has no tensor {name!r}", f"It has: {', '.join(keys[:8]) or 'nothing'}.")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            array: NDArray[Any] = file.get_tensor(key)
    except (safetensors.SafetensorError, TypeError, KeyError, ValueError) as error:  # NumPy has no bfloat16
        raise InputError(f"{path}: {key!r} cannot be read ({str(error)[:80]})", "Save it as float32.") from error
    return array
