"""The options of `score`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from spurcli.errors import UsageError
from spurcli.requests.configured import Inherited, configured, refuse_settings_of
from spurcli.requests.files import output_file
from spurcli.requests.of_table import prediction_table, refuse_columns
from spurcli.requests.options import (
    AllowMismatch,
    AttributeColumn,
    Caller,
    DataRoot,
    Dataset,
    Device,
    Feature,
    File,
    Force,
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
    Seed,
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
from spurcli.results import ScoreResult

if TYPE_CHECKING:
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Measure how difficult each training sample is."""

    standard_output: ClassVar[str] = "scores.h5"

    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    attribute: AttributeColumn = None
    epoch: Annotated[
        int | None, Option("Train this many full passes, then score. (default: the recipe's)", "N", minimum=0)
    ] = None
    runs: Annotated[int, Option("Number of runs with different seeds; prune averages them.", "N", minimum=1)] = 1
    model: Model = None
    checkpoint: Annotated[File | None, Option("Score with this trained model instead of training one.", "FILE")] = None
    logits: Annotated[File | None, Option("Score logits of another program (.npy, .safetensors, .h5).", "FILE")] = None
    labels: Labels = None
    ids: Ids = None
    dynamics: Annotated[
        File | None,
        Option(
            "Score from the recorded dynamics of a training run (train --dynamics): AUM, forgetting and more.", "FILE"
        ),
    ] = None
    predictions: PredictionTable = None
    label: LabelColumn = None
    proba: ProbaColumns = None
    logit: LogitColumns = None
    group: GroupColumns = None
    id: IdColumn = None
    split_column: SplitColumn = None
    add_score: Annotated[
        str | list[str] | tuple[str, ...] | None,
        Option(
            "Also compute this score: prototype, k_centre or k_centre_parts (from the embeddings of all samples), or "
            "your own file.py:attr. Repeatable.",
            "NAME",
            repeated=True,
            completes="prototype k_centre",
        ),
    ] = None
    output: Annotated[File | None, output("scores.h5")] = None
    force: Force = False
    allow_injection_mismatch: AllowMismatch = False
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    seed: Seed = 0
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False


def run(asked: ScoreRequest, caller: Caller) -> ScoreResult:
    """Resolve the request and score."""
    if asked.dynamics:
        return _of_dynamics(asked, caller)
    table = prediction_table(asked, ("add_score", "force")) if asked.predictions else None
    settings = plan(asked) if table is None else None
    output = output_file(asked.output, asked.standard_output)
    from spurcli.stages.score import score

    return score(
        settings,
        num_runs=asked.runs,
        checkpoint=path(asked.checkpoint),
        logits=path(asked.logits),
        labels=path(asked.labels),
        ids=path(asked.ids),
        table=table,
        further_scores=several(asked.add_score),
        output=output,
        force=asked.force,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def _of_dynamics(asked: ScoreRequest, caller: Caller) -> ScoreResult:
    refuse_columns(asked)
    dynamics = path(asked.dynamics)
    assert dynamics
    for flag, named in (
        ("--dataset", asked.dataset),
        ("--recipe", asked.recipe),
        ("--checkpoint", asked.checkpoint),
        ("--logits", asked.logits),
        ("--labels", asked.labels),
        ("--ids", asked.ids),
        ("--predictions", asked.predictions),
        ("--model", asked.model),
        ("--add-score", asked.add_score),
        ("--runs", asked.runs != 1),
    ):
        if named:
            raise UsageError(f"{flag} has no effect with --dynamics", "Remove one of them.")
    refuse_settings_of("dynamics", asked)
    output = output_file(asked.output, asked.standard_output)
    from spurcli.stages.score import score_dynamics

    return score_dynamics(
        dynamics,
        num_epochs=asked.epoch,
        output=output,
        force=asked.force,
        progress=caller.progress,
        command=caller.command,
    )


def plan(asked: ScoreRequest) -> Settings | None:
    """The settings, inherited from the checkpoint where there is one; None for logits without a data set."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata

    refuse_columns(asked)
    if asked.epoch is not None and (asked.checkpoint or asked.logits):
        flag = "--checkpoint" if asked.checkpoint else "--logits"
        raise UsageError(f"--epoch sets how long to train, but {flag} needs no training", "Remove one of them.")
    if (asked.labels or asked.ids) and not asked.logits:
        flag = "--labels" if asked.labels else "--ids"
        raise UsageError(f"{flag} requires --logits", f"Add --logits FILE, or remove {flag}.")
    if asked.logits and asked.model:
        raise UsageError("--model has no effect with --logits", "Remove one of them.")
    checkpoint = path(asked.checkpoint)
    parent = read_checkpoint_metadata(checkpoint, required=asked.dataset is None) if checkpoint else {}
    if asked.logits and not (asked.dataset or asked.recipe or parent):
        refuse_settings_of("logits", asked)
        return None
    return configured(
        asked,
        Inherited(inherited_settings(parent.get("provenance")), checkpoint),
        seed=asked.seed,
        epoch=asked.epoch,
        checkpoint=checkpoint,
        uses=("dataset",) if asked.logits else ("dataset", "model") if checkpoint else ("dataset", "model", "training"),
    )
