"""Whether an output can be written and fits the disk; checked before the work."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.artifacts.atomic import readable_os_errors
from spurcli.errors import InputError


def require_writable(output: Path, num_bytes: int) -> None:
    """Raise InputError unless `output` can be written and `num_bytes` more fit on the disk.

    Called before the work: hours of training must not end at a read-only or full folder.
    """
    with readable_os_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=f".{output.name}.", dir=output.parent):
            pass
        free = shutil.disk_usage(output.parent).free
    if free < num_bytes:
        raise InputError(
            f"No space left for {output}: {in_words(num_bytes)} needed (with the training state), {in_words(free)} free",
            "Free some space or choose another place with -o.",
        )


def bytes_while_training(weights: Mapping[str, Any]) -> int:
    """What a run with these tensors needs at most: two states of weights, two slots and best weights, and the model."""
    return 9 * sum(int(tensor.nbytes) for tensor in weights.values())


def in_words(num_bytes: int) -> str:
    """A number of bytes in a readable unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} bytes"
