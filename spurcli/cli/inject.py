"""The command `spurcli inject`: its help text and what it prints. Options: requests/inject.py; work: stages/inject.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.inject import InjectRequest, run
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@stage_command(app, InjectRequest)
def inject(asked: InjectRequest, call: Call) -> None:
    """Add a spurious feature to some training samples of one class.

    The output is a data set: use it with --dataset inject.json.
    Parameters of the feature are set with --set feature.KEY=VALUE (spurcli list features shows them).

    Example: spurcli inject --dataset cifar10 --feature line --class airplane --count 100 --twin-class automobile
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    say(
        f"{result['num_carriers']:,} of {counted(result['num_class'], 'sample')} of {result['class']} carry "
        f"{asked.feature} → {shown(asked.output, asked.standard_output)}"
    )
