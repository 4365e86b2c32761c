"""How counts are written in messages."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """The count with its noun: "1 epoch", "1,234 samples", "2 classes"; `plural` only where no rule gives it."""
    if number == 1:
        return f"1 {noun}"
    if not plural:
        plural = f"{noun}es" if noun.endswith(("s", "x", "tch", "sh")) else f"{noun}s"
    return f"{number:,} {plural}"
