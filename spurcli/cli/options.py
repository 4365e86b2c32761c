"""Options as Typer takes them: those of the stages come from their requests, and the same words serve the other commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spurcli.cli.completion import completes
from spurcli.requests import options as asked
from spurcli.requests.options import Field, Option


def declared(field: Field) -> Any:
    """A field of a request as an option or argument of a command."""
    option = field.option
    if option.positional:
        return typer.Argument(metavar=option.metavar, help=_help(option), autocompletion=completes(option.completes))
    flags = [option.short, field.flag] if option.short else [field.flag]
    if field.is_switch and field.default:
        flags = [f"{field.flag}/{field.flag.replace('--', '--no-', 1)}"]
    return typer.Option(
        *flags,
        metavar=option.metavar or None,
        help=_help(option),
        min=option.minimum,
        rich_help_panel=option.panel or None,
        autocompletion=completes(option.completes),
    )


def _help(option: Option) -> str:
    """The help with what `-` means."""
    stream = "stdin" if option.reads else "stdout" if option.writes else ""
    first, default, rest = option.help.partition(" (default")
    return f"{first.removesuffix('.')}; - is {stream}.{default}{rest}" if stream else option.help


def _shared(name: str, option: Option) -> Any:
    return declared(Field(name, option, None))


DataRoot = Annotated[Path | None, _shared("data_root", asked.DATA_ROOT)]
Recipe = Annotated[str | None, _shared("recipe", asked.RECIPE)]
Sets = Annotated[list[str] | None, _shared("set", asked.SET)]
ImageColumn = Annotated[str | None, _shared("image", asked.IMAGE_COLUMN)]
TextColumn = Annotated[str | None, _shared("text", asked.TEXT_COLUMN)]
ClassColumn = Annotated[str | None, _shared("label", asked.CLASS_COLUMN)]
AttributeColumn = Annotated[list[str] | None, _shared("attribute", asked.ATTRIBUTE_COLUMN)]
SplitsColumn = Annotated[str | None, _shared("split_column", asked.SPLITS_COLUMN)]
Feature = Annotated[str | None, _shared("feature", asked.FEATURE)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.", rich_help_panel=asked.OUTPUT)]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=asked.OUTPUT)]
