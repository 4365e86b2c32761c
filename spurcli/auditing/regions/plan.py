"""How many donors, recipients and passes the budget allows, determined before the work begins."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from spurcli.auditing.regions.pushes import Ask, Pixels

_PASSES, _AREA = 1_200_000, 32 * 32  # without a budget, of images of this area; of larger ones fewer
_SEARCH, _NULL = 0.5, 0.2  # shares of the budget; carriers and pairs take the rest
SEARCH_AND_NULL = _SEARCH + _NULL
_SIZES = ((400, 8), (400, 6), (300, 6), (400, 4), (300, 4), (200, 4), (150, 4), (100, 4), (100, 3), (60, 3), (40, 2))


@dataclass(frozen=True)
class Plan:
    """`donors` and `recipients` of each class and half; `num_null` regions of a class are tested for the null.

    `rate` is passes a second, `seconds` what all is expected to take; `fits` is False if even the minimum is too much.
    """

    donors: int
    recipients: int
    num_null: int
    rate: float
    seconds: float
    fits: bool


def passes(height: int, width: int, seconds: float, rate: float) -> float:
    """How many the audit may take: by the size of images, the same on every machine; fewer if a budget in seconds requires it."""
    return min(_PASSES * min(1.0, _AREA / (height * width)), max(seconds, 0.0) * rate)


def planned(allowed: float, rate: float, num_classes: int, num_regions: int) -> Plan:
    """The largest search with which all stays within `allowed` passes, or the smallest one."""
    searches = num_regions * num_classes
    for donors, recipients in _SIZES:
        if searches * donors * recipients <= _SEARCH * allowed:
            break
    each = donors * recipients
    num_null = int(np.clip(_NULL * allowed / each, 12, 40))
    expected = each * (searches + num_null) / rate
    return Plan(donors, recipients, num_null, rate, expected, searches * each <= _SEARCH * allowed)


def measured_rate(ask: Ask, pixels: Pixels) -> float:
    """Passes per second, measured in one call after a warm-up call."""
    ask(pixels[:8])
    count, start = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - start < 0.2:
        ask(pixels)
        count += len(pixels)
    return count / max(time.perf_counter() - start, 1e-9)
