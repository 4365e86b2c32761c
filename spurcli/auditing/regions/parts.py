"""Do the amounts of a contrast fall into two parts: images without a mark, where the other classes lie, and images with it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_STARTS = (0.04, 0.25, 0.8)
_FREEDOM = (3, 5, 10, 30, 1000)  # degrees of freedom of the single heap
_STEPS, _ITERATIONS, _RETAILED = 10, 40, 8
_FADED = 3.0  # degrees of freedom of images with the mark: in dark or bright images it is clipped, and only a part of it is left
_FREE = 2.5  # the variance of images without the mark, compared with that of the other classes, at most or at least
_FAR = 4.0  # spreads from the other classes
_LEAST_GAIN = 10.0
_LEAST_SEPARATION = 2.0  # in spreads: two normal distributions nearer than this have one peak
_MOST_DOUBT = 0.2  # on the tuning seeds, marks have at most .1 and content at least .36
_LEAST_SAMPLES = 10  # on either side
_MOST_OFF = 0.3  # of the distance of both parts: the images without the mark lie where the other classes lie


@dataclass(frozen=True)
class Noise:
    """How images without the mark vary: of each series the scale of a t-distribution, squared, and its degrees of freedom, float64 [k]."""

    variance: Floats
    freedom: Floats


@dataclass(frozen=True)
class Parts:
    """For each series of amounts: whether they fall into images without the mark, near 0, and images with it.

    `gain` is twice the log-likelihood ratio of two t-distributions to one, less the
    penalty of BIC for three more parameters. `low` and `high` are the means, `spread` the scale of those with the mark:
    an addition is clipped in bright or dark images. Where `is_own`, each image has its own variance by its texture, and variances are those of
    an image of `typical` precision.
    """

    gain: Floats
    share: Floats
    low: Floats
    high: Floats
    noise: Noise
    spread: Floats
    is_own: NDArray[np.bool_]
    typical: Floats
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
        fits = (np.abs(self.low) < _MOST_OFF * self.high) & (count >= _LEAST_SAMPLES) & (self.gain > _LEAST_GAIN)
        return np.asarray(np.where(fits, self.gain / size, -1.0))

    def of(self, k: int, amount: Floats) -> Floats:
        """The probability that further images have the mark, float64 [n], by series k of their amounts float64 [2, k, n]."""
        fitted = (self.noise.variance, self.noise.freedom, self.share, self.low, self.high, self.spread**2)
        narrow, freedom, share, low, high, wide = (each[k : k + 1] for each in fitted)
        own = amount[1][k : k + 1] / self.typical[k] if self.is_own[k] else np.ones((1, amount.shape[2]))
        first, second = _sides(amount[0][k : k + 1], own, narrow, freedom, share, low, high, wide)
        return np.asarray(_beyond(amount[0][k : k + 1], low, high, np.exp(first - np.logaddexp(first, second)))[0])


def parts_of(amount: Floats, others: Floats) -> Parts:
    """The fit of each series to amounts of a class and of the other classes, float64 [2, k, n].

    Once with the variance of each image by its texture, and once with the same variance for all: a faint mark is clear in images
    of little texture, but a strong one raises the texture itself. The view with the larger gain is taken.
    """
    typical = np.median(others[1], axis=1)
    views = []
    for is_own in (True, False):
        mine, theirs = (each[1] / typical[:, None] if is_own else np.ones_like(each[0]) for each in (amount, others))
        noise = Noise(*_student(others[0], theirs)[1:])
        views.append(_fitted(amount[0], mine, noise))
    better = views[0][0] > views[1][0]
    found = [
        np.where(better[:, None] if one.ndim == 2 else better, one, other) for one, other in zip(*views, strict=True)
    ]
    gain, share, low, high, narrow, freedom, wide, upper = found
    return Parts(gain, share, low, high, Noise(narrow, freedom), np.sqrt(wide), better, typical, upper)


def _fitted(amount: Floats, precision: Floats, noise: Noise) -> tuple[Floats, ...]:
    """The likeliest mixture of each series from several starts; first its gain over a single t-distribution."""
    place = np.argsort(np.argsort(-amount, axis=1, kind="stable"), axis=1)
    best: tuple[Floats, ...] | None = None
    starts = [place < max(3, round(share * amount.shape[1])) for share in _STARTS]
    for start in (*starts, amount > _FAR * np.sqrt(noise.variance)[:, None]):
        found = _mixture(amount, precision, noise, np.where(start, 0.99, 0.01))
        if best is None:
            best = found
            continue
        better = found[0] > best[0]
        best = tuple(
            np.where(better[:, None] if new.ndim == 2 else better, new, old)
            for new, old in zip(found, best, strict=True)
        )
    assert best is not None
    gain = 2 * (best[0] - _student(amount, precision)[0]) - 3 * np.log(amount.shape[1])
    return (gain, *best[1:])


def _mixture(amount: Floats, precision: Floats, noise: Noise, upper: Floats) -> tuple[Floats, ...]:
    """EM of two distributions: log-likelihood (−∞ if high lies nearer to the other classes), share, low, high, variance and
    degrees of freedom of low, variance of high, and who is high.
    """
    freedom, narrow, usual, clear = noise.freedom, noise.variance, np.ones_like(amount), np.ones_like(amount)
    for number in range(_ITERATIONS):
        total, rest = np.maximum(upper.sum(axis=1), 1e-9), np.maximum((1 - upper).sum(axis=1), 1e-9)
        light, heavy = (1 - upper) * usual * precision, upper * clear * precision
        low, high = ((each * amount).sum(axis=1) / np.maximum(each.sum(axis=1), 1e-12) for each in (light, heavy))
        # a class may vary a little more or less than the other classes
        narrow = (light * (amount - low[:, None]) ** 2).sum(axis=1) / rest
        narrow = np.clip(narrow, noise.variance / _FREE, noise.variance * _FREE)
        wide = np.maximum((heavy * (amount - high[:, None]) ** 2).sum(axis=1) / total, narrow)
        share = np.clip(upper.mean(axis=1), 1e-3, 1 - 1e-3)
        if number % _RETAILED == _RETAILED - 1:
            freedom = _tails(amount, precision, narrow, share, low, high, wide)
        first, second = _sides(amount, precision, narrow, freedom, share, low, high, wide)
        either = np.logaddexp(first, second)
        upper = np.exp(first - either)
        tails = freedom[:, None]
        usual = (tails + 1) / (tails + (amount - low[:, None]) ** 2 * precision / narrow[:, None])
        clear = (_FADED + 1) / (_FADED + (amount - high[:, None]) ** 2 * precision / wide[:, None])
    likelihood = np.where(np.abs(low) < np.abs(high), either.sum(axis=1), -np.inf)
    return likelihood, share, low, high, narrow, freedom, wide, _beyond(amount, low, high, upper)


def _tails(
    amount: Floats, precision: Floats, narrow: Floats, share: Floats, low: Floats, high: Floats, wide: Floats
) -> Floats:
    """The likeliest degrees of freedom of the images without the mark, float64 [k]."""
    size = len(amount)
    likelihood = [
        np.logaddexp(*_sides(amount, precision, narrow, np.full(size, float(each)), share, low, high, wide)).sum(axis=1)
        for each in _FREEDOM
    ]
    return np.asarray(np.array(_FREEDOM, dtype=np.float64)[np.argmax(likelihood, axis=0)])


def _sides(
    amount: Floats,
    precision: Floats,
    narrow: Floats,
    freedom: Floats,
    share: Floats,
    low: Floats,
    high: Floats,
    wide: Floats,
) -> tuple[Floats, Floats]:
    """The log-densities of high and low, weighted by their shares, float64 [k, n]."""
    first = _log_student(amount, high[:, None], wide[:, None] / precision, _FADED)
    second = _log_student(amount, low[:, None], narrow[:, None] / precision, freedom[:, None])
    return first + np.log(share)[:, None], second + np.log1p(-share)[:, None]


def _beyond(amount: Floats, low: Floats, high: Floats, upper: Floats) -> Floats:
    """`upper` float64 [k, n], but a wide part does not claim both tails: what lies beyond the mean of one side belongs to it."""
    sign = np.sign(high - low)[:, None]
    upper = np.where(sign * amount < sign * low[:, None], 0.0, upper)
    return np.where(sign * amount > sign * high[:, None], 1.0, upper)


def _student(amount: Floats, precision: Floats) -> tuple[Floats, Floats, Floats]:
    """The likeliest t-distribution of each series: log-likelihood, scale squared and degrees of freedom, float64 [k]. Content has wide tails."""
    best = np.full((3, len(amount)), -np.inf)
    for freedom in _FREEDOM:
        weight = precision
        for _ in range(_STEPS):
            middle = (weight * amount).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
            scale = (weight * (amount - middle) ** 2).mean(axis=1, keepdims=True) + 1e-9
            weight = (freedom + 1) / (freedom + (amount - middle) ** 2 * precision / scale) * precision
        likelihood = _log_student(amount, middle, scale / precision, freedom).sum(axis=1)
        found = np.stack([likelihood, scale[:, 0], np.full(len(amount), float(freedom))])
        best = np.where(likelihood > best[0], found, best)
    return best[0], best[1], best[2]


def _log_student(values: Floats, mean: Floats, variance: Floats, freedom: Floats | float) -> Floats:
    from scipy.special import gammaln

    constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * np.log(freedom * np.pi)
    return np.asarray(
        constant - 0.5 * np.log(variance) - (freedom + 1) / 2 * np.log1p((values - mean) ** 2 / (freedom * variance))
    )
