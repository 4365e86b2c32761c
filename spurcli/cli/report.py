"""spurcli report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spurcli.cli import options
from spurcli.cli.options import DataRoot, Debug, Json

app = typer.Typer(add_completion=False)


@app.command()
def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUNS", help="Files or folders. (default: the current folder)")
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="KIND", help="html, md, csv, tex, json, svg or pdf (a folder). (default: by -o)"
        ),
    ] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="Headline of the page.")] = None,
    note: Annotated[
        list[str] | None, typer.Option("--note", metavar="TEXT", help="A remark to print on the page. Repeatable.")
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Show the easiest and hardest.")] = True,
    output: Annotated[str | None, options.output("report.html")] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """All runs on one page: table over seeds, curves, difficulty, what pruning removed, the exact commands.

    The page is one file without any external request. Other formats: tables as md, csv or tex (LaTeX), everything as
    json, figures as svg or pdf (a folder).

    Example: spurcli report runs/ -o report.html
    """
    from spurcli.cli.console import console, print_json, say
    from spurcli.cli.files import FIGURES, command_line, output_path, shown
    from spurcli.errors import UsageError
    from spurcli.reporting.stage import write
    from spurcli.reporting.tables import terminal_table
    from spurcli.session import find_data_root

    standard = FIGURES if format in ("svg", "pdf") else f"report.{format or 'html'}"
    if output == "-" and standard == FIGURES:
        raise UsageError("Figures are a folder, which cannot go to stdout", "Name a folder with -o.")
    with output_path(output, standard, as_json=as_json, binary=False) as path:
        found, result = write(
            runs or [Path()],
            path,
            format,
            title=title,
            notes=note or (),
            data_root=find_data_root(data_root),
            pictures=pictures,
            command=command_line(),
        )
    if as_json:
        print_json(result)
    else:
        if found.metrics:
            console().print(terminal_table(found))
        for sentence in found.verdict:
            say(sentence)
    say(f"Report: {shown(output, standard)}")
