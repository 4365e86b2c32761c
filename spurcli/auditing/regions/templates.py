"""What the regions of the strongest donors have in common: a direction in the region's pixels, and the projection of each sample on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_MOST_VALUES = 256  # of a region; larger ones are averaged over small squares
_SHRINKAGE = 0.3
_SHARES = (0.03, 0.1, 0.3, 0.8)  # of the donors, that may carry
_FOLDS = 4


def values_of(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Floats:
    """The region's pixels as rows, float64 [n, values]; of large regions averaged over squares until they are few enough."""
    side = 1
    height, width, channels = pixels.shape[1:]
    while int(mask[::side, ::side].sum()) * channels > _MOST_VALUES and side < min(height, width):
        side += 1
    if side == 1:
        return np.asarray(pixels[:, mask].reshape(len(pixels), -1), dtype=np.float64)
    tall, wide = -(-height // side), -(-width // side)
    padded = np.zeros((len(pixels), tall * side, wide * side, channels), dtype=np.float32)
    padded[:, :height, :width] = np.where(mask[None, :, :, None], pixels, 0)
    inside = np.zeros((tall * side, wide * side), dtype=np.float32)
    inside[:height, :width] = mask
    sums = padded.reshape(len(pixels), tall, side, wide, side, channels).sum(axis=(2, 4))
    counts = inside.reshape(tall, side, wide, side).sum(axis=(1, 3))
    there = counts > 0
    return np.asarray((sums[:, there] / counts[there][None, :, None]).reshape(len(pixels), -1), dtype=np.float64)


@dataclass(frozen=True)
class Whitening:
    """Makes the pixels of a region uncorrelated with variance one over some samples, small variances shrunk."""

    centre: Floats
    matrix: Floats

    @classmethod
    def of(cls, values: Floats) -> Whitening:
        centre = values.mean(axis=0)
        covariance = np.cov(values - centre, rowvar=False, bias=True).reshape(values.shape[1], values.shape[1])
        floor = _SHRINKAGE * float(np.trace(covariance)) / len(covariance) + 1e-9
        eigenvalues, vectors = np.linalg.eigh(covariance)
        return cls(centre, vectors / np.sqrt(np.maximum(eigenvalues, 0) + floor))

    def __call__(self, values: Floats) -> Floats:
        return np.asarray((values - self.centre) @ self.matrix)


def tops(push: Floats) -> Floats:
    """Possible carriers: those with the highest push, for some shares of all; 0 or 1, [shares, n]."""
    place = np.argsort(np.argsort(-push, kind="stable"))
    return np.asarray([place < max(3, round(share * len(push))) for share in _SHARES], dtype=np.float64)


def templates(white: Floats, weights: Floats) -> Floats:
    """Directions of length one, float64 [k, values]: mean by each of `weights` [k, n] in [0, 1], less that of the others."""
    total, rest = weights.sum(axis=1, keepdims=True), (1 - weights).sum(axis=1, keepdims=True)
    found = weights @ white / np.maximum(total, 1e-9) - (1 - weights) @ white / np.maximum(rest, 1e-9)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9))


def along(white: Floats, directions: Floats) -> Floats:
    """How far each sample goes along each direction, float64 [k, n]."""
    return np.asarray(directions @ white.T)


def crossed(values: Floats, weights: Floats) -> Floats:
    """How far each sample goes along the templates of the other folds, float64 [k, n]: no sample contributes to its own."""
    white = Whitening.of(values)(values)
    found = np.zeros((len(weights), len(values)))
    fold = np.arange(len(values)) % _FOLDS
    for k in range(_FOLDS):
        directions = templates(white[fold != k], weights[:, fold != k])
        found[:, fold == k] = along(white[fold == k], directions)
    return found
