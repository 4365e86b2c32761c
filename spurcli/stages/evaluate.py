"""The stage `evaluate`: from a model and a split to evaluation.json and predictions.h5."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.class_check import confusion, warn_if_reordered
from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.evaluation import predictions_path, read_evaluation, write_evaluation
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.injection import injection_parents
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.predictions import Predictions, read_predictions, write_predictions
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.auditing.stored import StoredSuspect
from spurcli.datasets.alignment import read_aligned
from spurcli.datasets.content import content_hashes
from spurcli.datasets.prediction_table import PredictionColumns
from spurcli.errors import InputError, UsageError
from spurcli.evaluation.doubts import accuracies_in_history, warn_if_contradicted, warn_if_doubtful
from spurcli.evaluation.evaluated import Evaluated, evaluated_from, evaluated_split
from spurcli.evaluation.from_table import evaluated_table
from spurcli.evaluation.judged import features_of, fit_thresholds, with_features
from spurcli.evaluation.metrics import compute
from spurcli.evaluation.regroup import (
    read_regrouping,
    suggest_columns,
    with_columns,
)
from spurcli.progress import Progress, Silent
from spurcli.runtime.launch import launched
from spurcli.settings import Settings
from spurcli.stages.grouping import Groups

if TYPE_CHECKING:
    from spurcli.runtime.distributed import World


def evaluate(
    settings: Settings | None = None,
    *,
    model: Path | None = None,
    split: str = "test",
    logits: Path | None = None,
    labels: Path | None = None,
    ids: Path | None = None,
    predictions: Path | None = None,
    table: tuple[Path, PredictionColumns] | None = None,
    attributes: Sequence[str] = (),
    groups: Path | None = None,
    feature_of: Sequence[str] = (),
    suspect: StoredSuspect | None = None,
    behind: Callable[[], Settings] | None = None,
    output: Path = Path("evaluation.json"),
    write_logits: bool = True,
    allow_injection_mismatch: bool = False,
    progress: Progress | None = None,
    command: str = "",
) -> JsonObject:
    """Evaluate `model` on a split of the data set in `settings`, logits made elsewhere, or `predictions` again.

    Predictions (predictions.h5 of an earlier evaluation, or a file of that form) need no settings. `feature_of` names
    the features to judge, each as CLASS/ATTRIBUTE; else they are found from the injection or the training counts.
    A `table` of predictions of any program, with what its columns are, needs nothing else.
    `attributes` are columns of the data set's table that make the groups instead of those it was trained with, `groups` is a
    file of ids and groups. `suspect` of an audit makes the groups too, and its feature is added to samples that do not have it, if it can be
    added; `behind` gives the settings of what embeddings were made from (requests.behind). Foreign `logits` need `labels`, or a data set in `settings` whose split they belong to (labels and groups come
    from there; `ids` match the rows to it). Writes `output` and, with `write_logits`, the predictions next to it; returns the evaluation.

    Raises InputError if files and data set do not belong together.
    """
    if sum(given is not None for given in (model, logits, predictions, table)) != 1:
        raise UsageError("Give either a model, predictions or --logits", "spurcli evaluate model.safetensors")
    if (attributes or groups) and (settings is None or table is not None):
        raise UsageError("Other groups need a data set", "Name the model, or add --dataset to --logits.")
    if attributes and groups:
        raise UsageError("--attribute and --group-labels both make the groups", "Remove one of them.")
    if suspect is not None and (model is None or attributes or groups):
        what = "--attribute and --group-labels make other groups" if model else "--suspect requires a model"
        raise UsageError(what, "Remove --suspect, or name a model without other groups.")
    stated = with_columns(settings, attributes) if settings is not None and attributes else settings
    if table is not None:
        launched().require_alone("A table of predictions is evaluated by one process")
        found = _tabled(*table, split, feature_of)
        return _write(settings, split, found, output, command, write_logits=write_logits)
    if predictions is not None:
        launched().require_alone("Predictions are evaluated by one process")
        # the predictions are there already, and beside the standard output they are the file that is read
        return _again(predictions, output, command, feature_of)
    if logits is not None:
        launched().require_alone("Logits are evaluated by one process")
        found = _foreign(settings, split, (logits, labels, ids), progress, Groups(attributes, groups))
        found = replace(found, evaluated=with_features(found.evaluated, feature_of))
        return _write(stated, split, found, output, command, write_logits=write_logits)
    assert model is not None
    if settings is None or labels is not None or ids is not None:
        raise UsageError("--labels requires --logits; a model requires a data set", "Leave --labels out.")
    policy = InjectionPolicy.of(allow_injection_mismatch)
    asked = Groups(attributes, groups, suspect, behind)
    found, world = _run_model(settings, model, split, policy, progress, feature_of, asked)
    return world.first(lambda: _write(stated, split, found, output, command, write_logits=write_logits))


@dataclass(frozen=True)
class _Found:
    """The predictions, their samples and their source."""

    evaluated: Evaluated
    subject: Subject
    about: Mapping[str, Any]
    parents: Sequence[Parent]
    sample_id: tuple[str, ...] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _write(
    settings: Settings | None, split: str, found: _Found, output: Path, command: str, *, write_logits: bool
) -> JsonObject:
    """Compute the metrics and write the files; returns the evaluation."""
    evaluated = found.evaluated
    made = provenance(
        "evaluate",
        command=command,
        settings=settings.to_json() if settings else {},
        arguments={"split": split, **found.arguments},
        parents=[*injection_parents(settings.injection_path if settings else None), *found.parents],
    )
    content = _content(split, found, made)
    if write_logits:
        write_predictions(
            predictions_path(output),
            Predictions(
                split=split,
                logits=evaluated.logits,
                label=evaluated.label,
                class_names=tuple(evaluated.class_names),
                subject=found.subject,
                provenance=made,
                group=evaluated.group,
                group_names=tuple(evaluated.group_names),
                twin_index=evaluated.twin_index,
                twin_logits=evaluated.twin_logits,
                train_group_counts=evaluated.train_group_counts,
                feature_of=evaluated.feature_of,
                twin_class=evaluated.twin_class,
                confusion=evaluated.confusion,
                sample_id=found.sample_id,
                features=tuple(feature.to_json() for feature in evaluated.features) if evaluated.features else None,
                about=found.about,
            ),
        )
    write_evaluation(output, content)
    return content


def _content(split: str, found: _Found, made: Mapping[str, Any]) -> JsonObject:
    """The content of evaluation.json."""
    evaluated = found.evaluated
    return {
        "split": split,
        "num_samples": len(evaluated.label),
        "class_names": list(evaluated.class_names),
        "group_names": list(evaluated.group_names),
        **found.subject.to_json(),
        **found.about,
        **compute(evaluated),
        "provenance": made,
    }


def _run_model(
    settings: Settings,
    path: Path,
    split: str,
    policy: InjectionPolicy,
    progress: Progress | None,
    feature_of: Sequence[str],
    groups: Groups,
) -> tuple[_Found, World]:
    from spurcli.evaluation.predict import SplitPredictor

    path = weights_file(path)
    metadata = read_checkpoint_metadata(path, required=False)
    context = groups.open(settings, progress)
    dataset = context.dataset
    subject = dataset.subject(split)
    others = read_regrouping(groups.other, dataset, split) if groups.other is not None else None
    if others is None and not dataset.attribute_names and context.world.is_first:
        suggest_columns(settings)
    context.require_own(metadata, str(path), policy)
    model, restored = context.restored(path, is_ours=bool(metadata))

    def predicted(name: str, *, with_twin: bool) -> Evaluated:
        found = SplitPredictor.open(context, name, with_twin=with_twin).predict(model)
        return others.of(found, name, dataset) if others is not None else found

    evaluated = with_features(groups.features(predicted(split, with_twin=True)), feature_of)
    if context.world.is_first:
        counts = confusion(evaluated.logits, evaluated.label)
        if metadata:
            epoch = (metadata.get("training") or {}).get("epoch")
            warn_if_contradicted(accuracies_in_history(path, split, restored.sha256, epoch), counts, str(path))
        else:
            warn_if_doubtful(counts, dataset.class_names, str(path), restored.accuracies, context.pixels)
    val = evaluated if split == "val" else None
    if val is None and "val" in dataset.splits and features_of(evaluated)[0]:
        val = predicted("val", with_twin=False)
    evaluated = fit_thresholds(evaluated, val)
    from spurcli.runtime.context import backbone_identity

    frozen = {"backbone": backbone_identity(dataset.backbone)} if dataset.backbone is not None else {}
    about = {
        "model": {"weights_sha256": restored.sha256, "architecture": metadata.get("architecture"), **frozen},
        "training": metadata.get("training"),
        **groups.about(settings, restored.sha256),
    }
    parents = [Parent.of(path, metadata.get("provenance")), *groups.parents()]
    hashes = content_hashes(dataset, settings.dataset.name, groups=True)
    return _Found(evaluated, subject, about, parents, arguments=hashes), context.world


def _again(path: Path, output: Path, command: str, feature_of: Sequence[str]) -> JsonObject:
    """Evaluate stored predictions again, without a model or a data set."""
    stored = read_predictions(path)
    warn_unless_logits(stored.logits, str(path))
    evaluated = with_features(evaluated_from(stored, str(path)), feature_of)
    about = stored.about or _about_beside(path, stored)
    columns = (stored.provenance.get("arguments") or {}).get("columns")  # of the table that the predictions came from
    made = provenance(
        "evaluate",
        command=command,
        settings=stored.provenance.get("settings") or {},
        arguments={"split": stored.split, **({"columns": columns} if columns else {})},
        parents=[Parent.of(path, stored.provenance)],
    )
    content = _content(stored.split, _Found(evaluated, stored.subject, about, ()), made)
    write_evaluation(output, content)
    return content


def _tabled(path: Path, columns: PredictionColumns, split: str, feature_of: Sequence[str]) -> _Found:
    evaluated, subject, sample_id, about, named = evaluated_table(path, columns, split)
    arguments = {"columns": named}
    return _Found(with_features(evaluated, feature_of), subject, about, [Parent.of(path)], sample_id, arguments)


def _about_beside(path: Path, stored: Predictions) -> JsonObject:
    """Model and training of predictions of version 1: from the evaluation that was written together with them."""
    nothing = {"model": None, "training": None}
    for name in ("evaluation.json", f"{path.name.removesuffix('.predictions.h5')}.json"):
        beside = path.with_name(name)
        if predictions_path(beside) != path or not beside.is_file() or not stored.provenance:
            continue
        with contextlib.suppress(InputError):
            content = read_evaluation(beside)
            if content.get("provenance") == stored.provenance:
                return {key: content.get(key) for key in nothing}
    return nothing


def _foreign(
    settings: Settings | None,
    split: str,
    paths: tuple[Path, Path | None, Path | None],
    progress: Progress | None,
    groups: Groups,
) -> _Found:
    dataset, is_folder = None, False
    if settings is not None:
        dataset = groups.open(settings).dataset
        is_folder = settings.dataset.name == "folder"
    found, note = read_aligned(paths, dataset, split, is_image_folder=is_folder)
    parents = [Parent.of(path) for path in paths if path is not None]
    about: JsonObject = {"model": None, "training": None}
    assert found.label is not None
    if dataset is None:
        evaluated = Evaluated(found.logits, found.label, found.class_names)
        subject = Subject(Fingerprint.of(found.label, found.sample_id))
        return _Found(evaluated, subject, about, parents, sample_id=found.sample_id)
    (progress or Silent()).say(note)
    warn_if_reordered(
        confusion(found.logits, found.label), dataset.class_names, str(paths[0]), "Store class_names with the logits."
    )
    # a foreign program saw no twin
    evaluated = replace(evaluated_split(dataset, split, found.logits), feature_of=None, twin_class=None)
    if settings is not None and groups.file is not None:
        evaluated = read_regrouping(groups.file, dataset, split).of(evaluated, split, dataset)
    about |= groups.about(settings) if settings is not None else {}
    return _Found(evaluated, Subject(dataset.split(split).fingerprint), about, [*parents, *groups.parents()])
