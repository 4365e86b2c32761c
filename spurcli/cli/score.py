"""spurcli score"""

from __future__ import annotations

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
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@app.command()
def score(
    dataset: Dataset = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=0, metavar="N", help="Train this many full passes, then score. (default: the recipe's)"
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option("--runs", min=1, metavar="N", help="Runs with other seeds; prune averages them.")
    ] = 1,
    model: Model = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="Score this model instead of training one.")
    ] = None,
    logits: Annotated[
        Path | None,
        typer.Option("--logits", metavar="FILE", help="Score logits made elsewhere (.npy, .safetensors, .h5)."),
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="Labels of those logits.")] = None,
    ids: options.Ids = None,
    further_scores: Annotated[
        list[str] | None,
        typer.Option(
            "--add-score",
            metavar="NAME",
            help="A score besides: prototype or k_centre (of the embeddings of all samples), or your own FILE:ATTR. Repeatable.",
        ),
    ] = None,
    output: Annotated[str | None, options.output("scores.h5")] = None,
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
    """Measure how difficult each training sample is.

    Trains the recipe's model for a few epochs (on the full recipe's learning-rate schedule), then takes all scores
    in one pass in eval mode: EL2N, loss, margins, entropy and more. Interrupted, the same command goes on.

    Example: spurcli score --dataset celeba --epoch 10
    """
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import command_line, output_path, settings_of, shown
    from spurcli.cli.progress import TerminalProgress
    from spurcli.errors import UsageError
    from spurcli.session import configure

    if epoch is not None and (checkpoint or logits):
        raise UsageError(
            f"--epoch says how long to train, {'--checkpoint' if checkpoint else '--logits'} is trained already",
            "Leave one of them out.",
        )
    if (labels or ids) and not logits:
        flag = "--labels" if labels else "--ids"
        raise UsageError(f"{flag} belongs to logits", f"Add --logits FILE, or leave {flag} out.")
    if logits and model:
        raise UsageError("--logits needs no --model", "Leave one of them out.")
    parent = read_checkpoint_metadata(checkpoint, required=dataset is None) if checkpoint else {}
    overrides = options.parse_sets(sets)
    if epoch is not None:
        overrides["scoring.epoch"] = epoch
    settings = None
    if dataset or recipe or parent or logits is None:
        settings = configure(
            dataset,
            recipe=recipe,
            model=model,
            feature=feature,
            overrides=overrides,
            inherited=settings_of(parent.get("provenance", {})),
            inherited_from=str(checkpoint),
            checkpoint=checkpoint,
            allow_injection_mismatch=allow_injection_mismatch,
            seed=seed,
            device=device,
            data_root=data_root,
            num_workers=workers,
            uses=("dataset",) if logits else ("dataset", "model") if checkpoint else ("dataset", "model", "training"),
        )
    elif overrides:
        raise UsageError(
            f"--set {next(iter(overrides))} changes nothing: logits alone have no settings", "Leave it out."
        )
    with output_path(output, "scores.h5", as_json=as_json) as path:
        from spurcli.scoring.stage import score as run

        progress = TerminalProgress()
        try:
            result = run(
                settings,
                num_runs=runs,
                checkpoint=checkpoint,
                logits=logits,
                labels=labels,
                ids=ids,
                further_scores=further_scores or (),
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
    say(
        f"Scored {counted(result['num_samples'], 'sample')}: {', '.join(result['scores'])} → {shown(output, 'scores.h5')}"
    )
    if agreed := result["agreement"]:
        say(
            f"Agreement of {result['num_runs']} runs: Spearman {agreed['spearman']:.2f}, "
            f"{agreed['overlap_hardest_tenth']:.0%} of the hardest tenth in common"
        )
