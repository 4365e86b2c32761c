"""model.safetensors: weights with one metadata key, `spurcli`, that describes them.

This half reads headers and hashes weights without torch; `checkpoint_torch` moves tensors.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from spurcli.artifacts.catalogue import CHECKPOINT, CHECKPOINT_KEY, require_kind
from spurcli.artifacts.envelope import JsonObject, check_format, optional_field, parse_json
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.model_folder import INDEX, weights_file
from spurcli.artifacts.provenance import read_provenance
from spurcli.artifacts.subject import Subject
from spurcli.artifacts.tensor_header import is_torch_file, read_safetensors_header
from spurcli.errors import InputError

_HINT = "Make one with: spurcli train"


def read_checkpoint_metadata(path: Path, *, required: bool = True) -> JsonObject:
    """The description in a checkpoint: the JSON of the metadata key `spurcli`; {} if foreign and not `required`.

    Files of `torch.save` and transformers folders are foreign.
    """
    path = weights_file(path)
    require_kind(path, CHECKPOINT, _HINT)
    is_foreign = path.name.endswith(INDEX) or is_torch_file(path)
    header = {} if is_foreign else read_safetensors_header(path, "a checkpoint")
    text = header.get("__metadata__", {}).get(CHECKPOINT_KEY)
    if text is None:
        if required:
            raise InputError(
                f"{path} was not written by spurcli: it has no record of its model and data set",
                "Name them: --dataset NAME --model NAME (and --recipe NAME).",
            )
        return {}
    content = parse_json(text, f"{path}: metadata")
    if not isinstance(content, dict):
        raise InputError(f"{path} has no usable metadata", _HINT)
    check_format(content.get("format"), content.get("version"), CHECKPOINT.format, CHECKPOINT.version, str(path))
    where = f"{path}: metadata"
    for key, kind in (
        ("architecture", dict),
        ("class_names", list),
        ("preprocessing", dict),
        ("training", dict),
        ("backbone", dict),
        ("injection_sha256", str),
        ("weights_sha256", str),
    ):
        optional_field(content, key, kind, where)
    return {**content, "provenance": read_provenance(content.get("provenance"), where)}


def checkpoint_subject(metadata: JsonObject, name: str) -> Subject:
    """The samples and the injection that a spurcli checkpoint was trained on; every one states them."""
    fingerprint = Fingerprint.from_json(metadata.get("fingerprint"), name)
    return Subject(fingerprint, metadata.get("injection_sha256"), name=name)


def weights_sha256_of_file(path: Path) -> str:
    """SHA-256 over the tensors in name order: name, dtype, shape, bytes. Independent of metadata and file order."""
    header = read_safetensors_header(path, "a checkpoint")
    with path.open("rb") as stream:
        offset = 8 + int.from_bytes(stream.read(8), "little")
        digest = hashlib.sha256()
        for name in sorted(name for name in header if name != "__metadata__"):
            entry: JsonObject = header[name]
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
