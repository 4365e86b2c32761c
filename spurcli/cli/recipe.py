"""The command `spurcli recipe`: prints and copies recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spurcli.cli.completion import completes
from spurcli.cli.options import Debug

app = typer.Typer(add_completion=False, help="Copy a recipe to change it, or print it.", no_args_is_help=True)


@app.command()
def copy(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A shipped recipe (see: spurcli list recipes).", autocompletion=completes("recipes")
        ),
    ],
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Output file. (default: NAME.toml in the current folder)")
    ] = None,
    debug: Debug = False,
) -> None:
    """Copy a recipe to a file of your own, for --recipe FILE."""
    from spurcli.artifacts.atomic import write_text
    from spurcli.cli.console import say
    from spurcli.errors import SpurError
    from spurcli.recipes import recipe_path

    target = path or Path(f"{name}.toml")
    text = recipe_path(name).read_text(encoding="utf-8")
    if target.exists():
        raise SpurError(f"{target} exists", "Name another file.")
    write_text(target, text)
    say(f"Copied to {target}; use it with --recipe {target}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Name or file of a recipe.")], debug: Debug = False
) -> None:
    """Print a recipe."""
    from spurcli.recipes import read_recipe, recipe_path

    read_recipe(name)
    typer.echo(recipe_path(name).read_text(encoding="utf-8"), nl=False)
