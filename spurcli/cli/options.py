"""Options that several commands share: one flag has one meaning everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Data set: a name, your folder or table, inject.json, or file.py:attr.",
        rich_help_panel="Data and settings",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="Where data sets lie. (default: SPURCLI_DATA_ROOT or ./data)",
        rich_help_panel="Data and settings",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE",
        help="Hyper-parameters. (default: the data set's recipe)",
        rich_help_panel="Data and settings",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one setting, e.g. training.epochs=3. Repeatable.",
        rich_help_panel="Data and settings",
    ),
]
Device = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel="Data and settings"),
]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, metavar="N", help="Seed of everything random.", rich_help_panel="Data and settings"),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers", min=0, metavar="N", help="Processes that decode images.", rich_help_panel="Data and settings"
    ),
]
Feature = Annotated[
    str | None,
    typer.Option(
        "--feature",
        metavar="NAME",
        help="Name your own feature again if inject.json uses one.",
        rich_help_panel="Data and settings",
    ),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Model: a name or your own file.py:attr.")]
Ids = Annotated[
    Path | None,
    typer.Option(
        "--ids", metavar="FILE", help="Ids of their rows, one a line (or .npy, .h5): matched to those of the data set."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.", rich_help_panel="Output")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel="Output")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace the finished output of another run.", rich_help_panel="Output")
]
AllowMismatch = Annotated[
    bool,
    typer.Option("--allow-injection-mismatch", help="Accept files made under another injection."),
]


def output(standard_name: str) -> Any:
    return typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help=f"Where to write ({standard_name}); - is stdout.",
        rich_help_panel="Output",
    )


def parse_sets(sets: list[str] | None) -> dict[str, Any]:
    """`--set key=value` pairs as dotted keys and TOML values."""
    from spurcli.errors import UsageError
    from spurcli.recipes import parse_value

    parsed = {}
    for item in sets or ():
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {item} is not KEY=VALUE", "Write --set training.epochs=3, for instance.")
        parsed[key.strip()] = parse_value(value.strip())
    return parsed
