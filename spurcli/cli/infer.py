"""The command `spurcli infer`: its help text and what it prints. Options: requests/infer.py; work: stages/infer.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.infer import InferRequest, run
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@stage_command(app, InferRequest)
def infer(asked: InferRequest, call: Call) -> None:
    """Infer groups without group labels, from a model's predictions or from your ticks.

    The groups are class/attribute, for train --group-labels and prune --group-labels. If true groups are known, a table
    compares them with the inferred groups; true groups have no other use here.

    Example: spurcli infer --dataset celeba --epoch 1 --by mistakes --save-errors errors.txt

    Example: spurcli infer model.safetensors --by clusters

    Example: spurcli infer model.safetensors --by ticks --ticks ticks.csv
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown
    from spurcli.cli.tables import inferred_table
    from spurcli.cli.ticks_table import ticks_table

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    else:
        inferred_table(result)
        if ticked := result["chosen"].get("ticks"):
            ticks_table(ticked, result["next"])
    samples = counted(result["num_samples"], "sample")
    if asked.save_errors:
        say(f"{result['num_errors']:,} of {samples} are wrong → {shown(asked.save_errors, 'errors.txt')}")
    say(f"Groups of {samples} → {shown(asked.output, asked.standard_output)}")
