"""The options of `evaluate`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from spurcli.artifacts.envelope import JsonObject
from spurcli.errors import UsageError
from spurcli.requests.configured import Inherited, configured, refuse_settings_of
from spurcli.requests.files import input_file, output_file
from spurcli.requests.of_table import prediction_table, refuse_columns
from spurcli.requests.options import (
    TABLE,
    AllowMismatch,
    Caller,
    DataRoot,
    Dataset,
    Device,
    Feature,
    File,
    GroupColumns,
    IdColumn,
    Ids,
    ImageColumn,
    LabelColumn,
    Labels,
    LogitColumns,
    Model,
    Option,
    PredictionTable,
    ProbaColumns,
    Recipe,
    Sets,
    Shown,
    SplitColumn,
    TextColumn,
    Workers,
    inherited_settings,
    output,
    path,
    several,
)

if TYPE_CHECKING:
    from spurcli.auditing.stored import StoredSuspect
    from spurcli.datasets import Dataset as LoadedDataset
    from spurcli.datasets.prediction_table import PredictionColumns
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """Measure worst-group accuracy, reliance on a spurious feature, and more, of a model on one split."""

    standard_output: ClassVar[str] = "evaluation.json"

    checkpoint: Annotated[
        File | None,
        Option(
            "A trained model, or predictions.h5 to evaluate again. (default: model.safetensors)",
            "CHECKPOINT",
            positional=True,
            reads="model.safetensors",
        ),
    ] = field(default=None, kw_only=False)
    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    split: Annotated[str, Option("The split to evaluate on.", "NAME", completes="test val train")] = "test"
    model: Model = None
    logits: Annotated[File | None, Option("Evaluate logits of another program (.npy, .safetensors, .h5).", "FILE")] = (
        None
    )
    labels: Labels = None
    ids: Ids = None
    predictions: PredictionTable = None
    label: LabelColumn = None
    proba: ProbaColumns = None
    logit: LogitColumns = None
    predicted: Annotated[
        str | None,
        Option("Column of the predicted class, if there are no probabilities or logits.", "COLUMN", panel=TABLE),
    ] = None
    group: GroupColumns = None
    id: IdColumn = None
    split_column: SplitColumn = None
    attribute: Annotated[
        str | Sequence[str] | None,
        Option(
            "Define groups by this column of the data set's table, without training again. Repeatable.",
            "COLUMN",
            repeated=True,
        ),
    ] = None
    group_labels: Annotated[
        File | None,
        Option("Use the groups in this table (columns id and group) or in a groups.txt of the split.", "FILE"),
    ] = None
    suspect: Annotated[
        str | None,
        Option(
            "Add the feature of this suspect of an audit to the samples, as the audit inferred it, or use its groups if "
            "it cannot be added: audit:1.",
            "AUDIT:N",
        ),
    ] = None
    feature_of: Annotated[
        str | Sequence[str] | None,
        Option(
            "Measure reliance on this feature, CLASS/ATTRIBUTE. Repeatable. (default: detected)",
            "NAME",
            repeated=True,
        ),
    ] = None
    output: Annotated[File | None, output("evaluation.json")] = None
    allow_injection_mismatch: AllowMismatch = False
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False


@dataclass(frozen=True)
class EvaluatePlan:
    """A resolved request: a model, predictions of an earlier evaluation, a table, or none of them (logits); the settings
    are None for predictions, and for logits without a data set."""

    settings: Settings | None
    checkpoint: Path | None
    predictions: Path | None
    output: Path
    table: tuple[Path, PredictionColumns] | None = None


def run(asked: EvaluateRequest, caller: Caller) -> JsonObject:
    """Resolve the request and evaluate."""
    from spurcli.requests.behind import behind
    from spurcli.stages.evaluate import evaluate

    found = plan(asked, caller.progress.say)
    return evaluate(
        found.settings,
        model=found.checkpoint,
        split=asked.split,
        logits=path(asked.logits),
        labels=path(asked.labels),
        ids=path(asked.ids),
        predictions=found.predictions,
        table=found.table,
        attributes=several(asked.attribute),
        groups=path(asked.group_labels),
        feature_of=several(asked.feature_of),
        suspect=suspect_of(asked),
        behind=behind(found.settings) if found.settings else None,
        output=found.output,
        write_logits=caller.companions,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def suspect_of(asked: EvaluateRequest) -> StoredSuspect | None:
    """The suspect that is requested."""
    if asked.suspect is None:
        return None
    from spurcli.auditing.stored import read_suspect

    return read_suspect(asked.suspect)


def plan(asked: EvaluateRequest, say: Callable[[str], None]) -> EvaluatePlan:
    """Decide which model is used and what it passes on."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.predictions import holds_predictions, is_of_another_program

    output = output_file(asked.output, asked.standard_output)
    if asked.predictions:
        return EvaluatePlan(None, None, None, output, prediction_table(asked, ("split", "feature_of")))
    refuse_columns(asked)
    if asked.ids and not asked.logits:
        raise UsageError("--ids requires --logits", "Add --logits FILE, or remove --ids.")
    if asked.logits and asked.checkpoint:
        raise UsageError("A model and --logits contradict each other", "Give one of them.")
    if asked.logits and asked.model:
        raise UsageError("--model has no effect with --logits", "Remove one of them.")
    checkpoint = None if asked.logits else input_file(asked.checkpoint, "model.safetensors", say)
    if checkpoint and checkpoint.suffix.lower() in (".csv", ".tsv", ".jsonl", ".parquet") and checkpoint.is_file():
        columns = "--label COLUMN --proba 'p_*'"
        raise UsageError(f"{checkpoint} is a table, not a model", f"Write --predictions {checkpoint} {columns}")
    if checkpoint and holds_predictions(checkpoint):
        if is_of_another_program(checkpoint):
            raise UsageError(
                f"{checkpoint} is an HDF5 file of another program",
                f"If it holds predictions, write --predictions {checkpoint} --label NAME --logit NAME",
            )
        _refuse_settings(checkpoint, asked)
        return EvaluatePlan(None, None, checkpoint, output)
    parent = read_checkpoint_metadata(checkpoint, required=asked.dataset is None) if checkpoint else {}
    if not (checkpoint or asked.dataset or asked.recipe):
        refuse_settings_of("logits", asked)
        return EvaluatePlan(None, None, None, output)
    settings = configured(
        asked,
        Inherited(inherited_settings(parent.get("provenance")), checkpoint),
        seed=(parent.get("training") or {}).get("seed", 0),
        checkpoint=checkpoint,
        uses=("dataset",) if asked.logits else ("dataset", "model"),
    )
    return EvaluatePlan(settings, checkpoint, None, output)


