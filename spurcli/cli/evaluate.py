"""spurcli evaluate"""

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
    Json,
    Model,
    Recipe,
    Sets,
    Workers,
)

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    checkpoint: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A checkpoint, or predictions.h5 to be evaluated again; - is stdin. (default: model.safetensors)",
        ),
    ] = None,
    dataset: Dataset = None,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Which split to evaluate on.")] = "test",
    model: Model = None,
    logits: Annotated[
        Path | None,
        typer.Option("--logits", metavar="FILE", help="Evaluate logits made elsewhere (.npy, .safetensors, .h5)."),
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="Labels of those logits.")] = None,
    ids: options.Ids = None,
    feature_of: Annotated[
        list[str] | None,
        typer.Option(
            "--feature-of",
            metavar="CLASS/ATTRIBUTE",
            help="Judge reliance on this attribute as the feature of this class; repeatable. (default: found)",
        ),
    ] = None,
    output: Annotated[str | None, options.output("evaluation.json")] = None,
    allow_injection_mismatch: AllowMismatch = False,
    data_root: DataRoot = None,
    recipe: Recipe = None,
    sets: Sets = None,
    device: Device = "auto",
    workers: Workers = 2,
    feature: Feature = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Worst-group accuracy, how far the model leans on a spurious feature, and more, each with its interval.

    Data set and model come from the checkpoint. predictions.h5 is written beside the evaluation; named instead of a
    model it gives every metric again, without model or data. docs/measures.md explains each.

    Example: spurcli evaluate model.safetensors --split test

    Example: spurcli evaluate old.predictions.h5 -o again.json
    """
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
    from spurcli.artifacts.predictions import holds_predictions
    from spurcli.cli.console import print_json, say, warn
    from spurcli.cli.files import command_line, input_path, output_path, settings_of, shown
    from spurcli.cli.progress import TerminalProgress
    from spurcli.cli.tables import metrics_table
    from spurcli.errors import UsageError
    from spurcli.evaluation.stage import evaluate as run
    from spurcli.session import configure

    if ids and not logits:
        raise UsageError("--ids belongs to logits", "Add --logits FILE, or leave --ids out.")
    if logits and checkpoint:
        raise UsageError("A model and --logits contradict each other", "Give one of them.")
    if logits and model:
        raise UsageError("--logits needs no --model", "Leave one of them out.")
    overrides = options.parse_sets(sets)
    progress = TerminalProgress()
    with (
        contextlib.nullcontext() if logits else input_path(checkpoint, "model.safetensors") as model_path,
        output_path(output, "evaluation.json", as_json=as_json, binary=False) as path,
    ):
        again = model_path if model_path and holds_predictions(model_path) else None
        if again:
            _refuse_settings(
                again,
                dataset=dataset,
                model=model,
                recipe=recipe,
                set=overrides,
                feature=feature,
                split=None if split == "test" else split,
            )
            model_path = None
        parent = read_checkpoint_metadata(model_path, required=dataset is None) if model_path else {}
        settings = None
        if model_path or dataset or recipe:
            settings = configure(
                dataset,
                recipe=recipe,
                model=model,
                feature=feature,
                overrides=overrides,
                inherited=settings_of(parent.get("provenance", {})),
                inherited_from=str(model_path),
                checkpoint=model_path,
                allow_injection_mismatch=allow_injection_mismatch,
                seed=(parent.get("training") or {}).get("seed", 0),
                device=device,
                data_root=data_root,
                num_workers=workers,
                uses=("dataset",) if logits else ("dataset", "model"),
            )
        elif overrides and not again:
            raise UsageError(
                f"--set {next(iter(overrides))} changes nothing: logits alone have no settings", "Leave it out."
            )
        try:
            result = run(
                settings,
                model=model_path,
                split=split,
                logits=logits,
                labels=labels,
                ids=ids,
                predictions=again,
                feature_of=feature_of or (),
                output=path,
                write_logits=output != "-",
                allow_injection_mismatch=allow_injection_mismatch,
                progress=progress,
                command=command_line(),
            )
        finally:
            progress.close()
    if as_json:
        print_json(result)
    else:
        metrics_table(result)
    for warning in result["warnings"]:
        warn(warning)
    say(f"Evaluation: {shown(output, 'evaluation.json')}")


def _refuse_settings(path: Path, **given: object) -> None:
    """Predictions hold all that is asked: a data set or a model beside them would change nothing."""
    from spurcli.errors import UsageError

    if wrong := next((name for name, value in given.items() if value), None):
        raise UsageError(f"--{wrong} has no effect: {path} holds predictions", "Remove it, or name the model instead.")
