"""How counts, durations and lists of names are written in messages."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str, plural: str = "") -> str:
    """The count with its noun: "1 epoch", "1,234 samples", "2 classes"; `plural` only where no rule gives it."""
    if number == 1:
        return f"1 {noun}"
    if not plural:
        plural = f"{noun}es" if noun.endswith(("s", "x", "tch", "sh")) else f"{noun}s"
    return f"{number:,} {plural}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The names joined by commas; of many the first `most` and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def duration(seconds: float | None) -> str:
    """ "2.1 s", "45 s", "12.3 min", "2.5 h"."""
    if seconds is None:
        return "–"
    for limit, size, unit in ((10, 1, "s"), (100, 1, "s"), (5400, 60, "min"), (float("inf"), 3600, "h")):
        if seconds < limit:
            digits = 0 if limit == 100 else 1
            return f"{seconds / size:.{digits}f} {unit}"
    raise AssertionError(seconds)
