"""Arrays in .npz files (np.savez): never pickled, and never larger than a valid file can be."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "Write it again: np.savez(path, logits=logits, labels=labels, ids=ids)."
# Logits hardly shrink, but the labels of a million samples in the order of their classes shrink to a thousandth.
_MIN_LIMIT, _MAX_RATIO, _MAX_ARRAYS = 1 << 28, 100, 1000


def npz_names(path: Path) -> list[str]:
    """The names of the arrays. Raises InputError if it is not such a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile fails in many ways on damaged archives
        raise _unreadable(path, error) from error
    if len(names) > _MAX_ARRAYS:
        raise InputError(f"{path} holds {counted(len(names), 'array')}", "Check that the right file is named.")
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def read_npz(path: Path, name: str) -> NDArray[Any]:
    """The array `name`, in memory.

    Raises InputError if it holds Python objects, is damaged, or unpacks to far more than the file holds.
    """
    limit = max(_MIN_LIMIT, _MAX_RATIO * path.stat().st_size)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers of old versions
            version = npy_format.read_magic(stream)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"version {version} of the format")
            read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, is_fortran, dtype = read(stream)
            size = math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and size <= limit:
                content = stream.read(size)
                stream.read(1)  # to the end, where the checksum is compared
                if len(content) < size:
                    raise ValueError("it is truncated")
                array = np.frombuffer(content, dtype=dtype, count=math.prod(shape))
                return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
    except Exception as error:  # the header is parsed as Python, which can fail in any way
        raise _unreadable(path, error, name) from error
    if dtype.hasobject:
        raise InputError(
            f"{path}: {name!r} holds pickled objects, which are not read", "Write numbers, or texts: array.astype('U')."
        )
    raise InputError(
        f"{path}: {name!r} unpacks to more than {_MAX_RATIO} times the file", "Unpack it: np.save writes .npy."
    )


def _unreadable(path: Path, error: Exception, name: str = "") -> InputError:
    reason = str(error).partition("\n")[0][:100] or type(error).__name__
    return InputError(f"{path} cannot be read as .npz{f', {name!r}' * bool(name)}: {reason}", _HINT)