def opened(asked: EvaluateRequest) -> tuple[Settings, LoadedDataset]:
    """The settings of a model that is to be evaluated, and its data set in the requested groups."""
    from spurcli.requests.behind import behind
    from spurcli.stages.grouping import Groups

    settings = plan(asked, lambda _: None).settings
    assert settings
    asked_groups = Groups(several(asked.attribute), suspect=suspect_of(asked), behind=behind(settings))
    return settings, asked_groups.open(settings).dataset


def require_addable(suspect: StoredSuspect, settings: Settings, splits: Sequence[str]) -> None:
    """Raise InputError if models of these settings cannot be evaluated by the suspect of an audit."""
    from spurcli.requests.behind import behind
    from spurcli.stages.grouping import Groups

    Groups(suspect=suspect, behind=behind(settings)).require_addable(settings, splits)


def _refuse_settings(predictions: Path, asked: EvaluateRequest) -> None:
    """Predictions are all that is needed: raise UsageError for a data set, a model or settings named with them."""
    given = {
        "dataset": asked.dataset,
        "model": asked.model,
        "recipe": asked.recipe,
        "image": asked.image,
        "text": asked.text,
        "set": asked.set,
        "feature": asked.feature,
        "attribute": asked.attribute,
        "group-labels": asked.group_labels,
        "suspect": asked.suspect,
        "split": asked.split != "test",
    }
    if wrong := next((name for name, value in given.items() if value), None):
        raise UsageError(
            f"--{wrong} has no effect: {predictions} holds predictions", "Remove it, or name the model instead."
        )
