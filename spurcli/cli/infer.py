"""spurcli infer"""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from spurcli.cli import options
from spurcli.cli.options import (
    AllowMismatch,
    DataRoot,
    Dataset,
    Debug,
    Device,
    Feature,
    Force,
    Json,
    Model,
    Recipe,
    Seed,
    Sets,
    Workers,
)
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@app.command()
def infer(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="A checkpoint, or predictions.h5 of the training split; - is stdin. (default: train an early model)",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by", metavar="WAY", help="mistakes, predictions, cross-mistakes, clusters, or your own file.py:attr."
        ),
    ] = None,
    dataset: Dataset = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=0, metavar="N", help="Full passes of the early model. (default: the recipe's scoring.epoch)"
        ),
    ] = None,
    model: Model = None,
    num_clusters: Annotated[
        int | None,
        typer.Option("--num-clusters", min=2, metavar="N", help="Clusters of each class (way clusters). (default: 2)"),
    ] = None,
    errors: Annotated[
        str | None,
        typer.Option(
            "--save-errors", metavar="FILE", help="Also write which samples the model gets wrong, for train --errors."
        ),
    ] = None,
    output: Annotated[str | None, options.output("groups.txt")] = None,
    force: Force = False,
    allow_injection_mismatch: AllowMismatch = False,
    data_root: DataRoot = None,
    recipe: Recipe = None,
    sets: Sets = None,
    device: Device = "auto",
    seed: Seed = 0,
    workers: Workers = 2,
    feature: Feature = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Infer groups of the training samples from what a model says, without group labels.

    The groups are class/attribute; train --group-labels and prune --group-labels read them. Where true groups are known, a table
    shows how the inferred ones agree with them; they are used for nothing else.

    Example: spurcli infer --dataset celeba --epoch 1 --by mistakes --save-errors errors.txt

    Example: spurcli infer model.safetensors --by clusters
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import command_line, input_path, output_path, settings_of, shown
    from spurcli.cli.progress import TerminalProgress
    from spurcli.cli.tables import inferred_table
    from spurcli.errors import UsageError
    from spurcli.parts import WAYS
    from spurcli.session import configure

    if by is None:
        raise UsageError("How should groups be inferred?", f"Say --by, with one of: {', '.join(WAYS.entries)}.")
    if source and epoch is not None:
        raise UsageError(f"--epoch says how long to train, {source} is trained already", "Leave one of them out.")
    if errors == "-" and output == "-":
        raise UsageError("--save-errors - and -o - both want stdout", "Choose one.")
    overrides = options.parse_sets(sets)
    if epoch is not None:
        overrides["scoring.epoch"] = epoch
    with (
        input_path(source, "model.safetensors") if source else contextlib.nullcontext() as source_path,
        output_path(output, "groups.txt", as_json=as_json, binary=False) as path,
        output_path(errors, "errors.txt", as_json=as_json, binary=False)
        if errors
        else contextlib.nullcontext() as errors_path,
    ):
        from spurcli.inferring.sources import is_predictions, read_source_provenance
        from spurcli.inferring.stage import infer as run

        has_logits = source_path is not None and is_predictions(source_path)
        if has_logits and model:
            raise UsageError("Predictions need no --model", "Leave it out.")
        parent = read_source_provenance(source_path, required=dataset is None) if source_path else {}
        settings = None
        if dataset or recipe or settings_of(parent) or not has_logits:
            settings = configure(
                dataset,
                recipe=recipe,
                model=model,
                feature=feature,
                overrides=overrides,
                inherited=settings_of(parent),
                inherited_from=str(source_path),
                checkpoint=source_path,
                allow_injection_mismatch=allow_injection_mismatch,
                seed=seed,
                device=device,
                data_root=data_root,
                num_workers=workers,
                uses=("dataset",)
                if has_logits
                else ("dataset", "model")
                if source
                else ("dataset", "model", "training"),
            )
        elif overrides:
            raise UsageError(
                f"--set {next(iter(overrides))} changes nothing: predictions alone have no settings", "Leave it out."
            )
        progress = TerminalProgress()
        try:
            result = run(
                settings,
                by=by,
                source=source_path,
                num_clusters=num_clusters,
                errors=errors_path,
                output=path,
                force=force,
                allow_injection_mismatch=allow_injection_mismatch,
                progress=progress,
                command=command_line(),
            )
        finally:
            progress.close()
    if as_json:
        print_json(result)
    else:
        inferred_table(result)
    if errors:
        say(
            f"{result['num_errors']:,} of {counted(result['num_samples'], 'sample')} are wrong → {shown(errors, 'errors.txt')}"
        )
    say(f"Groups of {counted(result['num_samples'], 'sample')} → {shown(output, 'groups.txt')}")
