"""The stage `evaluate`: a model and a split in, evaluation.json and predictions.h5 out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.arrays import read_labels, read_logits
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.evaluation import predictions_path, write_evaluation
from spurcli.artifacts.fingerprint import Fingerprint, require_same
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.predictions import Predictions, write_predictions
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.datasets.injection import injection_parents
from spurcli.errors import InputError, UsageError
from spurcli.evaluation.evaluated import Evaluated, evaluated_split
from spurcli.evaluation.metrics import compute
from spurcli.progress import Progress
from spurcli.runtime.launch import launched
from spurcli.settings import Settings
from spurcli.words import counted

if TYPE_CHECKING:
    from spurcli.runtime.distributed import World


def evaluate(
    settings: Settings | None = None,
    *,
    model: Path | None = None,
    split: str = "test",
    logits: Path | None = None,
    labels: Path | None = None,
    output: Path = Path("evaluation.json"),
    write_logits: bool = True,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Evaluate `model` on a split of the data set in `settings`, or logits made elsewhere.

    Foreign `logits` need `labels`, or a data set in `settings` whose split they belong to (labels and groups come
    from there). Writes `output` and, with `write_logits`, the predictions beside it; returns the evaluation.

    Raises InputError if files and data set do not belong together.
    """
    if (model is None) == (logits is None):
        raise UsageError("Give either a model or --logits", "spurcli evaluate model.safetensors")
    if logits is not None:
        launched().require_alone("Logits are evaluated by one process")
        found = _foreign(settings, split, logits, labels)
        return _write(settings, split, found, output, command, write_logits=write_logits)
    assert model is not None
    if settings is None or labels is not None:
        raise UsageError("--labels goes with --logits, a model with a data set", "Leave --labels out.")
    found, world = _run_model(settings, model, split, allow_injection_mismatch, progress)
    return world.first(lambda: _write(settings, split, found, output, command, write_logits=write_logits))


@dataclass(frozen=True)
class _Found:
    """What was predicted, for which samples, and by what."""

    evaluated: Evaluated
    fingerprint: Fingerprint
    about: Mapping[str, Any]
    parents: Sequence[Parent]
    injection_sha256: str | None = None


def _write(
    settings: Settings | None, split: str, found: _Found, output: Path, command: str, *, write_logits: bool
) -> dict[str, Any]:
    """Compute the metrics and write the files; returns the evaluation."""
    evaluated, fingerprint, injection_sha256 = found.evaluated, found.fingerprint, found.injection_sha256
    made = provenance(
        "evaluate",
        command=command,
        settings=settings.to_json() if settings else {},
        arguments={"split": split},
        parents=[*injection_parents(settings.injection_path if settings else None), *found.parents],
    )
    content = {
        "split": split,
        "num_samples": len(evaluated.label),
        "class_names": list(evaluated.class_names),
        "group_names": list(evaluated.group_names),
        "fingerprint": fingerprint.to_json(),
        "injection_sha256": injection_sha256,
        **found.about,
        **compute(evaluated, bootstrap_seed=settings.seed if settings else 0),
        "provenance": made,
    }
    if write_logits:
        write_predictions(
            predictions_path(output),
            Predictions(
                split=split,
                logits=evaluated.logits,
                label=evaluated.label,
                class_names=tuple(evaluated.class_names),
                fingerprint=fingerprint,
                provenance=made,
                group=evaluated.group,
                group_names=tuple(evaluated.group_names),
                twin_index=evaluated.twin_index,
                twin_logits=evaluated.twin_logits,
                injection_sha256=injection_sha256,
                train_group_counts=evaluated.train_group_counts,
                feature_of=evaluated.feature_of,
                twin_class=evaluated.twin_class,
                confusion=evaluated.confusion,
            ),
        )
    write_evaluation(output, content)
    return content


def _run_model(
    settings: Settings, path: Path, split: str, allow_injection_mismatch: bool, progress: Progress | None
) -> tuple[_Found, World]:
    from spurcli.evaluation.predict import SplitPredictor
    from spurcli.runtime.workbench import Workbench

    path = weights_file(path)
    metadata = read_checkpoint_metadata(path, required=False)
    bench = Workbench.open(settings, progress, pretrained=False)
    dataset = bench.dataset
    chosen = dataset.split(split)
    bench.require_own(metadata, str(path), allow_injection_mismatch=allow_injection_mismatch)
    model, digest = bench.restored(path, is_ours=bool(metadata))
    evaluated = SplitPredictor.open(bench, split).predict(model)
    about = {
        "model": {"weights_sha256": digest, "architecture": metadata.get("architecture")},
        "training": metadata.get("training"),
    }
    parents = [Parent.of(path, metadata.get("provenance"))]
    return _Found(evaluated, chosen.fingerprint, about, parents, dataset.injection_sha256), bench.world


def _foreign(settings: Settings | None, split: str, logits_path: Path, labels_path: Path | None) -> _Found:
    logits = read_logits(logits_path)
    if labels_path is not None:
        label = read_labels(labels_path, len(logits), logits.shape[1])
    parents = [Parent.of(path) for path in (logits_path, labels_path) if path is not None]
    about = {"model": None, "training": None}
    if settings is None:
        if labels_path is None:
            raise UsageError("Logits alone say nothing about what is right", "Add --labels FILE or --dataset NAME.")
        names = [str(number) for number in range(logits.shape[1])]
        return _Found(Evaluated(logits, label, names), Fingerprint.of(label), about, parents)
    from spurcli.runtime.workbench import Workbench

    dataset = Workbench.open(settings, pretrained=False).dataset
    fingerprint = dataset.split(split).fingerprint
    where = f"split {split!r} of {dataset.name!r}"
    mine = Fingerprint.of(label) if labels_path else Fingerprint(len(logits))
    require_same(mine, str(labels_path or logits_path), fingerprint, where)
    if logits.shape[1] != len(dataset.class_names):
        raise InputError(
            f"{logits_path} has {counted(logits.shape[1], 'column')}, {where} {counted(len(dataset.class_names), 'class')}",
            "Use logits of a model for this data set.",
        )
    # a foreign program saw no twin
    evaluated = replace(evaluated_split(dataset, split, logits), feature_of=None, twin_class=None)
    return _Found(evaluated, fingerprint, about, parents)
