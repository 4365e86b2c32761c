"""What the carriers of a feature have on top of the other images of their class, pixel by pixel: a stamp for other images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import STAMP, Addition
from spurcli.auditing.regions.pushes import Pixels

Floats = NDArray[np.float64]
_LEAST = 4  # carriers, and others
_SIGNIFICANT = 4.0  # standard errors of a difference of means that is no chance
_MOST = 0.9  # of the energy of a difference lies in its clear pixels: the rest is left out
_LEAST_CHANGE = 0.5  # of a pixel of 0 … 255
_CHUNK = 64  # images
_FADED = 0.5  # a variance below this share of that of the others shows that something covers the image


def stamp(
    pixels: Pixels,
    with_it: Floats,
    without: Floats,
    region: NDArray[np.bool_] | None = None,
    *,
    within: NDArray[np.bool_] | None = None,
) -> Addition | None:
    """The stamp of carriers: image → (1 − opacity) · image + colour. None for fewer than four carriers or others.

    `pixels` uint8 [n, height, width, channels] are images of one class, `with_it` float64 [places, n] how probably each carries
    the feature at each place, and `without` [n] how probably it does not. Mean and variance of the carriers give both: what covers
    an image takes the variance away, what is added to it does not. With `region` bool [height, width] only what changes
    there, and next to it, counts. With `within` bool [places, height, width, 1] nothing outside is changed.
    """
    if with_it.sum(axis=1).min(initial=np.inf) < _LEAST or without.sum() < _LEAST:
        return None
    parts = [_one(pixels, weights, without, region) for weights in with_it]
    opacity, colour = (np.stack(each).astype(np.float32) for each in zip(*parts, strict=True))
    if within is not None:
        opacity, colour = opacity * within[..., 0], colour * within
    return Addition(STAMP, arrays={"opacity": opacity, "colour": colour})


def _one(pixels: Pixels, with_it: Floats, without: Floats, region: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    (mean, variance, size), (base, spread, rest) = _moments(pixels, with_it), _moments(pixels, without)
    added = mean - base
    chance = variance / size + spread / rest
    faded, full = variance.sum(axis=2), spread.sum(axis=2)
    fewer = max(math.log(1 / _FADED), _SIGNIFICANT * math.sqrt(2 / size + 2 / rest))
    covers = (full > _LEAST_CHANGE) & (faded < math.exp(-fewer) * full)
    opacity = np.where(covers, 1 - np.sqrt(faded / np.maximum(full, 1e-9)), 0.0)
    clear = (added**2 > _SIGNIFICANT**2 * chance) & (np.abs(added) > _LEAST_CHANGE)
    changed = clear.any(axis=2) | covers
    if region is not None:
        kept = _grown(region & changed, changed).astype(np.float64)
    else:
        kept, energy = np.where(changed, 1.0, _wiener(added**2, chance)), (added**2).sum(axis=2)
        if energy[changed].sum() > _MOST * (kept * energy).sum():  # not a faint mark all over the image
            kept = changed.astype(np.float64)
    opacity = opacity * (kept > 0)
    return opacity, kept[..., None] * added + opacity[..., None] * base


def _moments(pixels: Pixels, weights: Floats) -> tuple[Floats, Floats, float]:
    """Weighted mean and variance of each value [height, width, channels], and the sum of the weights."""
    chosen, total = np.flatnonzero(weights > 0.01), 0.0
    first, second = np.zeros(pixels.shape[1:]), np.zeros(pixels.shape[1:])
    for start in range(0, len(chosen), _CHUNK):
        index = chosen[start : start + _CHUNK]
        values = pixels[index].astype(np.float64)
        first += np.tensordot(weights[index], values, 1)
        second += np.tensordot(weights[index], values**2, 1)
        total += float(weights[index].sum())
    mean = first / total
    return mean, np.maximum(second / total - mean**2, 0), total


def _wiener(energy: Floats, chance: Floats) -> Floats:
    """The share of a difference that is no chance, [height, width]: 1 − chance / energy over the neighbours, at least 0."""
    sums = [_neighbours(each.sum(axis=2)) for each in (energy, chance)]
    return np.asarray(np.clip(1 - sums[1] / np.maximum(sums[0], 1e-9), 0, 1))


def _neighbours(values: Floats) -> Floats:
    """The sum over each pixel and its eight neighbours."""
    wide = np.pad(values, 1)
    height, width = values.shape
    return np.asarray(sum(wide[i : i + height, j : j + width] for i in range(3) for j in range(3)))


def _grown(start: NDArray[np.bool_], within: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of `within` that are connected with `start`."""
    found = start
    while True:
        wider = (_neighbours(found.astype(np.float64)) > 0) & within
        if (wider == found).all():
            return found
        found = wider
