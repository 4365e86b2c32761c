"""The header of a safetensors file, checked against the file, without reading a tensor."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import JsonObject, parse_json, require_file
from spurcli.errors import InputError

_HINT = "Make one with: spurcli train"
_MAX_HEADER = 64 << 20
_ITEM_SIZE = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


def read_safetensors_header(path: Path, what: str = "a safetensors file", hint: str = _HINT) -> JsonObject:
    """The JSON header of a safetensors file, its offsets checked against the file; nothing else is read."""
    require_file(path, what, hint)
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise InputError(f"{path} is not {what}, or it is truncated", hint)
        header = parse_json(stream.read(length), f"{path}: header")
    if not isinstance(header, dict):
        raise InputError(f"{path} is not {what}", hint)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: the metadata are not named texts", "Save it with the safetensors library.")
    body = size - 8 - length
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not _plausible(entry, body):
            raise InputError(f"{path}: tensor {name[:60]!r} does not fit the file", f"It may be truncated. {hint}")
    return header


def _plausible(entry: Any, body: int) -> bool:
    try:
        start, stop = entry["data_offsets"]
        shape = entry["shape"]
        item_size = _ITEM_SIZE[entry["dtype"]]
        return (
            all(type(number) is int and number >= 0 for number in (start, stop, *shape))
            and start <= stop <= body
            and math.prod(shape) * item_size == stop - start
        )
    except (KeyError, TypeError, ValueError):
        return False


def is_torch_file(path: Path) -> bool:
    """Whether `torch.save` wrote the file: a zip archive, or a pickle as before torch 1.6."""
    require_file(path, "a checkpoint", _HINT)
    with path.open("rb") as stream:
        start = stream.read(4)
    return start == b"PK\x03\x04" or start[:2] == b"\x80\x02"
