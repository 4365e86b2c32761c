"""Shell completion of the values of an option: names of parts and fixed words. Only names are looked up, no part is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Names = dict[str, str]  # each with its description, which zsh and fish show


def completes(what: str) -> Callable[[str], list[Any]] | None:
    """The completion function of an option for Typer: names of the list `what`, or its words; None for "" (files are completed)."""
    if not what:
        return None

    def complete(incomplete: str) -> list[Any]:
        before, comma, begun = incomplete.rpartition(",")  # of several names, the last one is being typed
        names = _LISTS[what]() if what in _LISTS else dict.fromkeys(what.split(), "")
        found = {f"{before}{comma}{name}": says for name, says in names.items() if name.startswith(begun)}
        return [(name, says) if says else name for name, says in found.items()]

    return complete


def _registered(name: str, but: tuple[str, ...] = ()) -> Names:
    from spurcli import registries

    entries = getattr(registries, name).entries
    return {name: entry.summary for name, entry in entries.items() if name not in but}


def _recipes() -> Names:
    from spurcli import recipes

    return dict.fromkeys(recipes.names(), "")


def _rules() -> Names:
    from spurcli.epoch_rules import RULES

    return dict.fromkeys(RULES, "")


def _formats() -> Names:
    from spurcli.exporting.formats import FORMATS

    return dict.fromkeys(FORMATS, "")


_LISTS: Mapping[str, Callable[[], Names]] = {
    "datasets": lambda: _registered("DATASETS", but=("folder", "table", "embeddings")),  # these are named by paths
    "features": lambda: _registered("FEATURES"),
    "models": lambda: _registered("MODELS"),
    "methods": lambda: _registered("METHODS"),
    "scores": lambda: {**_registered("SCORES"), **_registered("DYNAMICS")},
    "ways": lambda: _registered("WAYS"),
    "finders": lambda: _registered("FINDERS"),
    "loggers": lambda: _registered("LOGGERS"),
    "recipes": _recipes,
    "rules": _rules,
    "formats": _formats,
}
