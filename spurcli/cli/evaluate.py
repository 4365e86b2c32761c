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
        str | None, typer.Argument(metavar="MODEL", help="A checkpoint; - is stdin. (default: model.safetensors)")
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
    """Worst-group accuracy, spurious misclassification and more, each with its interval.

    Data set and model come from the checkpoint. predictions.h5 is written beside the evaluation, so that any metric
    can be computed again without the model.

    Example: spurcli evaluate model.safetensors --split test
    """
    from spurcli.artifacts.checkpoint import read_checkpoint_metadata
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
        elif overrides:
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
