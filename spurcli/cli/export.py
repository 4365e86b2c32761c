"""The command `spurcli export`: its help text and what it prints. Options: requests/export.py; work: stages/export.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.export import ExportRequest, run
from spurcli.words import counted, listed

app = typer.Typer(add_completion=False)


@stage_command(app, ExportRequest)
def export(asked: ExportRequest, call: Call) -> None:
    """Write the samples of a list, or scores, groups or predictions, for other programs.

    csv and parquet are tables with index, id, class and group, and what the file says of each sample. text and webdataset
    are lists of ids. links, copies and hf are the data set without the removed samples, with its other splits. fiftyone
    and croissant describe the samples in JSON.

    Example: spurcli export keep.txt --as csv -o kept.csv

    Example: spurcli export keep.txt --as links -o photos-without-the-hardest

    Example: spurcli export scores.h5 --as parquet
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    others = result["splits"][1:]
    also = f" and all of {listed(others)}" if others else ""
    say(f"{counted(result['num_samples'], 'sample')}{also} → {shown(asked.output, asked.standard_output)}")
