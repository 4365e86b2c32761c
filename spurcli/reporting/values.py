"""Reading values out of JSON that another program may have written: the right kind, or nothing."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from spurcli.artifacts.envelope import JsonObject

Table = Mapping[str, Any]  # an object of a file that any program may have written


def number(value: Any) -> float | None:
    """A finite number as float; None for anything else (booleans too)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer too large for a float
        return None


def whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def mapping(value: Any) -> Table:
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Table]:
    """The mappings in a list; [] for anything else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def text(value: Any, default: str = "") -> str:
    return value if isinstance(value, str) else default


def name_of(value: Any) -> str:
    """A class or group name as one line of at most 60 characters, without characters that affect the surrounding text."""
    line = "".join(" " if _steers(character) else character for character in str(value))
    return line if len(line) <= 60 else f"{line[:59]}…"


def printable(text: str) -> str:
    """A whole document with every character that steers replaced, except tabs and line feeds."""
    return text.translate({ord(sign): "\ufffd" for sign in set(text) - set("\t\n") if _steers(sign)})


def _steers(character: str) -> bool:
    """Control characters, line ends, broken halves of characters, and marks that turn the direction of writing."""
    turns = unicodedata.bidirectional(character) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return turns or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def pair(value: Any) -> list[float] | None:
    """[low, high] of finite numbers, or None."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    low, high = number(value[0]), number(value[1])
    return [low, high] if low is not None and high is not None else None


def flatten(content: Table, prefix: str = "") -> JsonObject:
    """Nested mappings as dotted keys: {"training": {"epochs": 3}} gives {"training.epochs": 3}."""
    flat: JsonObject = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def plain(value: Any) -> Any:
    """JSON content with numbers that JSON cannot hold (1e999 reads as infinity) as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
