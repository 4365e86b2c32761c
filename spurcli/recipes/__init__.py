"""Recipes: one TOML file per benchmark with the paper's hyper-parameters, its `-cpu` twin for laptops, and other methods'.

A recipe may begin from another: `extends = "waterbirds"` at its top takes all that it does not change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import require_file
from spurcli.errors import InputError, UsageError
from spurcli.registry import near
from spurcli.settings import merge, own_code

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def recipe_path(name: str) -> Path:
    """The file of a shipped recipe, or of the user's own if `name` ends in .toml."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in names():
        raise UsageError(
            f"No recipe called {name!r}{near(name, names())}",
            f"Shipped: {', '.join(names())}. Your own: --recipe FILE.toml (start from: spurcli recipe copy NAME)",
        )
    return _FOLDER / f"{name}.toml"


def read_recipe(name: str) -> dict[str, Any]:
    """The tables of a recipe, by name or file, joined with those of the recipe that it extends."""
    return _joined(name, ())


def is_own(name: str | None) -> bool:
    """Whether a recipe that is named is a file of the user's own."""
    return name is not None and name.endswith(".toml")


def own_code_of(name: str | None) -> dict[str, str]:
    """The user's own code that a recipe names, by table; {} for a shipped recipe."""
    return own_code(read_recipe(name)) if name and is_own(name) else {}


def found_again(name: str, named_in: Sequence[Path]) -> str | None:
    """The user's own recipe that outputs (`named_in`) were made with: at its name's path, else next to one of them. None if
    there is none."""
    places = [Path(name), *(path.parent / name for path in named_in)] if is_own(name) else []
    return next((str(path) for path in places if path.is_file()), None)


def _joined(name: str, above: tuple[str, ...]) -> dict[str, Any]:
    recipe = _parsed(recipe_path(name))
    base = recipe.pop("extends", None)
    if base is None:
        return recipe
    if not isinstance(base, str) or base in (name, *above):
        raise InputError(f"Recipe {name} extends {str(base)[:40]!r}, which cannot be", "Name another recipe.")
    return merge(_joined(base, (name, *above)), recipe)


def _parsed(path: Path) -> dict[str, Any]:
    require_file(path, "a recipe", "Start from one: spurcli recipe copy demo my.toml")
    if path.stat().st_size > 1 << 20:
        raise InputError(f"{path} is too large for a recipe", "Check that the right file is named.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not valid TOML: {str(error)[:120]}", "Fix this line.") from error


def parse_value(text: str) -> Any:
    """The value of a `--set key=value`: TOML if it parses, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
