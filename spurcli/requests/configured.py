"""Settings from a request: the named data set, recipe and parts override those of a parent file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from spurcli.errors import UsageError
from spurcli.requests.options import File, overrides_of, parse_sets, path, text

if TYPE_CHECKING:  # requests are imported for --help
    from spurcli.settings import Settings, Table


class Asked(Protocol):
    """The options that say which data and settings a stage works with."""

    @property
    def dataset(self) -> File | None: ...
    @property
    def recipe(self) -> File | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def feature(self) -> str | None: ...
    @property
    def set(self) -> Mapping[str, object] | Sequence[str] | None: ...
    @property
    def device(self) -> str: ...
    @property
    def data_root(self) -> File | None: ...
    @property
    def workers(self) -> int: ...
    @property
    def allow_injection_mismatch(self) -> bool: ...


@dataclass(frozen=True)
class Inherited:
    """The settings of a parent file, and the file itself."""

    settings: Table = field(default_factory=dict)
    source: Path | None = None


def configured(
    asked: Asked,
    inherited: Inherited,
    *,
    seed: int,
    uses: Sequence[str],
    checkpoint: Path | None = None,
    epoch: int | None = None,
    method: str | None = None,
) -> Settings:
    """The settings that `asked` means. `epoch` is short for the setting scoring.epoch."""
    from spurcli.session import configure

    overrides = overrides_of(asked)
    if epoch is not None:
        overrides["scoring.epoch"] = epoch
    return configure(
        text(asked.dataset),
        recipe=text(asked.recipe),
        model=asked.model,
        method=method,
        feature=asked.feature,
        overrides=overrides,
        inherited=inherited.settings,
        inherited_from=str(inherited.source),
        checkpoint=checkpoint,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        seed=seed,
        device=asked.device,
        data_root=path(asked.data_root),
        num_workers=asked.workers,
        uses=uses,
    )


def refuse_settings_of(what: str, asked: Asked) -> None:
    """Raise UsageError for `--set` where `what` (logits, predictions) comes without data set and recipe."""
    if overrides := parse_sets(asked.set):
        raise UsageError(f"--set {next(iter(overrides))} has no effect: {what} alone have no settings", "Remove it.")
