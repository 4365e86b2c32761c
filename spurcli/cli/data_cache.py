"""The command `spurcli data cache`: decodes images or tokenises texts once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spurcli.cli.completion import completes
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
from spurcli.results import CachedSplit
from spurcli.words import counted

if TYPE_CHECKING:  # a slow import, and --help must be fast
    from spurcli.datasets import Dataset
    from spurcli.progress import Progress
    from spurcli.settings import Settings


def cache(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A data set, your folder or table, inject.json, or file.py:attr.",
            autocompletion=completes("datasets"),
        ),
    ] = None,
    data_root: DataRoot = None,
    recipe: Recipe = None,
    image: ImageColumn = None,
    text: TextColumn = None,
    label: ClassColumn = None,
    attribute: AttributeColumn = None,
    split_column: SplitsColumn = None,
    sets: Sets = None,
    feature: Feature = None,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Threads that decode images.")] = 2,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Decode all images, or tokenise all texts, once; every stage then uses the result.

    The cache is written to .spurcli-cache in the data root, or to the folder that SPURCLI_CACHE names; you may delete
    it at any time. An existing cache is checked. Use the recipe and settings of the stages: they set the size of the
    images, or the tokeniser.

    Example: spurcli data cache celeba --recipe celeba-cpu --data-root .data
    """
    from spurcli.cli.console import print_json
    from spurcli.cli.progress import TerminalProgress
    from spurcli.datasets import Texts, load_dataset
    from spurcli.datasets.decoded import cache_images
    from spurcli.errors import UsageError
    from spurcli.session import configure

    if not (name or recipe):
        raise UsageError("No data set is named", "Name one: spurcli data cache photos/")
    columns = {"image": image, "text": text, "label": label, "attribute": attribute, "split_column": split_column}
    settings = configure(
        name,
        recipe=recipe,
        overrides=with_columns(columns, parse_sets(sets)),
        feature=feature,
        data_root=data_root,
        uses=("dataset", "tokenizer"),
    )
    # Without its injection, if it has one: a feature is added when pixels are read.
    dataset = load_dataset(
        settings.dataset.name,
        settings.dataset.options,
        data_root=settings.data_root,
        image_size=settings.preprocessing.decode_size,
    )
    assert settings.cache_root is not None
    progress = TerminalProgress()
    if isinstance(dataset.splits["train"].inputs, Texts):
        found = _cache_texts(dataset, settings, settings.cache_root, progress)
    else:
        found = cache_images(dataset, settings.data_root, settings.cache_root, num_workers=workers, progress=progress)
    progress.close()
    if as_json:
        print_json({"name": dataset.name, "folder": str(settings.cache_root), "splits": found})
    else:
        _say(dataset.name, found)


def _cache_texts(dataset: Dataset, settings: Settings, cache_root: Path, progress: Progress) -> dict[str, CachedSplit]:
    """Token ids, with the injection if there is one: it changes texts before they are tokenised."""
    from spurcli.artifacts.injection import read_injection
    from spurcli.datasets.injected import apply_injection
    from spurcli.runtime.context import RunContext
    from spurcli.runtime.device import choose_device
    from spurcli.runtime.token_cache import cache_tokens

    if settings.injection_path is not None:
        dataset = apply_injection(dataset, read_injection(settings.injection_path))
    context = RunContext(settings, dataset, choose_device("cpu"), progress, pretrained=False)
    assert context.tokenizer is not None
    return cache_tokens(dataset, context.tokenizer, cache_root, progress)


def _say(name: str, splits: dict[str, CachedSplit]) -> None:
    from spurcli.artifacts.space import in_words
    from spurcli.cli.console import say

    if all(facts["done"] == "nothing" for facts in splits.values()):
        say(f"Nothing to do: no split of {name} has images to decode, or texts")
        return
    words = {
        "there": "exists and is complete",
        "written": "written",
        "replaced": "rewritten",
        "nothing": "nothing to decode",
    }
    for split, facts in splits.items():
        size = f" ({in_words(facts['bytes'])})" if "bytes" in facts else ""
        say(f"{split}: {counted(facts['num_samples'], 'sample')}, {words[facts['done']]}{size}")
