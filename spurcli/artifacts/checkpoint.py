"""model.safetensors: weights with one metadata key, `spurcli`, that says what they are.

This half reads headers and hashes weights without torch; `checkpoint_torch` moves tensors.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import check_format, optional_field, parse_json, require_file
from spurcli.artifacts.model_folder import INDEX, weights_file
from spurcli.artifacts.provenance import read_provenance
from spurcli.errors import InputError

FORMAT, VERSION = "spurcli.checkpoint", 1
STANDARD_NAME = "model.safetensors"
METADATA_KEY = "spurcli"
_HINT = "Make one with: spurcli train"
_MAX_HEADER = 64 << 20
_ITEM_SIZE = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


def read_safetensors_header(path: Path, what: str = "a safetensors file", hint: str = _HINT) -> dict[str, Any]:
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
        raise InputError(f"{path}: the metadata are not texts by name", "Save it with the safetensors library.")
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


def read_checkpoint_metadata(path: Path, *, required: bool = True) -> dict[str, Any]:
    """What a checkpoint says about itself: the JSON of the metadata key `spurcli`; {} if foreign and not `required`.

    What `torch.save` wrote is foreign, and so is a folder of transformers.
    """
    path = weights_file(path)
    is_foreign = path.name.endswith(INDEX) or is_torch_file(path)
    header = {} if is_foreign else read_safetensors_header(path, "a checkpoint")
    text = header.get("__metadata__", {}).get(METADATA_KEY)
    if text is None:
        if required:
            raise InputError(
                f"{path} was not written by spurcli: it does not say which model and data set it belongs to",
                "Name them: --dataset NAME --model NAME (and --recipe NAME).",
            )
        return {}
    content = parse_json(text, f"{path}: metadata")
    if not isinstance(content, dict):
        raise InputError(f"{path} has no usable metadata", _HINT)
    check_format(content.get("format"), content.get("version"), FORMAT, VERSION, str(path))
    where = f"{path}: metadata"
    for key, kind in (
        ("architecture", dict),
        ("class_names", list),
        ("preprocessing", dict),
        ("training", dict),
        ("injection_sha256", str),
        ("weights_sha256", str),
    ):
        optional_field(content, key, kind, where)
    return {**content, "provenance": read_provenance(content.get("provenance"), where)}


def weights_sha256_of_file(path: Path) -> str:
    """SHA-256 over the tensors in name order: name, dtype, shape, bytes. Independent of metadata and file order."""
    header = read_safetensors_header(path, "a checkpoint")
    with path.open("rb") as stream:
        offset = 8 + int.from_bytes(stream.read(8), "little")
        digest = hashlib.sha256()
        for name in sorted(name for name in header if name != "__metadata__"):
            entry: Mapping[str, Any] = header[name]
            update_weights_hash(digest, name, entry["dtype"], entry["shape"])
            start, stop = entry["data_offsets"]
            stream.seek(offset + start)
            remaining = stop - start
            while remaining:
                block = stream.read(min(remaining, 1 << 22))
                digest.update(block)
                remaining -= len(block)
    return digest.hexdigest()


def update_weights_hash(digest: Any, name: str, dtype: str, shape: list[int]) -> None:
    digest.update(f"{name}\n{dtype}\n{'x'.join(map(str, shape))}\n".encode())
