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
_STRONGEST = (0.002, 0.005, 0.02, 0.05, 0.1)  # shares of the values, by their contrast
_STARTS = (0.04, 0.25, 0.8)
_FREEDOM = (3, 5, 10, 30, 1000)  # degrees of freedom of the single heap
_STEPS, _ITERATIONS, _RETAILED = 10, 40, 8
_FREE = 2.5  # the variance of images without the mark, compared with that of the other classes, at most or at least
_FAR = 4.0  # spreads from the other classes
LEAST_GAIN = 10.0
_LEAST_SEPARATION = 2.0  # in spreads: two normal distributions nearer than this have one peak
_MOST_DOUBT = 0.2  # on the tuning seeds, marks have at most .1 and content at least .36
_LEAST_SAMPLES = 10  # on either side
_MOST_OFF = 0.3  # of the distance of both parts: the images without the mark lie where the other classes lie


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

    `masks` float32 [k, d] are the parts of an image in which the contrast is measured, 0 or 1.
    """

    difference: Singles
    base: Singles
    masks: Singles

    @classmethod
    def of(cls, y: int, sums: Mapping[int, Sums]) -> Contrast:
        differences, bases = [], []
        for fold in (*range(FOLDS), None):
            base = np.mean([one.mean(fold) for k, one in sums.items() if k != y], axis=0)
            differences.append(sums[y].mean(fold) - base)
            bases.append(base)
        return cls(
            np.stack(differences).astype(np.float32), np.stack(bases).astype(np.float32), _masks(differences[-1])
        )

    def sharpened(self, carriers: Sums) -> Contrast:
        """The contrast of the carriers in place of the class: where they are few, the mean of the class hardly shows what they have."""
        difference = np.stack([carriers.mean(fold) for fold in (*range(FOLDS), None)]) - self.base
        return Contrast(difference.astype(np.float32), self.base, _masks(difference[-1].astype(np.float64)))

    def amounts(self, values: Singles, weights: Singles, fold: NDArray[np.int64] | None = None) -> Floats:
        """How much of the contrast each image has in each part, float64 [k, n].

        Weighted least squares: 0 for what the other classes have on average, 1 for the mean of the class. With
        `fold` int [n], by the contrast without the image's fold.
        """
        amount = np.empty((len(self.masks), len(values)))
        place = np.full(len(values), FOLDS) if fold is None else fold
        for k in np.unique(place).tolist():
            chosen = place == k
            apart, weight = self.difference[k], weights[chosen]
            shown = ((values[chosen] - self.base[k]) * weight * apart).reshape(len(weight), -1) @ self.masks.T
            full = (weight * apart**2).reshape(len(weight), -1) @ self.masks.T
            amount[:, chosen] = (shown / np.maximum(full, 1e-9)).T
        return amount

    def place(self, k: int, reach: int) -> NDArray[np.bool_]:
        """The pixels [height, width] of part k, and for the strongest values those within reach of them."""
        mask = self.masks[k].reshape(self.base.shape[1:]).any(axis=2)
        if k < len(self.masks) - len(_STRONGEST):
            return np.asarray(mask)
        wide = np.pad(mask, reach)
        height, width = mask.shape
        shifts = range(2 * reach + 1)
        return np.asarray(np.any([wide[i : i + height, j : j + width] for i in shifts for j in shifts], axis=0))


@dataclass(frozen=True)
class Noise:
    """How images without the mark vary: of each series the scale of a t-distribution, squared, and its degrees of freedom, float64 [k]."""

    variance: Floats
    freedom: Floats


@dataclass(frozen=True)
class Parts:
    """For each series of amounts: whether they fall into images without the mark, near 0, and images with it.

    `gain` is twice the log-likelihood ratio of a t-distribution and a normal one (with the mark) to one t-distribution, less the
    penalty of BIC for three more parameters. `low` and `high` are the means, `spread` the standard deviation of those with the mark:
    an addition is clipped in bright or dark images.
    """

    gain: Floats
    share: Floats
    low: Floats
    high: Floats
    noise: Noise
    spread: Floats
    upper: Floats

    @property
    def separation(self) -> Floats:
        """Distance of the parts, in units of their mean spread."""
        return np.asarray(np.abs(self.high - self.low) / ((np.sqrt(self.noise.variance) + self.spread) / 2))

    @property
    def doubt(self) -> Floats:
        """How many images are expected on the wrong side, as a share of the smaller part."""
        wrong = 2 * np.minimum(self.upper, 1 - self.upper).sum(axis=1)
        return np.asarray(wrong / np.maximum(np.minimum(self.upper.sum(axis=1), (1 - self.upper).sum(axis=1)), 1e-9))

    @property
    def strength(self) -> Floats:
        """The gain per image; −1 where the parts are not those of a mark."""
        return np.where((self.doubt < _MOST_DOUBT) & (self.separation > _LEAST_SEPARATION), self.promise, -1.0)

    @property
    def promise(self) -> Floats:
        """The gain per image, also where many images are in doubt; −1 if the images without the mark do not lie where the other classes lie."""
        size = self.upper.shape[1]
        count = np.minimum(self.upper.sum(axis=1), (1 - self.upper).sum(axis=1))
        fits = (np.abs(self.low) < _MOST_OFF * self.high) & (count >= _LEAST_SAMPLES) & (self.gain > LEAST_GAIN)
        return np.asarray(np.where(fits, self.gain / size, -1.0))

    def of(self, k: int, amount: Floats) -> Floats:
        """The probability that further images have the mark, float64 [n], by series k."""
        fitted = (self.noise.variance, self.noise.freedom, self.share, self.low, self.high, self.spread**2)
        narrow, freedom, share, low, high, wide = (each[k : k + 1] for each in fitted)
        first, second = _sides(amount[None], narrow, freedom, share, low, high, wide)
        return np.asarray(_beyond(amount[None], low, high, np.exp(first - np.logaddexp(first, second)))[0])


def noise_of(amount: Floats) -> Noise:
    """From amounts float64 [k, n] of images of the other classes."""
    return Noise(*_student(amount)[1:])


def parts_of(amount: Floats, noise: Noise) -> Parts:
    """The fit of each series, of amounts float64 [k, n] and the noise of the other classes."""
    place = np.argsort(np.argsort(-amount, axis=1, kind="stable"), axis=1)
    best: tuple[Floats, ...] | None = None
    starts = [place < max(3, round(share * amount.shape[1])) for share in _STARTS]
    for start in (*starts, amount > _FAR * np.sqrt(noise.variance)[:, None]):
        found = _mixture(amount, noise, np.where(start, 0.99, 0.01))
        if best is None:
            best = found
            continue
        better = found[0] > best[0]
        best = tuple(
            np.where(better[:, None] if new.ndim == 2 else better, new, old)
            for new, old in zip(found, best, strict=True)
        )
    assert best is not None
    likelihood, share, low, high, narrow, freedom, wide, upper = best
    gain = 2 * (likelihood - _student(amount)[0]) - 3 * np.log(amount.shape[1])
    return Parts(gain, share, low, high, Noise(narrow, freedom), np.sqrt(wide), upper)


def _mixture(amount: Floats, noise: Noise, upper: Floats) -> tuple[Floats, ...]:
    """EM of two distributions: log-likelihood (−∞ if high lies nearer to the other classes), share, low, high, variance and
    degrees of freedom of low, variance of high, and who is high.
    """
    freedom, narrow, usual = noise.freedom, noise.variance, np.ones_like(amount)
    for number in range(_ITERATIONS):
        total, rest = np.maximum(upper.sum(axis=1), 1e-9), np.maximum((1 - upper).sum(axis=1), 1e-9)
        light = (1 - upper) * usual
        low = (light * amount).sum(axis=1) / np.maximum(light.sum(axis=1), 1e-12)
        high = (upper * amount).sum(axis=1) / total
        # a class may vary a little more or less than the other classes
        narrow = (light * (amount - low[:, None]) ** 2).sum(axis=1) / rest
        narrow = np.clip(narrow, noise.variance / _FREE, noise.variance * _FREE)
        wide = np.maximum((upper * (amount - high[:, None]) ** 2).sum(axis=1) / total, narrow)
        share = np.clip(upper.mean(axis=1), 1e-3, 1 - 1e-3)
        if number % _RETAILED == _RETAILED - 1:
            freedom = _tails(amount, narrow, share, low, high, wide)
        first, second = _sides(amount, narrow, freedom, share, low, high, wide)
        either = np.logaddexp(first, second)
        upper = np.exp(first - either)
        tails = freedom[:, None]
        usual = (tails + 1) / (tails + (amount - low[:, None]) ** 2 / narrow[:, None])
    likelihood = np.where(np.abs(low) < np.abs(high), either.sum(axis=1), -np.inf)
    return likelihood, share, low, high, narrow, freedom, wide, _beyond(amount, low, high, upper)


def _tails(amount: Floats, narrow: Floats, share: Floats, low: Floats, high: Floats, wide: Floats) -> Floats:
    """The likeliest degrees of freedom of the images without the mark, float64 [k]."""
    size = len(amount)
    likelihood = [
        np.logaddexp(*_sides(amount, narrow, np.full(size, float(each)), share, low, high, wide)).sum(axis=1)
        for each in _FREEDOM
    ]
    return np.asarray(np.array(_FREEDOM, dtype=np.float64)[np.argmax(likelihood, axis=0)])


def _sides(
    amount: Floats, narrow: Floats, freedom: Floats, share: Floats, low: Floats, high: Floats, wide: Floats
) -> tuple[Floats, Floats]:
    """The log-densities of high and low, weighted by their shares, float64 [k, n]."""
    first = -0.5 * (amount - high[:, None]) ** 2 / wide[:, None] - 0.5 * np.log(2 * np.pi * wide)[:, None]
    second = _log_student(amount, low[:, None], narrow[:, None], freedom[:, None])
    return first + np.log(share)[:, None], second + np.log1p(-share)[:, None]


def _beyond(amount: Floats, low: Floats, high: Floats, upper: Floats) -> Floats:
    """`upper` float64 [k, n], but a wide part does not claim both tails: what lies beyond the mean of one side belongs to it."""
    sign = np.sign(high - low)[:, None]
    upper = np.where(sign * amount < sign * low[:, None], 0.0, upper)
    return np.where(sign * amount > sign * high[:, None], 1.0, upper)


def _student(amount: Floats) -> tuple[Floats, Floats, Floats]:
    """The likeliest t-distribution of each series: log-likelihood, scale squared and degrees of freedom, float64 [k]. Content has wide tails."""
    best = np.full((3, len(amount)), -np.inf)
    for freedom in _FREEDOM:
        weight = np.ones_like(amount)
        for _ in range(_STEPS):
            middle = (weight * amount).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
            scale = (weight * (amount - middle) ** 2).mean(axis=1, keepdims=True) + 1e-9
            weight = (freedom + 1) / (freedom + (amount - middle) ** 2 / scale)
        likelihood = _log_student(amount, middle, scale, freedom).sum(axis=1)
        found = np.stack([likelihood, scale[:, 0], np.full(len(amount), float(freedom))])
        best = np.where(likelihood > best[0], found, best)
    return best[0], best[1], best[2]


def _log_student(values: Floats, mean: Floats, variance: Floats, freedom: Floats | float) -> Floats:
    from scipy.special import gammaln

    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    return np.asarray(
        constant - 0.5 * np.log(variance) - (freedom + 1) / 2 * np.log1p((values - mean) ** 2 / (freedom * variance))
    )


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
