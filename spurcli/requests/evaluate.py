"""What may be asked of `evaluate`, and how it is resolved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from spurcli.errors import UsageError
from spurcli.requests.configured import Inherited, configured, refuse_settings_of
from spurcli.requests.files import input_file, output_file
from spurcli.requests.options import (
    TABLE,
    AllowMismatch,
    Caller,
    DataRoot,
    Dataset,
    Device,
    Feature,
    Field,
    File,
    Ids,
    Labels,
    Model,
    Option,
    Recipe,
    Sets,
    Shown,
    Workers,
    fields_of,
    inherited_settings,
    output,
    parse_sets,
    path,
    several,
)

if TYPE_CHECKING:
    from spurcli.datasets.prediction_table import PredictionColumns
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class EvaluateRequest:
    """Worst-group accuracy, reliance on a spurious feature, and more, of a model on one split."""

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
    split: Annotated[str, Option("The split to evaluate on.", "NAME")] = "test"
    model: Model = None
    logits: Annotated[File | None, Option("Evaluate logits of another program (.npy, .safetensors, .h5).", "FILE")] = (
        None
    )
    labels: Labels = None
    ids: Ids = None
    predictions: Annotated[
        File | None,
        Option("Evaluate a table of predictions of any program (.csv, .tsv, .jsonl, .parquet).", "FILE", panel=TABLE),
    ] = None
    label: Annotated[str | None, Option("Column of the true class. (default: label)", "COLUMN", panel=TABLE)] = None
    proba: Annotated[
        str | Sequence[str] | None,
        Option(
            "Columns of probabilities named after the classes, as 'p_*'; one alone is the positive class. Repeatable.",
            "COLUMN",
            panel=TABLE,
            repeated=True,
        ),
    ] = None
    logit: Annotated[
        str | Sequence[str] | None,
        Option("The same, of logits. Repeatable.", "COLUMN", panel=TABLE, repeated=True),
    ] = None
    predicted: Annotated[
        str | None, Option("Column of the predicted class, where nothing else is known.", "COLUMN", panel=TABLE)
    ] = None
    group: Annotated[
        str | Sequence[str] | None,
        Option("Make groups by this column. Repeatable.", "COLUMN", panel=TABLE, repeated=True),
    ] = None
    id: Annotated[str | None, Option("Column of the ids. (default: id, if it is there)", "COLUMN", panel=TABLE)] = None
    split_column: Annotated[
        str | None,
        Option(
            "Column of the splits; train rows give the training counts. (default: split, if it is there)",
            "COLUMN",
            panel=TABLE,
        ),
    ] = None
    attribute: Annotated[
        str | Sequence[str] | None,
        Option(
            "Make groups by this column of the data set's table, without training again. Repeatable.",
            "COLUMN",
            repeated=True,
        ),
    ] = None
    group_labels: Annotated[
        File | None, Option("Make groups by this table of id and group, or by a groups.txt of the split.", "FILE")
    ] = None
    feature_of: Annotated[
        str | Sequence[str] | None,
        Option(
            "Judge reliance on this feature, CLASS/ATTRIBUTE. Repeatable. (default: found)",
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


def run(asked: EvaluateRequest, caller: Caller) -> dict[str, Any]:
    """Resolve the request and evaluate."""
    from spurcli.evaluation.stage import evaluate

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
        output=found.output,
        write_logits=caller.companions,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def plan(asked: EvaluateRequest, say: Callable[[str], None]) -> EvaluatePlan:
    """Decide which model is meant and what it hands down."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.predictions import holds_predictions

    output = output_file(asked.output, asked.standard_output)
    if asked.predictions:
        return EvaluatePlan(None, None, None, output, _table(asked))
    if flag := next((given.flag for given in _of_table(asked)), None):
        raise UsageError(f"{flag} belongs to a table of predictions", f"Add --predictions FILE, or remove {flag}.")
    if asked.ids and not asked.logits:
        raise UsageError("--ids belongs to logits", "Add --logits FILE, or remove --ids.")
    if asked.logits and asked.checkpoint:
        raise UsageError("A model and --logits contradict each other", "Give one of them.")
    if asked.logits and asked.model:
        raise UsageError("--logits needs no --model", "Remove one of them.")
    checkpoint = None if asked.logits else input_file(asked.checkpoint, "model.safetensors", say)
    if checkpoint and holds_predictions(checkpoint):
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


def _of_table(asked: EvaluateRequest) -> list[Field]:
    """The options of a table of predictions that are given."""
    return [given for given in fields_of(asked) if given.option.panel == TABLE and getattr(asked, given.name)]


def _table(asked: EvaluateRequest) -> tuple[Path, PredictionColumns]:
    """The table and its columns; UsageError for what has no effect on it."""
    from spurcli.artifacts.predictions import holds_predictions
    from spurcli.datasets.prediction_table import PredictionColumns
    from spurcli.datasets.tables import Reading

    file = Path(asked.predictions or "")
    if file.is_file() and file.stat().st_size and holds_predictions(file):
        raise UsageError(f"{file} is no table", f"Name it without --predictions: spurcli evaluate {file}")
    reading = {key.removeprefix("dataset.options."): value for key, value in parse_sets(asked.set).items()}
    known = ("separator", "quoting", "encoding", "split_values")
    if wrong := next((key for key in parse_sets(asked.set) if key.removeprefix("dataset.options.") not in known), None):
        options = ", ".join(f"dataset.options.{name}" for name in known)
        raise UsageError(f"--set {wrong} has no effect on a table of predictions", f"Remove it. It has: {options}.")
    meaning = reading.pop("split_values", None) or {}
    if not isinstance(meaning, Mapping) or not all(isinstance(value, str) for value in reading.values()):
        raise UsageError("--set holds a value of the wrong kind", "The options of a table are in docs/own-data.md.")
    own = {"output", "split", "feature_of", "set", *(given.name for given in _of_table(asked))}
    for other in fields_of(asked):
        if other.name not in own and getattr(asked, other.name) != other.default:
            name = f"the model {asked.checkpoint}" if other.option.positional else other.flag
            raise UsageError(
                f"{name} has no effect: --predictions needs no model and no data set", "Remove one of them."
            )
    return file, PredictionColumns(
        label=asked.label or "",
        proba=tuple(several(asked.proba)),
        logit=tuple(several(asked.logit)),
        predicted=asked.predicted or "",
        groups=tuple(several(asked.group)),
        id=asked.id or "",
        split=asked.split_column or "",
        split_values=meaning,
        reading=Reading(**reading),
    )


def _refuse_settings(predictions: Path, asked: EvaluateRequest) -> None:
    """Predictions are all that is needed: raise UsageError for a data set, a model or settings named with them."""
    given = {
        "dataset": asked.dataset,
        "model": asked.model,
        "recipe": asked.recipe,
        "set": asked.set,
        "feature": asked.feature,
        "attribute": asked.attribute,
        "group-labels": asked.group_labels,
        "split": asked.split != "test",
    }
    if wrong := next((name for name, value in given.items() if value), None):
        raise UsageError(
            f"--{wrong} has no effect: {predictions} holds predictions", "Remove it, or name the model instead."
        )
