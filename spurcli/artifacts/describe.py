"""What any artefact says about itself, by looking into it rather than at its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spurcli.artifacts import evaluation, hdf5, history
from spurcli.artifacts.checkpoint import read_checkpoint_metadata, read_safetensors_header
from spurcli.artifacts.envelope import MAX_JSON_BYTES, check_format, optional_field, parse_json, require_file
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices, read_list_header
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.provenance import read_provenance
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_GROUPS_MAGIC = b"# spurcli groups"
# The newest versions of the JSON artefacts; a test compares those of packages that are not imported from here.
JSON_VERSIONS = {
    evaluation.FORMAT: evaluation.VERSION,
    history.FORMAT: history.VERSION,
    "spurcli.injection": 1,
    "spurcli.report": 1,
}


def describe(path: Path) -> dict[str, Any]:
    """Kind, contents in brief, and provenance of a score file, list, checkpoint, or JSON artefact."""
    require_file(path, "an artefact", "Name a file that spurcli wrote.")
    with path.open("rb") as stream:
        start = stream.read(len(_GROUPS_MAGIC))
    if start.startswith(_HDF5_MAGIC):
        return _describe_hdf5(path)
    if path.suffix == ".safetensors" or start[8:9] == b"{":  # after the length of its header
        return _describe_checkpoint(path)
    if start.lstrip()[:1] == b"{":
        return _describe_json(path)
    if start == _GROUPS_MAGIC:
        return _describe_groups(path)
    if start[:2] != b"#!" and start[:1] in (b"#", *(b"%d" % digit for digit in range(10))):
        return _describe_indices(path)
    raise InputError(f"{path} is no file of spurcli", "Known: scores, lists, checkpoints, JSON artefacts.")


def _describe_indices(path: Path) -> dict[str, Any]:
    errors = read_list_header(path).get("kind") == "errors"
    found = read_indices(path, bare_kind="errors" if errors else "keep")
    return {
        "kind": "error list" if errors else f"index list ({found.kind})",
        "num_indices": len(found.indices),
        "num_samples": found.fingerprint.num_samples if found.fingerprint else None,
        "rule": dict(found.rule),
        "provenance": dict(found.provenance),
    }


def _describe_groups(path: Path) -> dict[str, Any]:
    found = read_groups(path)
    provenance = dict(found.provenance)
    inferred = (provenance.get("arguments") or {}).get("by") if provenance.get("stage") == "infer" else None
    return {
        "kind": "groups",
        "num_samples": len(found.group),
        "inferred_by": inferred,
        "groups": found.sizes(),
        "provenance": provenance,
    }


def _describe_hdf5(path: Path) -> dict[str, Any]:
    with hdf5.open_hdf5(path, "an artefact", "Name a file that spurcli wrote.") as file:
        predictions = hdf5.text_attribute(file, "format") == "spurcli.predictions"
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
        "provenance": metadata.get("provenance") or {},
    }


def _describe_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than any artefact should be", "Check that the right file is named.")
    content, where = parse_json(path.read_bytes(), str(path)), str(path)
    name = content.get("format") if isinstance(content, dict) else None
    if not isinstance(name, str) or name not in JSON_VERSIONS:
        raise InputError(f"{path} is no file of spurcli", f"Its JSON names none of: {', '.join(JSON_VERSIONS)}.")
    check_format(name, content.get("version"), name, JSON_VERSIONS[name], where)
    brief: dict[str, Any] = {
        key: value
        for key, value in content.items()
        if isinstance(value, str | int | float | bool) and key not in ("format", "version")
    }
    if name == history.FORMAT:
        brief["num_epochs"] = len(optional_field(content, "epochs", list, where) or [])
    elif name == evaluation.FORMAT:
        metrics = optional_field(content, "metrics", dict, where) or {}
        brief["metrics"] = {key: optional_field(metrics, key, dict, where) or {} for key in metrics}
        brief["metrics"] = {key: item.get("value") for key, item in brief["metrics"].items()}
    elif name == "spurcli.injection":
        carriers = optional_field(content, "carriers", dict, where) or {}
        brief["num_carriers"] = len(optional_field(carriers, "train", list, where) or [])
    provenance = read_provenance(content.get("provenance"), where)
    return {"kind": name.removeprefix("spurcli."), **brief, "provenance": provenance}
