"""The command `spurcli audit`: its help text and what it prints. Options: requests/audit.py; work: stages/audit.py."""

from __future__ import annotations

from pathlib import Path

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.audit import STANDARD_FOLDER, AuditRequest, run
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@stage_command(app, AuditRequest)
def audit(asked: AuditRequest, call: Call) -> None:
    """Search for unlabelled features that a model relies on.

    Finders search the table's columns, the images or the texts. Each suspect is tested on held-out samples that
    no finder used, and gets a groups file for prune, train and evaluate --group-labels. Confirmed means that the
    model relies on the feature. The feature may still be legitimate: look at the samples. docs/audit.md explains each number.

    Example: spurcli audit model.safetensors

    Example: spurcli audit model.safetensors --metadata scans.csv --column hospital

    Example: spurcli audit model.safetensors --sheet --sheet-class man

    Example: spurcli audit --predictions preds.csv --label y_true --proba 'p_*'
    """
    from spurcli.cli.audit_table import failing_lines, suspects_table, tick_line
    from spurcli.cli.console import print_json, say, warn

    result = call(run, asked)
    for warning in result["warnings"]:
        warn(warning)
    for note in result["notes"]:
        say(f"Note: {note}")
    if call.as_json:
        print_json(result)
    else:
        suspects_table(result)
        failing_lines(result)
        tick_line(result)
    found, failing = counted(len(result["suspects"]), "suspect"), len(result["failing_groups"])
    folder = asked.output or STANDARD_FOLDER
    more = f", {counted(failing, 'failing group')}" if failing else ""
    say(f"{found}, {result['num_confirmed']} confirmed{more} → {folder}")
    say(f"Open in a browser: {', '.join(str(Path(folder) / name) for name in result['pages'])}")
