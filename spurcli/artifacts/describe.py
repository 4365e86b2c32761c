"""What any artefact says about itself, by looking into it rather than at its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spurcli.artifacts.checkpoint import read_checkpoint_metadata, read_safetensors_header
from spurcli.artifacts.envelope import parse_json, require_file
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def describe(path: Path) -> dict[str, Any]:
    """Kind, contents in brief, and provenance of a score file, list, checkpoint, or JSON artefact."""
    require_file(path, "an artefact", "Name a file that spurcli wrote.")
    with path.open("rb") as stream:
        start = stream.read(8)
    if start == _HDF5_MAGIC:
        return _describe_hdf5(path)
    if path.suffix == ".safetensors":
        return _describe_checkpoint(path)
    if start.lstrip()[:1] == b"{":
        return _describe_json(path)
    if start[:1] in b"#0123456789":
        found = read_indices(path)
        return {
            "kind": f"index list ({found.kind})",
            "num_indices": len(found.indices),
            "num_samples": found.fingerprint.num_samples if found.fingerprint else None,
            "rule": dict(found.rule),
            "provenance": dict(found.provenance),
        }
    raise InputError(f"{path} is no file of spurcli", "Known: scores, lists, checkpoints, JSON artefacts.")


def _describe_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        predictions = file.attrs.get("format") == "spurcli.predictions"
    if predictions:
        found = read_predictions(path)
        twin = None if found.twin_logits is None else len(found.twin_logits)
        return {
            "kind": "predictions",
            "split": found.split,
            "num_samples": len(found.label),
            "num_twin_samples": twin,
            "classes": list(found.class_names),
            "provenance": dict(found.provenance),
        }
    with open_scores(path) as reader:
        return {
            "kind": "scores",
            "num_samples": reader.header.num_samples,
            "classes": list(reader.header.class_names),
            "groups": list(reader.header.group_names),
            "scores": {
                name: {
                    "runs": info.num_runs,
                    "higher_is": info.higher_is,
                    "epoch": info.epoch,
                    "seeds": list(info.seeds),
                    "formula": info.formula,
                }
                for name, info in reader.scores.items()
            },
            "provenance": dict(reader.header.provenance),
        }


def _describe_checkpoint(path: Path) -> dict[str, Any]:
    metadata = read_checkpoint_metadata(path, required=False)
    header = {name: entry for name, entry in read_safetensors_header(path).items() if name != "__metadata__"}
    training = metadata.get("training") or {}
    return {
        "kind": "checkpoint",
        "num_tensors": len(header),
        "architecture": metadata.get("architecture"),
        "classes": metadata.get("class_names"),
        "epoch": training.get("epoch"),
        "num_kept": training.get("num_kept"),
        "num_train": training.get("num_train"),
        "weights_sha256": metadata.get("weights_sha256"),
        "provenance": metadata.get("provenance", {}),
    }


def _describe_json(path: Path) -> dict[str, Any]:
    content = parse_json(path.read_bytes(), str(path))
    name = content.get("format") if isinstance(content, dict) else None
    if not isinstance(name, str) or not name.startswith("spurcli."):
        raise InputError(f"{path} is no file of spurcli", "Its JSON names no spurcli format.")
    brief: dict[str, Any] = {
        key: value
        for key, value in content.items()
        if isinstance(value, str | int | float | bool) and key not in ("format", "version")
    }
    if isinstance(content.get("epochs"), list):
        brief["num_epochs"] = len(content["epochs"])
    if isinstance(content.get("metrics"), dict):
        brief |= {"metrics": {key: (item or {}).get("value") for key, item in content["metrics"].items()}}
    if isinstance(content.get("carriers"), dict):
        brief["num_carriers"] = len(content["carriers"].get("train", []))
    return {"kind": name.removeprefix("spurcli."), **brief, "provenance": content.get("provenance", {})}
