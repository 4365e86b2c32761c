"""The command `spurcli prune`: its help text and what it prints. Options: requests/prune.py; work: stages/prune.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.options import several
from spurcli.requests.prune import PruneRequest, run
from spurcli.words import counted, listed

app = typer.Typer(add_completion=False)


@stage_command(app, PruneRequest)
def prune(asked: PruneRequest, call: Call) -> None:
    """Choose which samples to remove.

    Weak or unknown feature: remove the hardest of every class. Strong and known feature: remove the hardest inside the
    groups that carry their class's spurious feature (--group auto). A fraction is always the removed share.

    Example: spurcli prune --fraction 0.1 --per-class

    Example: spurcli prune --fraction 0.25 --group auto --balance-classes
    """
    from spurcli.cli.console import print_json, say, warn
    from spurcli.cli.files import shown
    from spurcli.cli.tables import removed_table

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    else:
        removed_table(result)
    if several(asked.group) == ["auto"]:
        say(f"Groups that carry their class's spurious feature: {listed(result['rule']['groups'])}")
    for warning in result["warnings"]:
        warn(warning)
    say(
        f"{result['num_removed']:,} of {counted(result['num_samples'], 'sample')} removed, {result['num_kept']:,} kept "
        f"→ {shown(asked.output, asked.standard_output)}"
    )
