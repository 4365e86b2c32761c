"""The settings behind embeddings: how their samples were read, and the model that embedded them was built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from spurcli.artifacts.embeddings import read_embeddings_header
from spurcli.datasets.own.naming import EMBEDDINGS, locate
from spurcli.requests.options import inherited_settings
from spurcli.settings import Settings


def behind(settings: Settings) -> Callable[[], Settings] | None:
    """If `settings` name embeddings, a function that gives the settings behind them."""
    if settings.dataset.name != EMBEDDINGS:
        return None
    path = locate(str(settings.dataset.options["path"]), settings.data_root)
    return partial(
        settings_behind, path, data_root=settings.data_root, device=settings.device, workers=settings.num_workers
    )


def settings_behind(embeddings: Path, *, data_root: Path | None, device: str, workers: int) -> Settings:
    """From the file of embeddings. Raises UsageError if it names code of the user, which a file must not do by itself."""
    from spurcli.session import configure

    inherited = inherited_settings(read_embeddings_header(embeddings)[2])
    return configure(
        inherited=inherited,
        inherited_from=str(embeddings),
        seed=int(inherited.get("seed") or 0),  # a model without trained weights was drawn by it
        device=device,
        data_root=data_root,
        num_workers=workers,
        uses=("dataset", "model", "backbone"),
    )
