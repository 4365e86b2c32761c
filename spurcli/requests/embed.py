"""The options of `data embed`, each a flag and a Python parameter, and how they are resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from spurcli.errors import UsageError
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.files import output_file
from spurcli.requests.options import (
    AllowMismatch,
    AttributeColumn,
    Caller,
    ClassColumn,
    DataRoot,
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
from spurcli.results import EmbedResult

if TYPE_CHECKING:
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """Embed every sample once with a frozen model."""

    standard_output: ClassVar[str] = "embeddings.h5"

    dataset: Annotated[
        File | None,
        Option(
            "A data set, your folder or table, inject.json, or file.py:attr.",
            "DATASET",
            positional=True,
            completes="datasets",
        ),
    ] = None
    model: Model = None
    checkpoint: Annotated[File | None, Option("Embed with this trained model.", "FILE")] = None
    layer: Annotated[
        str | None,
        Option(
            "The embedding: last (the input of the last linear layer), output (the model's output), or, for a "
            "transformers text encoder, cls (first token) or mean (of all tokens). "
            "(default: last; mean for a text encoder without --checkpoint)",
            "NAME",
            completes="last output cls mean",
        ),
    ] = None
    output: Annotated[File | None, output("embeddings.h5")] = None
    force: Force = False
    allow_injection_mismatch: AllowMismatch = False
    data_root: DataRoot = None
    recipe: Recipe = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    set: Sets = None
    device: Device = "auto"
    seed: Seed = 0
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False


def run(asked: EmbedRequest, caller: Caller) -> EmbedResult:
    """Resolve the request and embed."""
    settings = plan(asked)
    output = output_file(asked.output, asked.standard_output)
    from spurcli.stages.embed import embed

    return embed(
        settings,
        checkpoint=path(asked.checkpoint),
        layer=asked.layer or "",
        output=output,
        force=asked.force,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def plan(asked: EmbedRequest) -> Settings:
    """The settings, inherited from the checkpoint where there is one."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata

    if not (asked.dataset or asked.recipe or asked.checkpoint):
        raise UsageError("No data set is named", "Name one: spurcli data embed photos/")
    checkpoint = path(asked.checkpoint)
    trained = read_checkpoint_metadata(checkpoint, required=asked.dataset is None) if checkpoint else {}
    return configured(
        asked,
        Inherited(inherited_settings(trained.get("provenance")), checkpoint),
        seed=asked.seed,
        checkpoint=checkpoint,
        uses=("dataset", "model", "backbone"),
    )
