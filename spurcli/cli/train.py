"""spurcli train"""

from __future__ import annotations

import contextlib
from pathlib import Path
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
from spurcli.epoch_rules import RULES
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@app.command()
def train(
    dataset: Dataset = None,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep", metavar="LIST", help="Which samples to train on; - is stdin, all is all. (default: keep.txt)"
        ),
    ] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="LIST", help="Or which ones to leave out. (default: remove.txt)")
    ] = None,
    model: Model = None,
    method: Annotated[
        str | None, typer.Option("--method", metavar="NAME", help="Training method. (default: erm)")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option("--group-labels", metavar="FILE", help="groups.txt, instead of the data set's groups."),
    ] = None,
    errors: Annotated[
        Path | None, typer.Option("--errors", metavar="LIST", help="What an earlier model got wrong (method jtt).")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="The model whose last layer is fitted anew (method dfr)."),
    ] = None,
    same_steps: Annotated[
        bool, typer.Option("--same-steps", help="Keep the number of updates of the full set, not the epochs.")
    ] = False,
    checkpoints: Annotated[
        str,
        typer.Option(
            "--save-epochs",
            metavar="N,RULE",
            help=f"Also write the model after these epochs, or as these rules choose: {', '.join(RULES)}.",
        ),
    ] = "",
    evaluate_each: Annotated[
        list[str] | None,
        typer.Option(
            "--evaluate-each", metavar="SPLIT", help="Evaluate on val or train after every epoch. Repeatable."
        ),
    ] = None,
    output: Annotated[str | None, options.output("model.safetensors")] = None,
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
    """Train from scratch on what the list keeps, by a method (spurcli list methods).

    Data set, model and recipe come from the --checkpoint, else from the list, unless named here. history.json is
    written beside the model. Interrupted (even killed), the same command goes on to the same bits.

    Example: spurcli train --keep keep.txt --seed 1

    Example: spurcli train --dataset waterbirds --keep all --method group_dro
    """
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.indices import Kind, read_list_header
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import command_line, input_path, output_path, settings_of, shown
    from spurcli.cli.progress import TerminalProgress
    from spurcli.errors import UsageError
    from spurcli.session import configure

    if keep and remove:
        raise UsageError("--keep and --remove contradict each other", "Name one list.")
    wants_all = keep == "all"
    asked: Kind = "remove" if remove else "keep"
    also = [int(part) if part.isdecimal() else part for part in map(str.strip, checkpoints.split(",")) if part]
    if also and output == "-":
        raise UsageError("--save-epochs writes beside the model, and -o - is no place", "Name a file with -o.")
    named = keep or remove
    if not named and Path("remove.txt").is_file():  # what prune --kind remove wrote
        if Path("keep.txt").is_file():
            raise UsageError(
                "Both keep.txt and remove.txt are here", "Name one: --keep keep.txt or --remove remove.txt."
            )
        asked = "remove"
    with (
        contextlib.nullcontext() if wants_all else input_path(named, f"{asked}.txt", required=False) as list_path,
        output_path(output, "model.safetensors", as_json=as_json) as path,
    ):
        header = read_list_header(list_path) if list_path else {}
        kind = header.get("kind", asked)
        if (keep or remove) and kind != asked:
            raise UsageError(f"{list_path} is a list of kind {kind}, not {asked}", f"Name it with --{kind}.")
        inherited, inherited_from = settings_of(header.get("provenance")), list_path
        if checkpoint:
            named_otherwise = bool(dataset or recipe or inherited)
            trained = read_checkpoint_metadata(checkpoint, required=not named_otherwise)
            if trained_with := settings_of(trained.get("provenance")):
                inherited, inherited_from = trained_with, checkpoint
        settings = configure(
            dataset,
            recipe=recipe,
            model=model,
            method=method,
            feature=feature,
            overrides=options.parse_sets(sets),
            inherited=inherited,
            inherited_from=str(inherited_from),
            allow_injection_mismatch=allow_injection_mismatch,
            seed=seed,
            device=device,
            data_root=data_root,
            num_workers=workers,
        )
        from spurcli.training.stage import train as run

        progress = TerminalProgress()
        try:
            result = run(
                settings,
                keep=list_path,
                bare_kind=asked,
                groups=groups,
                errors=errors,
                checkpoint=checkpoint,
                same_steps=same_steps,
                checkpoints=also,
                evaluate_each=evaluate_each or (),
                output=path,
                write_sidecar=output != "-",
                force=force,
                allow_injection_mismatch=allow_injection_mismatch,
                progress=progress,
                command=command_line(),
            )
        finally:
            progress.close()
    if as_json:
        print_json(result)
    if last := result.get("last"):
        say(
            f"Trained on {result['num_kept']:,} of {counted(result['num_train'], 'sample')}: "
            f"loss {last['loss']:.4f}, accuracy {last['accuracy']:.1%} on them → {shown(output, 'model.safetensors')}"
            + ("" if result["selection"] == "last" else f", epoch {result['epoch']} ({result['selection']})")
        )
