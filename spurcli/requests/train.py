"""The options of `train`, each a flag and a Python parameter, and how they are resolved: which list, of which kind, and which settings are inherited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from spurcli.epoch_rules import RULES
from spurcli.errors import UsageError
from spurcli.registries import LOGGERS
from spurcli.requests.configured import Inherited, configured
from spurcli.requests.files import input_file, output_file
from spurcli.requests.options import (
    GROUP_LABELS,
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
    several,
)
from spurcli.results import TrainResult

if TYPE_CHECKING:
    from spurcli.artifacts.indices import Kind
    from spurcli.settings import Settings


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """Train a model on the samples that a list keeps."""

    standard_output: ClassVar[str] = "model.safetensors"

    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    keep: Annotated[
        File | None,
        Option("The samples to train on: a list, or all. (default: keep.txt)", "LIST", reads="keep.txt"),
    ] = None
    remove: Annotated[
        File | None,
        Option("The samples to leave out, instead of --keep. (default: remove.txt)", "LIST", reads="remove.txt"),
    ] = None
    model: Model = None
    method: Annotated[
        str | None,
        Option(
            "Training method: a name (spurcli list methods) or file.py:attr. (default: erm)",
            "NAME",
            completes="methods",
        ),
    ] = None
    group_labels: Annotated[File | None, Option(f"{GROUP_LABELS}, instead of the data set's groups.", "FILE")] = None
    errors: Annotated[File | None, Option("The samples that an earlier model misclassifies (method jtt).", "LIST")] = (
        None
    )
    checkpoint: Annotated[
        File | None, Option("The trained model whose last layer is retrained (method dfr).", "FILE")
    ] = None
    same_steps: Annotated[bool, Option("Train for as many steps as on the full set, instead of as many epochs.")] = (
        False
    )
    save_epochs: Annotated[
        str | int | Sequence[str | int],
        Option(
            f"Also save the model of these epochs (numbers or rules): {', '.join(RULES)}.", "N,RULE", completes="rules"
        ),
    ] = ""
    evaluate_each: Annotated[
        str | Sequence[str] | None,
        Option(
            "Evaluate on this split (val or train) after every epoch. Repeatable.",
            "SPLIT",
            repeated=True,
            completes="val train",
        ),
    ] = None
    dynamics: Annotated[
        str,
        Option(
            "Also write dynamics.h5, which score --dynamics reads: eval (a pass after each epoch) or in-training (the "
            "training pass itself, at no cost).",
            "MODE",
            completes="eval in-training",
        ),
    ] = ""
    log: Annotated[
        str | Sequence[str] | None,
        Option(
            "Also log each epoch's numbers: tensorboard, wandb (offline), mlflow, or file.py:attr. Repeatable.",
            "LOGGER",
            repeated=True,
            completes="loggers",
        ),
    ] = None
    output: Annotated[File | None, output("model.safetensors")] = None
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


@dataclass(frozen=True)
class TrainPlan:
    """A resolved request: the settings, the list (None for all samples) and the kind of a list without header."""

    settings: Settings
    keep: Path | None
    bare_kind: Kind
    save_epochs: tuple[int | str, ...]
    output: Path


def run(asked: TrainRequest, caller: Caller) -> TrainResult:
    """Resolve the request and train."""
    found = plan(asked, caller.progress.say, companions=caller.companions)
    from spurcli.stages.train import train
    from spurcli.training.options import TrainOptions

    return train(
        found.settings,
        keep=found.keep,
        bare_kind=found.bare_kind,
        groups=path(asked.group_labels),
        errors=path(asked.errors),
        checkpoint=path(asked.checkpoint),
        options=TrainOptions(
            same_steps=asked.same_steps,
            save_epochs=found.save_epochs,
            evaluate_each=several(asked.evaluate_each),
            dynamics=asked.dynamics,
        ),
        loggers=several(asked.log),
        output=found.output,
        write_sidecar=caller.companions,
        force=asked.force,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        progress=caller.progress,
        command=caller.command,
    )


def plan(asked: TrainRequest, say: Callable[[str], None], *, companions: bool = True) -> TrainPlan:
    """Decide which list is used and what the checkpoint or the list passes on; reads only their headers."""
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.indices import read_list_header

    if asked.dynamics and not companions:
        raise UsageError("Cannot write dynamics.h5 when the output is stdout", "Name a file with -o.")
    if asked.log and not companions:
        raise UsageError("Loggers write a folder, but the output is stdout", "Name a file with -o.")
    for name in several(asked.log):
        LOGGERS.check(name)
    save_epochs = epochs_and_rules(asked.save_epochs)
    if save_epochs and not companions:
        raise UsageError("--save-epochs writes more models, but the output is stdout", "Name a file with -o.")
    named, kind = chosen_list(
        asked.keep, asked.remove, has_keep=Path("keep.txt").is_file(), has_remove=Path("remove.txt").is_file()
    )
    keep = None if named == "all" else input_file(named, f"{kind}.txt", say, required=False)
    output = output_file(asked.output, asked.standard_output)
    header = read_list_header(keep) if keep else {}
    stated = header.get("kind", kind)
    if named and stated != kind:
        raise UsageError(f"{keep} is a list of kind {stated}, not {kind}", f"Name it with --{stated}.")
    inherited = Inherited(inherited_settings(header.get("provenance")), keep)
    if checkpoint := path(asked.checkpoint):
        named_otherwise = bool(asked.dataset or asked.recipe or inherited.settings)
        trained = read_checkpoint_metadata(checkpoint, required=not named_otherwise)
        if trained_with := inherited_settings(trained.get("provenance")):
            inherited = Inherited(trained_with, checkpoint)
    settings = configured(
        asked, inherited, seed=asked.seed, method=asked.method, uses=("dataset", "model", "method", "training")
    )
    return TrainPlan(settings, keep, kind, save_epochs, output)


def chosen_list(
    keep: File | None, remove: File | None, *, has_keep: bool, has_remove: bool
) -> tuple[File | None, Kind]:
    """The list that is named (None: the standard one) and what it lists; `has_…` say which standard lists are here."""
    if keep and remove:
        raise UsageError("--keep and --remove contradict each other", "Name one list.")
    if keep or not (remove or has_remove):
        return keep, "keep"
    if not remove and has_keep:
        raise UsageError("Both keep.txt and remove.txt are here", "Name one: --keep keep.txt or --remove remove.txt.")
    return remove, "remove"


def epochs_and_rules(wanted: str | int | Sequence[str | int]) -> tuple[int | str, ...]:
    """`1,2,best-val-mean`, a number or a sequence of both, as numbers and names of rules."""
    parts = str(wanted).split(",") if isinstance(wanted, str | int) else [str(each) for each in wanted]
    return tuple(int(part) if part.isdecimal() else part for part in map(str.strip, parts) if part)
