"""The ranks of suspects as people write them: 2, or several that are taken together: 1,3,5 or 1-3."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from spurcli.errors import UsageError

_RANGE = re.compile(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*")
_MOST = 1000
_WRITE = "Write --suspect 2, or several that are taken together: 1,3,5 or 1-3."


def read_ranks(asked: str | int | Sequence[int]) -> list[int]:
    """The ranks of suspects in order, from "2", "1,3,5", "1-3", a number or a sequence. UsageError for others, and for a rank named twice."""
    found = [int(rank) for rank in asked] if not isinstance(asked, str | int) else list(_ranks(str(asked)))
    if not found or min(found) < 1:
        raise UsageError(f"--suspect {asked}: suspects are counted from 1", _WRITE)
    if twice := next((rank for rank in found if found.count(rank) > 1), None):
        raise UsageError(f"--suspect {asked} names suspect {twice} twice", _WRITE)
    return sorted(found)


def _ranks(text: str) -> Iterator[int]:
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not match or not 0 <= last - first < _MOST:
            raise UsageError(f"--suspect {text}: {part!r} is not the rank of a suspect", _WRITE)
        yield from range(first, last + 1)
