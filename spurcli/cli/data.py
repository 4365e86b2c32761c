"""The command `spurcli data`: checks a data set, caches it, embeds it."""

from __future__ import annotations

from typing import Annotated

import typer

from spurcli.cli.completion import completes
from spurcli.cli.data_cache import cache
from spurcli.cli.data_embed import add_to
from spurcli.cli.options import (
    AttributeColumn,
    ClassColumn,
    DataRoot,
    Debug,
    Feature,
    ImageColumn,
    Json,
    Recipe,
    Sets,
    SplitsColumn,
    TextColumn,
)
from spurcli.requests.options import parse_sets, with_columns
from spurcli.results import Unreadable
from spurcli.words import counted

app = typer.Typer(add_completion=False, help="Check, cache or embed a data set.", no_args_is_help=True)
app.command()(cache)
add_to(app)


@app.callback()
def data() -> None:
    """Check, cache or embed a data set."""


@app.command()
def check(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A data set, your folder or table, inject.json, or file.py:attr.",
            autocompletion=completes("datasets"),
        ),
    ] = None,
    decode_all: Annotated[bool, typer.Option("--decode-all", help="Open and decode every image too.")] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Threads that decode images.")] = 2,
    data_root: DataRoot = None,
    recipe: Recipe = None,
    image: ImageColumn = None,
    text: TextColumn = None,
    label: ClassColumn = None,
    attribute: AttributeColumn = None,
    split_column: SplitsColumn = None,
    sets: Sets = None,
    feature: Feature = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Counts per split, class and group (against the published ones), fingerprints, spurious features.

    Missing files, and with --decode-all unreadable files, are listed on stdout (the first ten; all with --json), and the exit
    code is 3.

    Example: spurcli data check celeba --data-root .data

    Example: spurcli data check birds.csv --image file --label species --attribute place
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.data_tables import print_found, print_names
    from spurcli.cli.progress import TerminalProgress
    from spurcli.datasets import check as looking
    from spurcli.datasets import load_dataset
    from spurcli.errors import InputError, MissingFilesError, UsageError
    from spurcli.session import configure

    if not (name or recipe):
        raise UsageError("No data set is named", "Name one: spurcli data check photos/")
    columns = {"image": image, "text": text, "label": label, "attribute": attribute, "split_column": split_column}
    settings = configure(
        name,
        recipe=recipe,
        overrides=with_columns(columns, parse_sets(sets)),
        feature=feature,
        data_root=data_root,
        uses=("dataset",),
    )
    try:
        # Without the cache, because the files are checked.
        dataset = load_dataset(
            settings.dataset.name,
            settings.dataset.options,
            data_root=settings.data_root,
            image_size=settings.preprocessing.decode_size,
            injection=settings.injection_path,
        )
    except MissingFilesError as error:
        if as_json:
            print_json({"name": settings.dataset.name, "missing": list(error.names)})
        else:
            print_names("missing", error.names)
        raise
    found = looking.check(dataset)
    unreadable: list[Unreadable] = []
    if decode_all:
        progress = TerminalProgress()
        found["decoded"] = looking.decode_all(dataset, num_workers=workers, progress=progress)
        progress.close()
        unreadable = found["decoded"]["unreadable"]
    if as_json:
        print_json(found)
    else:
        print_found(found)
    if settings.dataset.name == "table" and not found["splits"]["train"]["groups"]:
        say("To make groups, name a column that may be spurious: --attribute COLUMN")
    if unreadable:
        advice = {item["advice"] for item in unreadable}
        raise InputError(
            f"{len(unreadable):,} of {counted(found['decoded']['num_images'], 'image')} cannot be decoded: "
            + ", ".join(item["name"] for item in unreadable[:3])
            + (", …" if len(unreadable) > 3 else ""),
            # Damaged files are fetched again; a rejected mode has its own advice.
            advice.pop() if len(advice) == 1 else "Get them again from the source of the data set.",
        )
