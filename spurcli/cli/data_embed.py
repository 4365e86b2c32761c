"""The command `spurcli data embed`: its help text and what it prints. Options: requests/embed.py; work: stages/embed.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.embed import EmbedRequest, run
from spurcli.words import counted, listed


def add_to(app: typer.Typer) -> None:
    stage_command(app, EmbedRequest)(embed)


def embed(asked: EmbedRequest, call: Call) -> None:
    """Embed every sample once with a frozen model; heads then train on the embeddings in seconds.

    Use the file like any data set. It has the samples, ids and groups of its source, so lists, scores and groups
    can be used with both. After an interruption, the same command resumes.

    Example: spurcli data embed photos/ -o photos.embeddings.h5
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    where = shown(asked.output, asked.standard_output)
    sizes = ", ".join(f"{name} {number:,}" for name, number in result["splits"].items())
    say(
        f"Embedded {counted(result['num_samples'], 'sample')} ({sizes}) in {result['num_dimensions']:,} dimensions → {where}"
    )
    if result["columns"]:
        say(
            f"It keeps the columns {listed(result['columns'])}: for --attribute, evaluate --attribute and audit --column"
        )
    if asked.output != "-":
        say(f"Next: spurcli score --dataset {where}")
