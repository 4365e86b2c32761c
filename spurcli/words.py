"""How counts, durations, lists of names and values of metrics are written, in the terminal as on a page."""

from __future__ import annotations

from collections.abc import Sequence

PERCENT = "%"  # the unit of shares, which are stored as 0 … 1


def counted(number: int, noun: str, plural: str = "") -> str:
    """The count with its noun: "1 epoch", "1,234 samples", "2 classes"; `plural` only where no rule gives it."""
    if number == 1:
        return f"1 {noun}"
    if not plural:
        plural = f"{noun}es" if noun.endswith(("s", "x", "tch", "sh")) else f"{noun}s"
    return f"{number:,} {plural}"


def all_of(number: int, noun: str) -> str:
    """Several things together: "both suspects", "all 3 suspects"."""
    return f"both {noun}s" if number == 2 else f"all {counted(number, noun)}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The names joined by commas; if there are many, the first `most` and the number of the others.

    If one of them holds a comma all are quoted, as they would be on a command line.
    """
    if any("," in name for name in names[:most]):
        names = [f'"{name}"' for name in names]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def joined(names: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def duration(seconds: float | None) -> str:
    """ "2.1 s", "45 s", "12.3 min", "2.5 h"."""
    if seconds is None:
        return "–"
    for limit, size, unit in ((10, 1, "s"), (100, 1, "s"), (5400, 60, "min"), (float("inf"), 3600, "h")):
        if seconds < limit:
            digits = 0 if limit == 100 else 1
            return f"{seconds / size:.{digits}f} {unit}"
    raise AssertionError(seconds)


def amount(value: float | None, unit: str, *, signed: bool = False, bare: bool = False) -> str:
    """A metric's value: 0.253 in "%" as "25.3 %", an AUROC as "0.953", "1.234 nats"; `bare` leaves the unit out."""
    if value is None:
        return "–"
    is_small = unit != PERCENT and 0 < abs(value) < 0.0005
    shown = f"{100 * value:.1f}" if unit == PERCENT else f"{value:.1e}" if is_small else f"{value:.3f}"
    if float(shown) == 0:
        shown = shown.lstrip("-")
    sign = "+" if signed and float(shown) > 0 else ""
    return sign + shown.replace("-", "−") + (f" {unit}" if unit and not bare else "")


def unit_of_difference(unit: str) -> str:
    """What follows the bare difference of two values: " points" for shares, " nats", or nothing."""
    return " points" if unit == PERCENT else f" {unit}" if unit else ""


def measured_on(held_out: str) -> str:
    """Why the effect of a suspect in an audit differs from that in an evaluation, where one of them is shown beside the other."""
    return (
        f"An audit measures effects on the half of {held_out} that no finder searched; evaluate --suspect and cut measure them on a "
        "complete split (test by default), so their values differ."
    )
