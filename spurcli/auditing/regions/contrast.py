"""What the images of a class have more of than those of the other classes, where content is taken away.

If nearly all images of a class have a mark, the few without it are too few to estimate a direction from. But the mean of the class then
contains the mark, and the means of the other classes do not. Their difference also contains content. Content is smooth: the
neighbours of a pixel nearly tell its value. So images are whitened by the neighbourhood of each pixel (the nearest
linear transform with uncorrelated values, ZCA, of a small window). The content of a mean nearly vanishes, the edges
of a mark remain. Where an image has much texture, it counts less: a smooth
scene shows a faint mark clearly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.shapes import coarse

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
MOST_VALUES = 12_288  # of an image: 64×64 in colour; larger ones are averaged over squares
FOLDS = 4
_REACH = 3  # pixels around a pixel that tell its content
_WINDOWS = 50_000
_LEAST_PER_VALUE = 4  # images for each value, from which all values together are whitened instead of small windows
_RIDGE = 1e-4  # of the mean variance, in windows
_SHRINKAGE = 0.05  # of the mean variance, in whole images
_TEXTURE = 2  # pixels around a pixel that tell the texture of an image there
_EVEN = 2.0  # added to the local variance, whose mean is 1: a perfectly flat part of an image has no infinite weight
_STRONGEST = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)  # shares of the values, by their contrast


@dataclass(frozen=True)
class Whitening:
    """Images float32 [n, height, width, channels] → values of the same shape with mean square 1, and their weights.

    `kernel` float32 [channels, channels, k, k] for windows, or `matrix` float32 [d, d] for whole images, if there are enough of them.
    """

    centre: Singles
    kernel: Singles | None = None
    matrix: Singles | None = None

    @classmethod
    def of(cls, images: Singles, label: NDArray[np.int64], seed: int = 0) -> Whitening:
        """From images of several classes, about the mean of each."""
        means = {y: images[label == y].mean(axis=0) for y in np.unique(label).tolist()}
        centre: Singles = np.asarray(np.mean(list(means.values()), axis=0), dtype=np.float32)
        residual = images - np.stack([means[y] for y in label.tolist()])
        if len(images) >= _LEAST_PER_VALUE * centre.size:
            flat = residual.reshape(len(residual), -1).astype(np.float64)
            return cls(centre, matrix=_inverse_root(flat.T @ flat / len(flat), _SHRINKAGE).astype(np.float32))
        windows, middle = _windows(residual, seed)
        root = _inverse_root(windows.T @ windows / len(windows), _RIDGE)[middle]
        side, channels = 2 * _REACH + 1, centre.shape[2]
        kernel = root.reshape(channels, channels, side, side).astype(np.float32)
        found = cls(centre, kernel=kernel)
        size = float(np.sqrt(np.mean(found._values(residual) ** 2)))
        return cls(centre, kernel=kernel / np.float32(max(size, 1e-9)))

    def __call__(self, images: Singles) -> tuple[Singles, Singles]:
        """Values, and weights [n, height, width, 1]: smaller where an image has much texture."""
        values = self._values(images - self.centre)
        if self.kernel is None:
            return values, np.ones((*values.shape[:3], 1), dtype=np.float32)
        return values, np.asarray(1 / (_EVEN + _local_mean((values**2).mean(axis=3)))[..., None], dtype=np.float32)

    @property
    def reach(self) -> int:
        """How many pixels around a mark its values can lie."""
        return 0 if self.kernel is None else _REACH

    def _values(self, residual: Singles) -> Singles:
        if self.matrix is not None:
            return np.asarray((residual.reshape(len(residual), -1) @ self.matrix).reshape(residual.shape))
        import torch
        from torch.nn.functional import conv2d, pad

        assert self.kernel is not None
        image = torch.from_numpy(np.ascontiguousarray(residual.transpose(0, 3, 1, 2)))
        found = conv2d(pad(image, (_REACH,) * 4, mode="replicate"), torch.from_numpy(self.kernel))
        return np.ascontiguousarray(found.numpy().transpose(0, 2, 3, 1))


@dataclass(frozen=True)
class Sums:
    """Of the values of one class: weighted sums and weights by fold, float64 [folds, height, width, channels]."""

    value: Floats
    weight: Floats

    @classmethod
    def of(cls, values: Singles, weights: Singles, fold: NDArray[np.int64]) -> Sums:
        weighted = values * weights
        parts = [(weighted[fold == k].sum(axis=0), weights[fold == k].sum(axis=0)) for k in range(FOLDS)]
        sums, total = (np.stack(each).astype(np.float64) for each in zip(*parts, strict=True))
        return cls(sums, total)

    def mean(self, without: int | None) -> Floats:
        """The weighted mean, without one of the folds: of an image that may not contribute to its own contrast."""
        kept = [k for k in range(FOLDS) if k != without]
        return np.asarray(self.value[kept].sum(axis=0) / np.maximum(self.weight[kept].sum(axis=0), 1e-9))


@dataclass(frozen=True)
class Contrast:
    """Of one class: by fold left out, and last without leaving one out, `difference` and `base` float32 [folds + 1, height, width, channels].

    `masks` float32 [k, d] are the parts of an image in which the contrast is measured, 0 or 1: `num_regions` regions, then the strongest values.
    """

    difference: Singles
    base: Singles
    masks: Singles
    num_regions: int

    @classmethod
    def of(cls, y: int, sums: Mapping[int, Sums]) -> Contrast:
        differences, bases = [], []
        for fold in (*range(FOLDS), None):
            base = np.mean([one.mean(fold) for k, one in sums.items() if k != y], axis=0)
            differences.append(sums[y].mean(fold) - base)
            bases.append(base)
        masks = _masks(differences[-1])
        parts = [np.stack(each).astype(np.float32) for each in (differences, bases)]
        return cls(parts[0], parts[1], masks, len(masks) - len(_STRONGEST))

    def sharpened(self, k: int, carriers: Sums) -> Contrast:
        """Part k of the contrast of likely carriers in place of the class: if they are few, the mean of the class hardly shows what they have."""
        difference = np.stack([carriers.mean(fold) for fold in (*range(FOLDS), None)]) - self.base
        is_region = int(k < self.num_regions)
        return Contrast(difference.astype(np.float32), self.base, self.masks[k : k + 1], is_region)

    def amounts(self, values: Singles, weights: Singles, fold: NDArray[np.int64] | None = None) -> Floats:
        """How much of the contrast each image has in each part, and how precisely it is known, float64 [2, k, n].

        Weighted least squares: 0 for what the other classes have on average, 1 for the mean of the class. With
        `fold` int [n], by the contrast without the image's fold. An image of little texture is known precisely.
        """
        amount = np.empty((2, len(self.masks), len(values)))
        place = np.full(len(values), FOLDS) if fold is None else fold
        for k in np.unique(place).tolist():
            chosen = place == k
            apart, weight = self.difference[k], weights[chosen]
            shown = ((values[chosen] - self.base[k]) * weight * apart).reshape(len(weight), -1) @ self.masks.T
            full = (weight * apart**2).reshape(len(weight), -1) @ self.masks.T
            full = np.maximum(full, 1e-9).astype(np.float64)
            amount[0][:, chosen], amount[1][:, chosen] = (shown / full).T, full.T
        return amount

    def place(self, k: int, reach: int) -> NDArray[np.bool_]:
        """The pixels [height, width] of part k, and for the strongest values those within reach of them."""
        mask = self.masks[k].reshape(self.base.shape[1:]).any(axis=2)
        if k < self.num_regions:
            return np.asarray(mask)
        wide = np.pad(mask, reach)
        height, width = mask.shape
        shifts = range(2 * reach + 1)
        return np.asarray(np.any([wide[i : i + height, j : j + width] for i in shifts for j in shifts], axis=0))


def _masks(difference: Floats) -> Singles:
    """The whole image, regions of it, and the values of the strongest contrast, the last `_STRONGEST`: float32 [k, d]."""
    height, width, _ = difference.shape
    places = [np.ones((height, width), dtype=bool), *(region.mask for region in coarse(height, width))]
    places += _grid(height, width, 2) + _grid(height, width, 3)
    size = np.abs(difference)
    strongest = [size >= np.quantile(size, 1 - share) for share in _STRONGEST]
    masks = [np.broadcast_to(mask[..., None], difference.shape) for mask in places] + strongest
    return np.stack([mask.ravel() for mask in masks]).astype(np.float32)


def _grid(height: int, width: int, parts: int) -> list[NDArray[np.bool_]]:
    """Halves or thirds of the rows times those of the columns."""
    row, column = (np.arange(size) * parts // size for size in (height, width))
    return [(row[:, None] == i) & (column[None] == j) for i in range(parts) for j in range(parts)]


def _inverse_root(covariance: Floats, ridge: float) -> Floats:
    variance, vectors = np.linalg.eigh(covariance)
    variance = np.maximum(variance, 0) + ridge * max(float(variance.mean()), 1e-9)
    return np.asarray((vectors / np.sqrt(variance)) @ vectors.T)


def _windows(residual: Singles, seed: int) -> tuple[Floats, Sequence[int]]:
    """Random windows of the images, float64 [m, channels·k·k], and which of their values are the middle pixel."""
    side, (count, height, width, channels) = 2 * _REACH + 1, residual.shape
    if min(height, width) < side:
        more = [(0, max(0, side - size)) for size in (height, width)]
        residual = np.pad(residual, ((0, 0), *more, (0, 0)), mode="edge")
        count, height, width, channels = residual.shape
    views = np.lib.stride_tricks.sliding_window_view(residual, (side, side), axis=(1, 2))
    rng = np.random.default_rng(seed)
    index, top, left = (rng.integers(size, size=_WINDOWS) for size in (count, height - side + 1, width - side + 1))
    windows = views[index, top, left].reshape(_WINDOWS, -1).astype(np.float64)
    return windows, [channel * side**2 + side**2 // 2 for channel in range(channels)]


def _local_mean(square: Singles) -> Singles:
    """The mean over the neighbourhood of each pixel, float32 [n, height, width]."""
    import torch
    from torch.nn.functional import avg_pool2d, pad

    wide = pad(torch.from_numpy(np.ascontiguousarray(square))[:, None], (_TEXTURE,) * 4, mode="replicate")
    return np.asarray(avg_pool2d(wide, 2 * _TEXTURE + 1, stride=1)[:, 0].numpy())
