"""history.json: the record of each epoch of a training. The only artefact with times in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.catalogue import HISTORY, require_kind
from spurcli.artifacts.envelope import JsonObject, field, read_json_artifact
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.records import EpochRecord
from spurcli.errors import InputError

_HINT = "spurcli train writes it next to the model."


def sidecar(path: Path, standard_stem: str, name: str) -> Path:
    """The path of a companion file: `history.json` next to `model.safetensors`, `big.history.json` next to `big.safetensors`."""
    return path.with_name(name if path.stem == standard_stem else f"{path.stem}.{name}")


def history_path(model_path: Path) -> Path:
    return sidecar(model_path, "model", "history.json")


def write_history(
    path: Path, epochs: Sequence[EpochRecord], facts: Mapping[str, object], provenance: Provenance
) -> None:
    """Write one record per epoch; `facts` are about the whole run (device, samples, weights)."""
    write_json(
        path,
        {
            "format": HISTORY.format,
            "version": HISTORY.version,
            "epochs": [dict(epoch) for epoch in epochs],
            **facts,
            "provenance": dict(provenance),
        },
    )


def read_history(path: Path) -> JsonObject:
    require_kind(path, HISTORY, _HINT)
    content = read_json_artifact(path, HISTORY.format, HISTORY.version, _HINT)
    if not all(isinstance(epoch, dict) for epoch in field(content, "epochs", list, str(path))):
        raise InputError(f"{path}: an epoch is not an object", "See docs/formats.md for the layout.")
    read_provenance(content.get("provenance"), str(path))
    return content
