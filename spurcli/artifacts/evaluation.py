"""evaluation.json: every metric with its number of samples and interval, per class and per group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.catalogue import EVALUATION, require_kind
from spurcli.artifacts.envelope import JsonObject, field, read_json_artifact
from spurcli.artifacts.history import sidecar
from spurcli.artifacts.provenance import read_provenance

_HINT = "Make one with: spurcli evaluate"


def predictions_path(evaluation_path: Path) -> Path:
    return sidecar(evaluation_path, "evaluation", "predictions.h5")


def is_unsplit(content: Mapping[str, Any]) -> bool:
    """Whether an evaluation is of all rows of a table of predictions, which has no column of splits."""
    found: Any = content
    for key in ("provenance", "arguments", "columns"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(found, Mapping) and bool(found) and not found.get("split")


def write_evaluation(path: Path, content: Mapping[str, object]) -> None:
    write_json(path, {"format": EVALUATION.format, "version": EVALUATION.version, **content})


def read_evaluation(path: Path) -> JsonObject:
    require_kind(path, EVALUATION, _HINT)
    content = read_json_artifact(path, EVALUATION.format, EVALUATION.version, _HINT)
    metrics = field(content, "metrics", dict, str(path))
    for name in metrics:
        field(metrics, name, dict, f"{path}: metrics")
    read_provenance(content.get("provenance"), str(path))
    return content
