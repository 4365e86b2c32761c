"""Finished outputs: the same run is not repeated, another run's result is not replaced by accident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spurcli.errors import SpurError

Provenance = Mapping[str, Any]


def run_identity(made: Provenance) -> dict[str, Any]:
    """What makes two runs the same: stage, settings, arguments and parents; not how the command was typed."""
    return {key: made.get(key) for key in ("stage", "settings", "arguments", "parents")}


def finished_before(output: Path, made: Provenance, read: Callable[[Path], Provenance]) -> bool:
    """Whether `output` is there and was made by the very run that `made` describes."""
    if not output.exists():
        return False
    try:
        return run_identity(read(output)) == run_identity(made)
    except SpurError:
        return False


def require_replaceable(output: Path, force: bool) -> None:
    """Raise unless `output` is free, or `force` allows replacing it."""
    if output.exists() and not force:
        raise SpurError(
            f"{output} is the finished output of another run", "Choose another with -o, or replace it with --force."
        )
