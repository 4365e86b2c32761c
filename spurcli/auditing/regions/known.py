"""Shapes that may have been added to images and are known beforehand: a row, a column, a region, the full image.

A direction that is estimated from samples needs many samples on both sides. A shape that is known needs no estimate: its
direction is the matched filter, the shape in units of what the other classes vary by. Along it, samples without the mark
lie where the other classes lie, and carriers are moved by a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.lumps import log_skew_normal
from spurcli.auditing.regions.shapes import Region, coarse

Floats = NDArray[np.float64]
_REACH, _STEP, _WIDTH = 12.0, 0.1, 0.3  # of the grid of densities and of its kernel, in spreads of the other classes
_BROAD = 0.02  # of a density: a wide normal distribution, as a sample may lie beyond all others
_STARTS = ((0.1, 1), (0.8, 1), (0.1, -1), (0.8, -1))  # share and side of those that are moved
_ITERATIONS = 10
_PRIOR = 3.0  # samples of spread one, in the spread of those that are moved
_LEAST_SAMPLES = 10  # on either side
_LEAST_MOVED = 3.0  # spreads of the other classes
_MOST_SPREAD = 1.5  # of those who are moved: a constant leaves them the spread of the other classes
_MOST_OFF = 1.5  # spreads of the other classes between their middle and the mean of those who are not moved
_MOST_MISFIT = 1.3
_LEAST_GAIN = 2.0

_GRID = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)


def known_shapes(height: int, width: int, channels: int) -> list[tuple[Region, Floats]]:
    """Regions and what is added in them, float64 [height, width, channels] of 0 and 1.

    All of them in all channels; a row, a column and the whole image also in each channel.
    """
    masks = {f"row {i}": np.arange(height)[:, None] == i for i in range(height)}
    masks |= {f"column {i}": np.arange(width)[None] == i for i in range(width)}
    plain = [Region(name, np.broadcast_to(mask, (height, width))) for name, mask in masks.items()]
    plain.append(Region("whole image", np.ones((height, width), dtype=bool)))
    found = [(region, np.repeat(region.mask[..., None] * 1.0, channels, axis=2)) for region in plain]
    found += [(region, np.repeat(region.mask[..., None] * 1.0, channels, axis=2)) for region in coarse(height, width)]
    if channels > 1:
        found += [(region, region.mask[..., None] * colour) for region in plain for colour in np.eye(channels)]
    return found


@dataclass(frozen=True)
class Moved:
    """For each shape: how samples of a class fall into those where the other classes lie and those moved by a constant.

    `gain` is twice the log-likelihood ratio to a skew-normal, which has as many parameters. `moved` is in spreads of the
    other classes, as is `rest`, where those who are not moved lie. `misfit` is how much more than by chance both sides differ in other ways: 1 if the shape is all.
    `upper` float64 [k, n] is who is moved.
    """

    gain: Floats
    share: Floats
    moved: Floats
    spread: Floats
    rest: Floats
    misfit: Floats
    upper: Floats

    @property
    def separation(self) -> Floats:
        """How far both parts are apart, in their mean spreads."""
        return np.asarray(np.abs(self.moved) / np.sqrt((1 + self.spread**2) / 2))

    @property
    def strength(self) -> Floats:
        """The gain per sample, so that classes of other sizes compare; −1 for what is no addition of the shape alone."""
        size = self.upper.shape[1]
        count = self.upper.sum(axis=1)
        fits = (np.abs(self.moved) > _LEAST_MOVED) & (self.spread < _MOST_SPREAD)
        fits &= (np.abs(self.rest) < _MOST_OFF) & (self.misfit < _MOST_MISFIT) & (self.gain > _LEAST_GAIN)
        return np.where(fits & (np.minimum(count, size - count) >= _LEAST_SAMPLES), self.gain / size, -1.0)


@dataclass(frozen=True)
class Known:
    """The matched filters [k, d] of known shapes for one class: the other classes have mean 0 and spread 1 along each.

    `origin` [k] is where the mean of the class lies; `density` [k, grid] the log-density of the other classes.
    `whitening` [d, d] takes residuals to units of what the other classes vary by, `units` [k, d] are the filters there.
    """

    directions: Floats
    origin: Floats
    density: Floats
    whitening: Floats
    units: Floats

    @classmethod
    def of(
        cls, shapes: Floats, whitening: Floats, mean: Floats, others: Sequence[tuple[Floats, Floats]], size: int
    ) -> Known:
        """Of shapes [k, d], the mean [d] of the class, and of each other class the mean and the residuals [n, d] about it.

        The whitening is of `size` residuals, these among them, so each goes further along a filter that is made without it: by
        1 / (1 − h), h its share in the squared length of its white values (Sherman and Morrison).
        """
        units = shapes @ whitening
        directions = units @ whitening.T
        parts = []
        for centre, residual in others:
            own = ((residual @ whitening) ** 2).sum(axis=1) / size
            parts.append(directions @ residual.T / np.maximum(1 - own, 0.1) + (directions @ centre)[:, None])
        values = np.concatenate(parts, axis=1)
        middle, spread = values.mean(axis=1), values.std(axis=1) + 1e-12
        density = np.stack([_log_density(row) for row in (values - middle[:, None]) / spread[:, None]])
        units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
        return cls(directions / spread[:, None], (directions @ mean - middle) / spread, density, whitening, units)

    def fit(self, residual: Floats) -> Moved:
        """The fit of each shape to samples of the class, by their residuals [n, d] about its mean."""
        values = self.directions @ residual.T + self.origin[:, None]
        low = _at(self.density, values)
        best = _mixture(values, low, *_STARTS[0])
        for start in _STARTS[1:]:
            new = _mixture(values, low, *start)
            better = new[0] > best[0]
            best = tuple(
                np.where(better[:, None] if one.ndim == 2 else better, one, other)
                for one, other in zip(new, best, strict=True)
            )
        likelihood, share, moved, spread, upper = best
        centre, scale = values.mean(axis=1), values.std(axis=1) + 1e-12
        smooth = log_skew_normal((values - centre[:, None]) / scale[:, None]) - values.shape[1] * np.log(scale)
        misfit = _misfit(residual @ self.whitening, self.units, upper)
        rest = ((1 - upper) * values).sum(axis=1) / np.maximum((1 - upper).sum(axis=1), 1e-9)
        return Moved(2 * (likelihood - smooth), share, moved, spread, rest, misfit, upper)

    def upper(self, k: int, along: Floats, fitted: Moved) -> Floats:
        """The probability that further samples are moved along shape k, by how far [n] they go along its direction."""
        values = along + self.origin[k]
        high = _log_normal(values, fitted.moved[k], fitted.spread[k] ** 2) + np.log(fitted.share[k])
        low = _at(self.density[k : k + 1], values[None])[0] + np.log1p(-fitted.share[k])
        found = np.exp(high - np.logaddexp(high, low))
        towards = values * np.sign(fitted.moved[k])
        return np.where(towards > abs(fitted.moved[k]), 1.0, np.where(towards < 0, 0.0, found))


def _at(density: Floats, values: Floats) -> Floats:
    """Densities [k, grid] at values [k, n], linear between points of the grid."""
    place = np.clip((values + _REACH) / _STEP, 0, len(_GRID) - 1.001)
    left = place.astype(np.int64)
    first, second = (np.take_along_axis(density, left + k, axis=1) for k in (0, 1))
    return np.asarray(first + (place - left) * (second - first))


def _log_density(values: Floats) -> Floats:
    """Of standardised values [n], on the grid: a kernel estimate with a wide normal distribution mixed in."""
    place = np.clip(np.rint((values + _REACH) / _STEP), 0, len(_GRID) - 1).astype(np.int64)
    share = np.bincount(place, minlength=len(_GRID)) / len(values)
    kernel = np.exp(-0.5 * (_GRID[np.abs(_GRID) < 5 * _WIDTH] / _WIDTH) ** 2)
    narrow = np.convolve(share, kernel / kernel.sum() / _STEP, mode="same")
    return np.log((1 - _BROAD) * narrow + _BROAD * np.exp(_log_normal(_GRID, 0.0, 9.0)))


def _log_normal(values: Floats, mean: Floats | float, variance: Floats | float) -> Floats:
    return np.asarray(-0.5 * (values - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance))


def _mixture(values: Floats, low: Floats, start: float, side: int) -> tuple[Floats, ...]:
    """EM of the other classes' density and one normal distribution: log-likelihood, share, mean, spread, who is of the latter."""
    edge = np.quantile(values, 1 - start if side > 0 else start, axis=1)[:, None]
    upper = np.where(side * (values - edge) > 0, 0.99, 0.01)
    for _ in range(_ITERATIONS):
        total = upper.sum(axis=1, keepdims=True)
        share = np.clip(total / values.shape[1], 1e-3, 1 - 1e-3)
        mean = (upper * values).sum(axis=1, keepdims=True) / total
        variance = ((upper * (values - mean) ** 2).sum(axis=1, keepdims=True) + _PRIOR) / (total + _PRIOR)
        first, second = _log_normal(values, mean, variance) + np.log(share), low + np.log1p(-share)
        either = np.logaddexp(first, second)
        upper = np.exp(first - either)
    return either.sum(axis=1), share[:, 0], mean[:, 0], np.sqrt(variance[:, 0]), upper


def _misfit(white: Floats, units: Floats, upper: Floats) -> Floats:
    """The squared difference of both sides' means across each direction [k, d], in units of what chance makes it, float64 [k]."""
    high, rest = upper.sum(axis=1), (1 - upper).sum(axis=1)
    total = white.sum(axis=0)
    first = upper @ white
    first, second = first / np.maximum(high, 1e-9)[:, None], (total - first) / np.maximum(rest, 1e-9)[:, None]
    apart = first - second
    across = (apart**2).sum(axis=1) - (apart * units).sum(axis=1) ** 2
    along = white @ units.T - np.where(upper.T > 0.5, (first * units).sum(axis=1), (second * units).sum(axis=1))
    within = (white**2).sum() - high * (first**2).sum(axis=1) - rest * (second**2).sum(axis=1) - (along**2).sum(axis=0)
    chance = np.maximum(within, 1e-9) / len(white) * (1 / np.maximum(high, 1e-9) + 1 / np.maximum(rest, 1e-9))
    return np.asarray(across / chance)
