"""The command `spurcli train`: its help text and what it prints. Options: requests/train.py; work: stages/train.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.train import TrainRequest, run
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@stage_command(app, TrainRequest)
def train(asked: TrainRequest, call: Call) -> None:
    """Train a model from scratch on the samples that a list keeps.

    Data set, model and recipe come from the options, else from --checkpoint, else from the list. history.json is written
    next to the model. After an interruption, even a kill, the same command resumes bit for bit.

    Example: spurcli train --keep keep.txt --seed 1

    Example: spurcli train --dataset waterbirds --keep all --method group_dro
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    if last := result.get("last"):
        say(
            f"Trained on {result['num_kept']:,} of {counted(result['num_train'], 'sample')}: "
            f"training loss {last['loss']:.4f}, training accuracy {last['accuracy']:.1%} → {shown(asked.output, asked.standard_output)}"
            + ("" if result["selection"] == "last" else f", epoch {result['epoch']} ({result['selection']})")
        )
