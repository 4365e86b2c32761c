"""The command `spurcli evaluate`: its help text and what it prints. Options: requests/evaluate.py; work: stages/evaluate.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.evaluate import EvaluateRequest, run

app = typer.Typer(add_completion=False)


@stage_command(app, EvaluateRequest)
def evaluate(asked: EvaluateRequest, call: Call) -> None:
    """Measure worst-group accuracy, reliance on a spurious feature, and more, with intervals.

    The checkpoint sets the data set and architecture. predictions.h5 is written next to the evaluation;
    evaluate can recompute every metric from this file, without the model or the data. docs/measures.md explains each metric.

    Example: spurcli evaluate model.safetensors --split test

    Example: spurcli evaluate old.predictions.h5 -o again.json

    Example: spurcli evaluate --predictions preds.csv --label y_true --proba 'p_*' --group hospital
    """
    from spurcli.cli.console import print_json, say, warn
    from spurcli.cli.files import shown
    from spurcli.cli.tables import metrics_table
    from spurcli.words import measured_on

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    else:
        metrics_table(result)
        if held_out := (result.get("suspect") or {}).get("held_out"):
            say(measured_on(held_out))
    for warning in result["warnings"]:
        warn(warning)
    say(f"Evaluation: {shown(asked.output, asked.standard_output)}")
