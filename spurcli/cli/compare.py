"""The command `spurcli compare`: its help text and what it prints. Options: comparing/request.py; work: comparing/study.py."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.comparing.request import STANDARD_FOLDER, CompareRequest, run

app = typer.Typer(add_completion=False)


@stage_command(app, CompareRequest)
def compare(asked: CompareRequest, call: Call) -> None:
    """Run a complete study: ways of training × seeds, a random control for each pruned arm, and the report.

    First the command prints the plan, with a time estimate measured on this machine. Work that arms share (ERM, scores, inferred groups)
    is done once per seed. The files are the same as those of the single commands, which FOLDER/commands.sh lists. After an
    interruption, even a kill, the same command resumes; if you add seeds or arms later, only the new runs start.

    prune:0.1 removes the hardest tenth of each class, prune:0.25@auto the hardest quarter inside the groups that carry
    their class's spurious feature. METHOD is one of spurcli list methods or file.py:attr; group_dro+mistakes infers its groups.

    Example: spurcli compare --dataset birds.csv --recipe own-images-cpu --arms erm,prune:0.1,group_dro,dfr --dry-run

    Example: spurcli compare --dataset waterbirds --arms study.toml --seeds 5 --select-epoch last,best-val-mean -o study
    """
    from spurcli.cli.console import console, print_json, say
    from spurcli.cli.study_tables import plan_table, shorter_line, show_report, time_line
    from spurcli.comparing.running import script_of, study_of

    if asked.script:
        typer.echo(script_of(study_of(asked)), nl=False)
        return

    def show(plan: Any) -> None:
        console().print(plan_table(plan))
        say(time_line(plan))
        if hint := shorter_line(plan):
            say(hint)

    result = call(partial(run, show=show, show_report=show_report), asked)
    if call.as_json:
        print_json(result)
    if not asked.dry_run:
        folder = asked.output or STANDARD_FOLDER
        say(f"Report: {folder}/report.html. Commands: {folder}/commands.sh")
