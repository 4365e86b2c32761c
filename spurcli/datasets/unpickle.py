"""Reading the pickles that a benchmark ships, without letting them run anything.

A pickle is a program. Unpickling NumPy's own classes is not a safe allow-list either: the state of a pickled dtype may
declare raw bytes to be object pointers. So no name in a file resolves to NumPy: each is answered with a stand-in
from this module that makes one thing, an array of unsigned bytes, and checks what it is given.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import require_file
from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "Fetch it again from its source."


def read_pickled_dict(path: Path, max_bytes: int = 1 << 26) -> dict[str, object]:
    """The dictionary that the pickle `path` holds; keys as str, uint8 arrays as (read-only) NumPy arrays.

    Only built-in values and uint8 arrays are read, of any pickle protocol, Python 2's included; its strings are bytes.

    Raises InputError if the file is missing, larger than `max_bytes`, damaged, no dictionary, or names anything else.
    """
    require_file(path, "a pickle", _HINT)
    with path.open("rb") as stream:
        raw = stream.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise InputError(f"{path} is larger than {max_bytes:,} bytes, the maximum for such a file", _HINT)
    try:
        _refuse_memory_bombs(raw)
        content = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except _RefusedError as error:
        raise InputError(
            f"{path} is rejected: {error}", "It is not the published file, and may be malicious. " + _HINT
        ) from error
    except Exception as error:  # a damaged pickle raises almost anything
        raise InputError(
            f"{path} is truncated or damaged ({type(error).__name__}: {str(error)[:80]})", _HINT
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a dictionary", _HINT)
    return {_text(key): value.array if isinstance(value, _Array) else value for key, value in content.items()}


def _refuse_memory_bombs(raw: bytes) -> None:
    """A few bytes can ask for a memo of 2³² places; an honest pickle numbers them from 0 and has one per opcode."""
    for opcode, argument, _ in pickletools.genops(raw):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= len(raw):
            raise _RefusedError(f"it requests {argument:,} memo entries")


class _RefusedError(pickle.UnpicklingError):
    """The pickle names something outside the allow-list, or uses it otherwise than arrays are pickled."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"it names {module}.{name}"[:120])
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError(f"it refers to an external object {pid!r}"[:120])


class _StandIn:
    """A callable whose state a pickle cannot change (functions would let it set their defaults)."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("it changes the state of a function")


class _UnsignedByte:
    """Stands in for numpy.dtype("u1"), the only type that is read."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Byte order, fields and flags mean nothing for single bytes."""


class _Array:
    """Stands in for a numpy.ndarray that is being built."""

    __slots__ = ("array",)
    array: NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, raw = state
        self.array = _array(raw, kind, shape, "F" if is_fortran else "C").array


def _array(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    if not isinstance(kind, _UnsignedByte) or not isinstance(raw, (bytes, bytearray)):
        raise _RefusedError("an array is not of unsigned bytes")
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array has no usable shape")
    if math.prod(shape) != len(raw):
        raise ValueError(f"an array of shape {list(shape)} has {counted(len(raw), 'byte')}")
    made = _Array()
    made.array = np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if order == "F" else "C")
    made.array.flags.writeable = False
    return made


def _dtype(name: Any, *flags: Any) -> _UnsignedByte:  # noqa: ARG001 - NumPy adds "align" and "copy"
    if name not in ("u1", b"u1", "|u1", b"|u1"):
        raise _RefusedError(f"an array has elements of type {name!r}, not unsigned bytes"[:120])
    return _UnsignedByte()


def _encode(text: Any, encoding: Any = None) -> bytes:
    # How protocols 0-2 write bytes from Python 3. Other codecs can do more than that, decompress for instance.
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise _RefusedError("it uses a codec other than latin1")
    return text.encode("latin1")


def _never(*arguments: Any) -> Any:  # noqa: ARG001
    raise _RefusedError("it makes an array in an unusual way")


_RECONSTRUCT = _StandIn(lambda *_: _Array())
_ALLOWED: dict[tuple[str, str], _StandIn] = {
    ("_codecs", "encode"): _StandIn(_encode),
    ("numpy", "ndarray"): _StandIn(_never),  # only ever passed on to _reconstruct
    ("numpy", "dtype"): _StandIn(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,  # NumPy 2
    ("numpy.core.numeric", "_frombuffer"): _StandIn(_array),  # protocol 5
    ("numpy._core.numeric", "_frombuffer"): _StandIn(_array),
}


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)
