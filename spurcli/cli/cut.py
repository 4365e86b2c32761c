"""The command `spurcli cut`: its help text and what it prints. Options: comparing/cutting/request.py."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.comparing.cutting.request import CutRequest, run

app = typer.Typer(add_completion=False)


@stage_command(app, CutRequest)
def cut(asked: CutRequest, call: Call) -> None:
    """Train with and without the carriers of a suspect (or several) of an audit, and measure what that changes.

    Data, architecture and settings are those of the audit. For each seed, ERM trains three models: on all samples,
    without the carriers, and without the same number of random samples of the class. Then the feature, as the audit
    inferred it, is added to the test samples that do not have it, and one sentence gives the share of them that is
    predicted as the suspect's class. If the feature cannot be added to samples, the groups of the suspect are compared.
    With --suspect 1,3,5 the carriers of at least one of these suspects are removed, and each suspect is measured by itself.

    The files are the same as those of the single commands, which FOLDER/commands.sh lists. After an interruption, the same command
    resumes; if you add seeds later, only the new runs start.

    Example: spurcli cut

    Example: spurcli cut audit --suspect 2 --seeds 3 --dry-run

    Example: spurcli cut audit --suspect 1,3,5
    """
    from spurcli.cli.console import console, print_json, say
    from spurcli.cli.study_tables import plan_table, show_report, time_line
    from spurcli.comparing.cutting.running import study_of
    from spurcli.comparing.running import script_of

    if asked.script:
        typer.echo(script_of(study_of(asked)[0]), nl=False)
        return

    def show(plan: Any) -> None:
        console().print(plan_table(plan))
        say(time_line(plan))

    result = call(partial(run, show=show, show_report=show_report), asked)
    if call.as_json:
        print_json(result)
    if not asked.dry_run:
        say(f"Report: {asked.folder}/report.html. Commands: {asked.folder}/commands.sh")
