"""The options of `infer`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from spurcli.errors import UsageError
from spurcli.registries import WAYS
from spurcli.requests.configured import Inherited, configured, refuse_settings_of
from spurcli.requests.files import output_file
from spurcli.requests.options import (
    AllowMismatch,
    AttributeColumn,
    Caller,
    ClassColumn,
    DataRoot,
    Dataset,
    Device,
    Feature,
    File,
    Force,
    ImageColumn,
    Model,
    Option,
    Recipe,
    Seed,
    Sets,
    Shown,
    SplitsColumn,
    TextColumn,
    Workers,
    inherited_settings,
    output,
    path,
)
from spurcli.results import InferResult

if TYPE_CHECKING:
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class InferRequest:
    """Infer groups without group labels, from a model's predictions or from your ticks."""

    standard_output: ClassVar[str] = "groups.txt"

    source: Annotated[
        File | None,
        Option(
            "A trained model, or predictions.h5 of the training split. (default: train an early model)",
            "SOURCE",
            positional=True,
            reads="model.safetensors",
        ),
    ] = field(default=None, kw_only=False)
    by: Annotated[
        str | None, Option(f"{', '.join(WAYS.entries)}, or your own file.py:attr.", "NAME", completes="ways")
    ] = None
    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    epoch: Annotated[
        int | None,
        Option(
            "Full passes of the model. (default: the recipe's scoring.epoch; spare 1; xrm and sebra all of the recipe's)",
            "N",
            minimum=0,
        ),
    ] = None
    model: Model = None
    num_clusters: Annotated[
        int | None,
        Option(
            "Clusters in each class (with --by clusters or spare). (default: 2; spare: by silhouette)", "N", minimum=2
        ),
    ] = None
    num_tries: Annotated[
        int | None,
        Option("Learning rates to try (with --by xrm); the highest flip rate is kept. (default: 3)", "N", minimum=1),
    ] = None
    ticks: Annotated[File | None, Option("Your answers on a tick sheet (with --by ticks): ticks.csv.", "FILE")] = None
    save_errors: Annotated[
        File | None,
        Option("Also save the list of misclassified samples, for train --errors.", "FILE", writes="errors.txt"),
    ] = None
    output: Annotated[File | None, output("groups.txt")] = None
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


def run(asked: InferRequest, caller: Caller) -> InferResult:
    """Resolve the request and infer."""
    if asked.by is None:
        raise UsageError("How should groups be inferred?", f"Add --by with one of: {', '.join(WAYS.entries)}.")
    source = path(asked.source)
    if source and asked.epoch is not None:
        raise UsageError(f"--epoch sets how long to train, but {source.name} needs no training", "Remove one of them.")
    output = output_file(asked.output, asked.standard_output)
    errors = output_file(asked.save_errors, "errors.txt") if asked.save_errors else None
    settings = plan(asked, source)
    from spurcli.stages.infer import infer

    return infer(
        settings,
        by=asked.by,
        source=source,
        num_clusters=asked.num_clusters,
        num_tries=asked.num_tries,
        ticks=path(asked.ticks),
        errors=errors,
        output=output,
        force=asked.force,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def plan(asked: InferRequest, source: Path | None) -> Settings | None:
    """The settings, inherited from the source where it holds any; None for predictions without a data set."""
    from spurcli.inferring.sources import is_predictions, read_source_provenance

    has_logits = source is not None and is_predictions(source)
    if has_logits and asked.model:
        raise UsageError("Predictions need no --model", "Remove it.")
    inherited = Inherited()
    if source:
        handed_down = inherited_settings(read_source_provenance(source, required=asked.dataset is None))
        inherited = Inherited(handed_down, source)
    if has_logits and not (asked.dataset or asked.recipe or inherited.settings):
        refuse_settings_of("predictions", asked)
        return None
    settings = configured(
        asked,
        inherited,
        seed=asked.seed,
        epoch=asked.epoch,
        checkpoint=source,
        uses=("dataset",) if has_logits else ("dataset", "model") if source else ("dataset", "model", "training"),
    )
    own = WAYS.entries[asked.by].facts.get("epochs") if asked.by and asked.by in WAYS else None
    if source or asked.epoch is not None or own is None:
        return settings
    epoch = settings.training.epochs if own == "all" else min(int(own), settings.training.epochs)
    return replace(settings, scoring=replace(settings.scoring, epoch=epoch))
