"""The command `spurcli report`: its help text and what it prints. Options: requests/report.py; work: stages/report.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.report import ReportRequest, write

app = typer.Typer(add_completion=False)


@stage_command(app, ReportRequest)
def report(asked: ReportRequest, call: Call) -> None:
    """Show all runs on one page: results over seeds, curves, difficulty, pruned samples, and the exact commands.

    The page is one file that loads nothing from the network. Other formats: tables as md, csv or tex (LaTeX),
    everything as json, figures as svg, pdf or png (a folder).

    Example: spurcli report runs/ -o report.html
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown
    from spurcli.cli.study_tables import show_report

    found, result = call(write, asked)
    if call.as_json:
        print_json(result)
    else:
        show_report(found)
    say(f"Report: {shown(asked.output, asked.standard_output)}")
