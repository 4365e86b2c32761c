"""20 %-trimmed means, and the interval of a ratio of two of them (Yuen's variances, Fieller's interval)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spurcli.student import t_quantile

Floats = NDArray[np.float64]
TRIM = 0.2


def trimmed_mean(values: Floats) -> float:
    """The mean without the lowest and the highest fifth (each ⌊n/5⌋ values); `values` float64 [n], n ≥ 1."""
    cut = int(TRIM * len(values))
    ordered = np.partition(values, [cut, len(values) - 1 - cut]) if cut else values
    return float(ordered[cut : len(values) - cut].mean())


def trimmed_spread(values: Floats) -> Floats:
    """What each value adds to the error of the trimmed mean: the sum of squares is Yuen's (1974) variance."""
    size = len(values)
    cut = int(TRIM * size)
    left = size - 2 * cut
    if left < 2:
        return np.full(size, np.inf)
    ends = np.partition(values, [cut, size - 1 - cut])[[cut, size - 1 - cut]]
    winsorised = np.clip(values, *ends)
    return np.asarray((winsorised - winsorised.mean()) / math.sqrt(left * (left - 1)))


def degrees_left(size: int) -> int:
    """Degrees of freedom of a trimmed mean of `size` values."""
    return size - 2 * int(TRIM * size) - 1


def ratio_interval(
    top: float, bottom: float, variances: tuple[float, float, float], degrees: int
) -> tuple[float, float] | None:
    """Fieller's (1954) 95 % interval of top / bottom; None where the interval of `bottom` includes zero.

    `variances` are those of top, of bottom, and their covariance.
    """
    of_top, of_bottom, both = variances
    t2 = t_quantile(degrees) ** 2
    square = bottom**2 - t2 * of_bottom
    if not square > 0:
        return None
    centre = (top * bottom - t2 * both) / square
    root = centre**2 - (top**2 - t2 * of_top) / square
    half = math.sqrt(max(0.0, root))
    return centre - half, centre + half
