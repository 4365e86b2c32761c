"""spurcli data"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spurcli.cli import options
from spurcli.cli.data_cache import cache
from spurcli.cli.options import DataRoot, Debug, Feature, Json, Recipe, Sets

app = typer.Typer(add_completion=False, help="Look at a data set before working with it.", no_args_is_help=True)
app.command()(cache)


@app.callback()
def data() -> None:
    """Look at a data set before working with it."""


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set, inject.json, or your own file.py:attr.")],
    data_root: DataRoot = None,
    recipe: Recipe = None,
    sets: Sets = None,
    feature: Feature = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Counts per split, class and group (against the published ones), fingerprints, spurious features.

    Example: spurcli data check celeba --data-root .data
    """
    from spurcli.cli.console import print_json
    from spurcli.datasets import load_dataset
    from spurcli.datasets.check import check as look
    from spurcli.session import configure

    recipe = recipe or any_recipe(name)
    settings = configure(
        name, recipe=recipe, overrides=options.parse_sets(sets), feature=feature, data_root=data_root, uses=("dataset",)
    )
    dataset = load_dataset(
        settings.dataset.name,
        settings.dataset.options,
        data_root=settings.data_root,
        image_size=settings.preprocessing.image_size,
        injection=settings.injection_path,
    )
    found = look(dataset)
    if as_json:
        print_json(found)
    else:
        _print(found)


def any_recipe(name: str) -> str | None:
    """Your own data set has no recipe, and only needs one here for the size of its images, which demo leaves open."""
    from pathlib import Path

    from spurcli.datasets.injection import is_injection, read_injection
    from spurcli.registry import is_user_code

    base = read_injection(Path(name)).dataset if is_injection(name) else name
    return "demo" if is_user_code(base) else None


def _print(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    stdout = Console(highlight=False)
    splits = found["splits"]
    rows = next(iter(splits.values()))["groups"] or next(iter(splits.values()))["classes"]
    key = "groups" if next(iter(splits.values()))["groups"] else "classes"
    table = Table(box=SIMPLE, title=f"{found['name']}: samples", title_justify="left")
    table.add_column("group" if key == "groups" else "class")
    for name in splits:
        table.add_column(name, justify="right")
    for row in list(rows)[:40]:
        table.add_row(row, *(f"{split[key][row]:,}" for split in splits.values()))
    table.add_section()
    table.add_row("all", *(f"{split['num_samples']:,}" for split in splits.values()))
    stdout.print(table)
    if len(rows) > 40:
        stdout.print(f"and {len(rows) - 40:,} more {key}; all of them with --json")
    for name, split in splits.items():
        fingerprint = split["fingerprint"]
        stdout.print(f"{name}: image {'×'.join(map(str, split['image']))}, labels {fingerprint['labels_sha256'][:16]}")
    for label, attribute in found.get("spurious_features", {}).items():
        stdout.print(f"spurious feature of {label}: {attribute}")
    if found.get("conflict_groups"):
        stdout.print(f"groups that conflict with it: {', '.join(found['conflict_groups'])}", soft_wrap=True)
