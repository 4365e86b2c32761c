"""Finished outputs: the same run is not repeated, another run's result is not replaced by accident."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from spurcli.artifacts.atomic import readable_os_errors
from spurcli.errors import InputError, SpurError

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
    if output.is_dir():
        raise InputError(f"{output} is a folder", "Name a file to write with -o FILE.")
    if output.exists() and not force:
        raise SpurError(
            f"{output} is the finished output of another run", "Choose another with -o, or replace it with --force."
        )


def require_writable(output: Path, num_bytes: int) -> None:
    """Raise InputError unless `output` can be written and `num_bytes` more fit beside it.

    Called before the work: hours of training must not end at a read-only or full folder.
    """
    with readable_os_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=f".{output.name}.", dir=output.parent):
            pass
        free = shutil.disk_usage(output.parent).free
    if free < num_bytes:
        raise InputError(
            f"No space left for {output}: with the state beside it {in_words(num_bytes)}, {in_words(free)} are free",
            "Free some space or choose another place with -o.",
        )


def bytes_while_training(weights: Mapping[str, Any]) -> int:
    """What a run with these tensors needs at most: two states of weights, two slots and best weights, and the model."""
    return 9 * sum(int(tensor.nbytes) for tensor in weights.values())


def in_words(num_bytes: int) -> str:
    """A number of bytes as people read it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} bytes"
