"""The command `spurcli show`: what an artefact is and how it was made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.provenance import Provenance
from spurcli.cli.options import Debug, Json, declared
from spurcli.requests.options import SCORE, Field

app = typer.Typer(add_completion=False)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Any file that spurcli wrote.")],
    hardest: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="List the N hardest samples of a score file, with their ids.")
    ] = None,
    score: Annotated[str | None, declared(Field("score", SCORE, None))] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the kind of a file and its history: the commands that led to the file, oldest first.

    Example: spurcli show scores.h5 --hardest 20
    """
    from spurcli.artifacts.describe import describe
    from spurcli.artifacts.provenance import lineage_of
    from spurcli.cli.console import print_json, results
    from spurcli.errors import UsageError

    if hardest is not None:
        _show_hardest(path, hardest, score, as_json=as_json)
        return
    if score is not None:
        raise UsageError("--score says by which score samples are hard", "Add --hardest N, or remove it.")
    found = describe(path)
    if as_json:
        print_json(found)
        return
    stdout = results()
    provenance: Provenance = found.pop("provenance")
    for key, value in found.items():
        if isinstance(value, dict):
            stdout.print(f"[cyan]{key}[/cyan]")
            for name, item in _said(value).items():
                stdout.print(f"  {_in_line(name)}: {_in_line(_brief(item))}", soft_wrap=True)
        elif key in _said(found):
            stdout.print(f"[cyan]{_in_line(key)}[/cyan]: {_in_line(_brief(value))}", soft_wrap=True)
    for line in lineage_of(provenance):
        stdout.print(f"[dim]$[/dim] {_in_line(line)}", soft_wrap=True)
    versions = provenance.get("versions")
    if versions:
        stdout.print(f"[dim]{_in_line(_brief(versions))}[/dim]", soft_wrap=True)


def _show_hardest(path: Path, count: int, score: str | None, *, as_json: bool) -> None:
    """The hardest samples as a table on stdout, with complete ids."""
    from rich.box import SIMPLE
    from rich.table import Table

    from spurcli.cli.console import print_json, results
    from spurcli.exporting.content import hardest

    found = hardest(path, count, score)
    if as_json:
        print_json(found)
        return
    rows = found["hardest"]
    table = Table(box=SIMPLE, title_justify="left", title=f"Hardest of {found['num_samples']:,} by {found['score']}")
    for name in rows[0]:
        is_number = name in ("rank", "index", "value")
        table.add_column(
            found["score"] if name == "value" else name, justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else _in_line(value) for value in row.values()))
    results().print(table)


def _in_line(value: Any) -> str:
    """Text for a line of its own, whatever it holds."""
    from rich.markup import escape

    from spurcli.cli.console import visible

    return escape(visible(str(value), allowed=""))


def _said(content: JsonObject) -> JsonObject:
    """The description of an artefact, without unused options and missing names."""
    return {key: value for key, value in content.items() if value not in (None, "", [])}


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_brief(item)}" for key, item in _said(value).items())
    if isinstance(value, list):
        return ", ".join(map(str, value[:12])) + (f", … ({len(value)})" if len(value) > 12 else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)
