"""The description of any artefact, from its content rather than its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurcli.artifacts import catalogue
from spurcli.artifacts.addition import read_addition
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.canary import read_canary
from spurcli.artifacts.catalogue import CATALOGUE, EVALUATION, HISTORY, INJECTION, Artefact
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.dynamics import open_dynamics
from spurcli.artifacts.embeddings import read_column_names, read_embeddings
from spurcli.artifacts.envelope import (
    MAX_JSON_BYTES,
    JsonObject,
    check_format,
    optional_field,
    parse_json,
    require_file,
)
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.hdf5 import CHUNK
from spurcli.artifacts.indices import IndexFacts, read_index_facts
from spurcli.artifacts.predictions import read_predictions
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.scores import open_scores
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.errors import InputError


@dataclass(frozen=True)
class Described:
    """The description of a file: `brief` for people, how it was made, and its samples (None if not stated)."""

    kind: str
    brief: Mapping[str, Any]
    provenance: Provenance
    fingerprint: Fingerprint | None = None


def describe(path: Path) -> JsonObject:
    """Kind, contents in brief, and provenance of any artefact, a foreign checkpoint, or a bare list."""
    require_file(path, "an artefact", "Name a file that spurcli wrote.")
    found = read_described(path, catalogue.recognise(path) or _probably(path))
    return {"kind": found.kind, **found.brief, "provenance": dict(found.provenance)}


def artefact_of(path: Path) -> Artefact:
    """The kind of an artefact; for a foreign file the kind that it can be used as, which is checked.

    Raises InputError for any other file.
    """
    if found := catalogue.recognise(path):
        return found
    probable = _probably(path)
    read_described(path, probable)
    return probable


def read_described(path: Path, artefact: Artefact) -> Described:
    """Read the whole file as one of the kind `artefact`. Raises InputError if it is damaged or of another kind."""
    return _READERS[artefact.kind](path)


def _probably(path: Path) -> Artefact:
    """The kind that an unmarked file is read as: its reader accepts it or reports an error."""
    with path.open("rb") as stream:
        lines = stream.read(4096).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    start = lines[0]
    if start.startswith(b"\x89HDF"):
        return catalogue.SCORES
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return catalogue.CHECKPOINT
    if start.lstrip()[:1] == b"{":
        return catalogue.REPORT
    indices = [line for line in lines if line.strip() and not line.startswith(b"#")]
    if indices and indices[0][:1].isdigit():
        return catalogue.INDICES
    raise InputError(f"{path} is not a file of spurcli", f"Known: {', '.join(each.names[0] for each in CATALOGUE)}")


def _describe_indices(path: Path) -> Described:
    found = read_index_facts(path)
    return _described_list(f"index list ({found.said.kind})", found)


def _describe_errors(path: Path) -> Described:
    return _described_list("error list", read_index_facts(path, bare_kind="errors"))


def _described_list(kind: str, found: IndexFacts) -> Described:
    said = found.said
    brief = {
        "num_indices": found.num_indices,
        "num_samples": said.subject.num_samples,
        "rule": dict(said.rule),
    }
    return Described(kind, brief, said.provenance, said.subject.fingerprint)


def _describe_groups(path: Path) -> Described:
    found = read_groups(path)
    provenance = found.provenance
    inferred = (provenance.get("arguments") or {}).get("by") if provenance.get("stage") == "infer" else None
    brief = {
        "num_samples": len(found.main.group),
        "splits": {name: len(part.group) for name, part in found.splits.items() if name},
        "inferred_by": inferred,
        **({"chosen": dict(found.chosen)} if found.chosen else {}),
        **({"aligned": found.aligned} if found.aligned else {}),
        "probability_of": found.probability_of,
        "groups": found.sizes(),
    }
    return Described("groups", brief, provenance, found.main.subject.fingerprint)


def _describe_predictions(path: Path) -> Described:
    found = read_predictions(path)
    brief = {
        "split": found.split,
        "num_samples": len(found.label),
        "num_twin_samples": None if found.twin_logits is None else len(found.twin_logits),
        "classes": list(found.class_names),
    }
    return Described("predictions", brief, found.provenance, found.subject.fingerprint)


def _describe_scores(path: Path) -> Described:
    with open_scores(path) as reader:
        header = reader.header
        scores = {
            name: {
                "runs": info.num_runs,
                "higher_is": info.higher_is,
                "epoch": info.epoch,
                "seeds": list(info.seeds),
                "formula": info.formula,
            }
            for name, info in reader.scores.items()
        }
    brief = {
        "num_samples": header.num_samples,
        "classes": list(header.class_names),
        "groups": list(header.group_names),
        "scores": scores,
    }
    return Described("scores", brief, header.provenance, header.subject.fingerprint)


def _describe_embeddings(path: Path) -> Described:
    found = read_embeddings(path)
    brief = {
        "name": found.name,
        "num_dimensions": found.num_dimensions,
        "splits": {name: len(split.label) for name, split in found.splits.items()},
        "has_twins": any(split.twin_index is not None for split in found.splits.values()),
        "classes": list(found.class_names),
        "attributes": list(found.attribute_names),
        "columns": list(read_column_names(path)),
        "backbone": dict(found.backbone),
    }
    return Described("embeddings", brief, found.provenance, found.splits["train"].fingerprint)


def _describe_dynamics(path: Path) -> Described:
    with open_dynamics(path) as reader:
        for start in range(0, reader.header.num_samples, CHUNK):
            reader.check(start, min(start + CHUNK, reader.header.num_samples))
        brief = {
            "num_samples": reader.header.num_samples,
            "num_epochs": reader.num_epochs,
            "view": reader.facts.view,
            "precision": reader.facts.precision,
            "seed": reader.facts.seed,
            "classes": list(reader.header.class_names),
        }
        return Described("dynamics", brief, reader.provenance, reader.header.subject.fingerprint)


def _describe_checkpoint(path: Path) -> Described:
    metadata = read_checkpoint_metadata(path, required=False)
    header = {name: entry for name, entry in read_safetensors_header(path).items() if name != "__metadata__"}
    training = metadata.get("training") or {}
    brief = {
        "num_tensors": len(header),
        "architecture": metadata.get("architecture"),
        "classes": metadata.get("class_names"),
        "epoch": training.get("epoch"),
        "num_kept": training.get("num_kept"),
        "num_train": training.get("num_train"),
        "weights_sha256": metadata.get("weights_sha256"),
    }
    stated = metadata.get("fingerprint")
    about = Fingerprint.from_json(stated, str(path)) if stated is not None else None
    return Described("checkpoint", brief, metadata.get("provenance") or {}, about)


def _describe_audit(path: Path) -> Described:
    found = read_audit(path)
    keys = ("rank", "name", "class", "finder", "status")
    brief = {
        "held_out": found["held_out"],
        "suspects": [{key: suspect.get(key) for key in keys} for suspect in found["suspects"]],
        "failing_groups": [entry["statement"] for entry in found.get("failing_groups") or []],
    }
    return Described("audit", brief, read_provenance(found.get("provenance"), str(path)), _audited_samples(found, path))


def _audited_samples(found: JsonObject, path: Path) -> Fingerprint | None:
    """The samples of the training split of an audit, or of its first split."""
    splits = found["splits"]
    part = splits.get("train") or next(iter(splits.values()), None)
    stated = part.get("fingerprint") if isinstance(part, dict) else None
    return Fingerprint.from_json(stated, str(path)) if stated is not None else None


def _describe_addition(path: Path) -> Described:
    found = read_addition(path)
    arrays = {name: " × ".join(map(str, values.shape)) for name, values in found.addition.arrays.items()}
    brief = {
        "name": found.name,
        "class": found.label,
        "adds": found.addition.kind,
        "parameters": dict(found.addition.parameters),
        "arrays": arrays,
    }
    return Described("addition", brief, found.provenance)


def _describe_canary(path: Path) -> Described:
    found = read_canary(path)
    brief = {key: found.get(key) for key in ("dataset", "split", "verdict", "fraction")}
    brief["ratios"] = {row["fraction"]: row["ratio"]["value"] for row in found["fractions"]}
    return Described("canary", brief, read_provenance(found.get("provenance"), str(path)))


def _describe_json(path: Path) -> Described:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is too large for a file of spurcli", "Check that the right file is named.")
    content, where = parse_json(path.read_bytes(), str(path)), str(path)
    found = catalogue.of_format(content.get("format"), ".json") if isinstance(content, dict) else None
    if found is None:
        known = ", ".join(each.format for each in CATALOGUE if ".json" in each.endings)
        raise InputError(f"{path} is not a file of spurcli", f"Its JSON names none of: {known}.")
    check_format(found.format, content.get("version"), found.format, found.version, where)
    brief: JsonObject = {
        key: value
        for key, value in content.items()
        if isinstance(value, str | int | float | bool) and key not in ("format", "version")
    }
    if found == HISTORY:
        brief["num_epochs"] = len(optional_field(content, "epochs", list, where) or [])
    elif found == EVALUATION:
        metrics = optional_field(content, "metrics", dict, where) or {}
        brief["metrics"] = {key: optional_field(metrics, key, dict, where) or {} for key in metrics}
        brief["metrics"] = {key: item.get("value") for key, item in brief["metrics"].items()}
    elif found == INJECTION:
        carriers = optional_field(content, "carriers", dict, where) or {}
        brief["num_carriers"] = len(optional_field(carriers, "train", list, where) or [])
    stated = content.get("fingerprint")
    about = Fingerprint.from_json(stated, where) if stated is not None else None
    return Described(found.kind, brief, read_provenance(content.get("provenance"), where), about)


_READERS: dict[str, Callable[[Path], Described]] = {
    catalogue.INJECTION.kind: _describe_json,
    catalogue.SCORES.kind: _describe_scores,
    catalogue.DYNAMICS.kind: _describe_dynamics,
    catalogue.INDICES.kind: _describe_indices,
    catalogue.ERRORS.kind: _describe_errors,
    catalogue.GROUPS.kind: _describe_groups,
    catalogue.CHECKPOINT.kind: _describe_checkpoint,
    catalogue.HISTORY.kind: _describe_json,
    catalogue.EVALUATION.kind: _describe_json,
    catalogue.PREDICTIONS.kind: _describe_predictions,
    catalogue.AUDIT.kind: _describe_audit,
    catalogue.ADDITION.kind: _describe_addition,
    catalogue.CANARY.kind: _describe_canary,
    catalogue.EMBEDDINGS.kind: _describe_embeddings,
    catalogue.REPORT.kind: _describe_json,
}
