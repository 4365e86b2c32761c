"""Which recipe is the default, and which parts of a recipe a command needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spurcli import recipes
from spurcli.artifacts.model_folder import TOKENIZER
from spurcli.datasets.own.naming import EMBEDDINGS, OWN_DATA, locate
from spurcli.errors import UsageError
from spurcli.settings import BACKBONE, DatasetSettings, Table

_FROZEN = "-frozen"  # ends the names of recipes that make embeddings and train heads on them
OWN_FROZEN = f"own-images{_FROZEN}"
_OWN_TEXT_FROZEN = f"own-text{_FROZEN}"


def with_backbone(recipe: Table, name: str, dataset: DatasetSettings, uses: Sequence[str]) -> Table:
    """The recipe with the model that this command needs: the backbone if embeddings are made, else the head on them."""
    if BACKBONE not in recipe:
        return recipe
    if BACKBONE in uses:
        recipe = {**recipe, "model": recipe[BACKBONE]}
    elif "training" in uses and dataset.name != EMBEDDINGS:
        raise UsageError(
            f"The recipe {name} trains on embeddings, and {called(dataset)} holds none",
            f"Make them first (spurcli data embed {called(dataset)} --recipe {name}), then use --dataset embeddings.h5",
        )
    return {key: table for key, table in recipe.items() if key != BACKBONE}


def default_recipe(
    named: DatasetSettings, uses: Sequence[str], data_root: Path, said: Mapping[str, object] | None = None
) -> str:
    """The recipe with the data set's name. If no model is used, this is demo, which does not fix the size of images.

    But the cache of a user's own data must hold what the stages read, so it uses their recipe. If nothing is trained
    and a model's folder states (`said`) its model and inputs, a recipe for the kind of data fills in the rest.
    """
    if BACKBONE in uses and _frozen_of(named) in recipes.names():
        return _frozen_of(named)
    if named.name == EMBEDDINGS:
        return _recipe_of_embeddings(named, data_root) if {"model", "training"} & set(uses) else "demo"
    if named.name in recipes.names():
        return str(named.name)
    own = named.name in OWN_DATA
    if not {"model", "training"} & set(uses) and not (own and "tokenizer" in uses):
        return "demo"
    if own and said and not {"training", BACKBONE} & set(uses):
        return "own-text" if TOKENIZER in said else "own-images-cpu"
    if own and BACKBONE in uses:
        if named.name == "folder":
            return OWN_FROZEN
        raise UsageError(
            f"{called(named)} is your own data: which recipe?",
            f"For images --recipe {OWN_FROZEN}, for texts --recipe {_OWN_TEXT_FROZEN}. Change a copy: spurcli recipe copy",
        )
    if own:
        texts = "" if named.name == "folder" else "; for texts own-text-cpu or own-text"
        raise UsageError(
            f"{called(named)} is your own data: which recipe?",
            f"--recipe own-images-cpu trains on a laptop, own-images requires a GPU{texts}. Change a copy: spurcli recipe copy",
        )
    raise UsageError(
        f"No recipe exists for the data set {named.name}",
        f"Name one: --recipe NAME or FILE.toml. Shipped: {', '.join(recipes.names())}",
    )


def _recipe_of_embeddings(named: DatasetSettings, data_root: Path) -> str:
    """The recipe with which embeddings were made if it also trains heads, else the general one for embeddings."""
    from spurcli.artifacts.embeddings import read_embeddings_header

    path = locate(str(named.options.get("path", "")), data_root)
    _, _, made = read_embeddings_header(path)
    name = str((made.get("settings") or {}).get("recipe", ""))
    if name.endswith(".toml"):
        if found := recipes.found_again(name, [path]):
            return found
        raise UsageError(
            f"{called(named)} was made with the recipe {name}: which recipe trains on it?",
            f"--recipe {name}, or --recipe {OWN_FROZEN}",
        )
    return name if name.endswith(_FROZEN) and name in recipes.names() else OWN_FROZEN


def frozen_recipe(dataset: DatasetSettings, *, is_text: bool) -> str:
    """The recipe that embeds the data set: its own, else that of a user's images or texts."""
    return (
        _frozen_of(dataset) if _frozen_of(dataset) in recipes.names() else _OWN_TEXT_FROZEN if is_text else OWN_FROZEN
    )


def _frozen_of(dataset: DatasetSettings) -> str:
    return f"{dataset.name}{_FROZEN}"


def called(dataset: DatasetSettings) -> str:
    return str(path_of(dataset) or dataset.name)


def path_of(dataset: DatasetSettings) -> Any:
    """The path that distinguishes a user's own data sets, which share a few names; None for others."""
    return dataset.options.get("path") if dataset.name in OWN_DATA else None
