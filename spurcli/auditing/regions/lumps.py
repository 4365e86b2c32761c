"""Do some values form a separate lump, as those of carriers do, or one smooth and perhaps skewed distribution?

For many series at once: `values` float64 [series, n]. BIC of a skew-normal less that of a mixture of two Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STARTS = (0.04, 0.25, 0.8)  # share of the upper part from which the fit starts
_ITERATIONS = 25
_LEAST_VARIANCE = 0.01  # of a part, in units of the variance of all: narrower parts are ties
_SHAPES = (0.0, 1.5, 3.0, 8.0)


@dataclass(frozen=True)
class Lumps:
    """For each series: the gain in BIC, the share, means and standard deviations of both parts, in the values' units.

    `upper` float64 [series, n] is the probability that a value belongs to the part with the higher mean.
    """

    gain: Floats
    share: Floats
    low: Floats
    high: Floats
    low_spread: Floats
    high_spread: Floats
    upper: Floats

    def take(self, rows: NDArray[np.int64]) -> Lumps:
        """The fits of some series."""
        return Lumps(**{name: value[rows] for name, value in vars(self).items()})

    def of(self, values: Floats) -> Floats:
        """The probability that further values belong to the upper part of the first series, float64 [n]."""
        weight = float(np.clip(self.share[0], 1e-6, 1 - 1e-6))
        first = _log_normal(values[None], self.high[:1], self.high_spread[:1] ** 2)[0] + np.log(weight)
        second = _log_normal(values[None], self.low[:1], self.low_spread[:1] ** 2)[0] + np.log1p(-weight)
        upper = np.exp(first - np.logaddexp(first, second))
        return np.where(values < self.low[0], 0.0, np.where(values > self.high[0], 1.0, upper))

    @property
    def separation(self) -> Floats:
        """Distance of the parts, in units of their mean standard deviation."""
        return np.asarray((self.high - self.low) / np.sqrt((self.low_spread**2 + self.high_spread**2) / 2))


def lumps(values: Floats) -> Lumps:
    """The fit of each series. A constant series has the gain −∞ and no upper part."""
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    size = values.shape[1]
    centre, scale = values.mean(axis=1), values.std(axis=1)
    constant = scale <= 1e-12 * np.maximum(1.0, np.abs(centre))
    unit = (values - centre[:, None]) / np.where(constant, 1.0, scale)[:, None]
    best: tuple[Floats, ...] | None = None
    for share in _STARTS:
        fitted = _mixture(unit, share)
        if best is None:
            best = fitted
            continue
        better = fitted[0] > best[0]
        best = tuple(
            np.where(better[:, None] if new.ndim == 2 else better, new, old)
            for new, old in zip(fitted, best, strict=True)
        )
    assert best is not None
    likelihood, weight, low, high, low_variance, high_variance, upper = best
    gain = 2 * (likelihood - log_skew_normal(unit)) - 2 * np.log(size)
    return Lumps(
        gain=np.where(constant, -np.inf, gain),
        share=np.where(constant, 0.0, weight),
        low=centre + scale * low,
        high=centre + scale * high,
        low_spread=scale * np.sqrt(low_variance),
        high_spread=scale * np.sqrt(high_variance),
        upper=np.where(constant[:, None], 0.0, upper),
    )


def _mixture(unit: Floats, start: float) -> tuple[Floats, ...]:
    """EM of two Gaussians from the upper `start` of each series: log-likelihood, share, means, variances, upper [n]."""
    upper = np.where(unit > np.quantile(unit, 1 - start, axis=1)[:, None], 0.99, 0.01)
    for _ in range(_ITERATIONS):
        weight = np.clip(upper.mean(axis=1), 1e-6, 1 - 1e-6)
        total, rest = upper.sum(axis=1), (1 - upper).sum(axis=1)
        high = (upper * unit).sum(axis=1) / total
        low = ((1 - upper) * unit).sum(axis=1) / rest
        high_variance = (upper * (unit - high[:, None]) ** 2).sum(axis=1) / total + _LEAST_VARIANCE
        low_variance = ((1 - upper) * (unit - low[:, None]) ** 2).sum(axis=1) / rest + _LEAST_VARIANCE
        first = _log_normal(unit, high, high_variance) + np.log(weight)[:, None]
        second = _log_normal(unit, low, low_variance) + np.log1p(-weight)[:, None]
        either = np.logaddexp(first, second)
        upper = np.clip(np.exp(first - either), 1e-9, 1 - 1e-9)
    swapped = high < low
    low, high = np.where(swapped, high, low), np.where(swapped, low, high)
    low_variance, high_variance = (
        np.where(swapped, high_variance, low_variance),
        np.where(swapped, low_variance, high_variance),
    )
    weight = np.where(swapped, 1 - weight, weight)
    upper = np.where(swapped[:, None], 1 - upper, upper)
    # a wide part claims both tails: values below the lower mean are not in the upper part, and vice versa
    upper = np.where(unit < low[:, None], 0.0, np.where(unit > high[:, None], 1.0, upper))
    return either.sum(axis=1), weight, low, high, low_variance, high_variance, upper


def _log_normal(unit: Floats, mean: Floats, variance: Floats) -> Floats:
    return np.asarray(
        -0.5 * (unit - mean[:, None]) ** 2 / variance[:, None] - 0.5 * np.log(2 * np.pi * variance)[:, None]
    )


def log_skew_normal(unit: Floats) -> Floats:
    """The highest log-likelihood of a skew-normal near the moments of each series, over a grid of shapes."""
    from scipy.special import log_ndtr

    best = np.full(len(unit), -np.inf)
    skewed = np.sign((unit**3).mean(axis=1))
    sided = unit * np.where(skewed == 0, 1.0, skewed)[:, None]  # the grid needs one sign of the shape only
    for shape in _SHAPES:
        delta = shape / np.sqrt(1 + shape**2)
        width = 1 / np.sqrt(1 - 2 * delta**2 / np.pi)
        place = -width * delta * np.sqrt(2 / np.pi)
        for stretch in (0.9, 1.05):
            for shift in (-0.1, 0.0, 0.1):
                scaled = (sided - place * stretch - shift) / (width * stretch)
                found = -0.5 * scaled**2 + (log_ndtr(shape * scaled) if shape else -np.log(2))
                constant = np.log(2 / (width * stretch)) - 0.5 * np.log(2 * np.pi)
                best = np.maximum(best, found.sum(axis=1) + unit.shape[1] * constant)
    return best
