"""Carriers compared with the other samples of their classes: does the feature go with a higher L, and is this more than difficulty?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.evaluation.reliance import margin
from spurcli.student import two_sided_p

MIN_CARRIERS = 5  # in a class, to count as one that can be compared within
_LARGEST = 30.0  # z of a p-value of zero

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Push:
    """z of carriers against others: within the feature's class, and within the other classes. None where there is nothing to compare.

    `adjusted` is true if `outside` is at equal difficulty.
    """

    inside: float | None
    outside: float | None
    adjusted: bool

    @property
    def z(self) -> float | None:
        """The z that decides: the smaller one of `outside` and of both together, or of both sides where difficulty is not known.

        A property of easy or hard samples moves the two sides in opposite directions. At equal difficulty the outside is not moved,
        so the inside only has to agree with it.
        """
        if self.inside is None or self.outside is None:
            return self.inside if self.outside is None else self.outside
        if not self.adjusted:
            return min(self.inside, self.outside)
        return min(self.outside, self.together or 0.0)

    @property
    def together(self) -> float | None:
        if self.inside is None or self.outside is None:
            return None
        return (self.inside + self.outside) / math.sqrt(2)


def push_of_groups(logits: NDArray[np.floating[Any]], label: Integers, mine: Bools, chosen: Bools, y: int) -> Push:
    """The push towards class `y` of carriers `mine` among the `chosen` samples (bool [n]); logits [n, classes], label int64 [n]."""
    low = margin(logits, [y])
    inside = push_within(low, label, mine, chosen & (label == y))
    others = chosen & (label != y)
    if logits.shape[1] < 3:
        return Push(inside, push_within(low, label, mine, others), adjusted=False)
    return Push(inside, _outside(np.asarray(logits, dtype=np.float64), label, mine, others, y), adjusted=True)


def _outside(logits: Floats, label: Integers, mine: Bools, chosen: Bools, y: int) -> float | None:
    """z of carriers against others within the other classes, at equal difficulty; all classes with a carrier count.

    Difficulty is how far the logit of the sample's own class is above that of the third classes: the feature of `y` does not
    change it. L falls with it, by a slope from the others alone. Carriers of all classes have one variance, as a class may have few.
    """
    total = weight = variance = squares = 0.0
    freedom = 0
    for t in np.unique(label[chosen]).tolist():
        here = chosen & (label == t)
        with_it, without = here & mine, here & ~mine
        size, rest = int(with_it.sum()), int(without.sum())
        if not size or rest < 2 * MIN_CARRIERS:
            continue
        third = np.delete(logits, [t, y], axis=1).mean(axis=1)
        clear, push = logits[:, t] - third, logits[:, y] - third
        spread = float(clear[without].var())
        slope = float(np.cov(push[without], clear[without], bias=True)[0, 1]) / spread if spread > 0 else 0.0
        left = push - slope * clear
        total += size * float(left[with_it].mean() - left[without].mean())
        variance += size**2 * float(left[without].var(ddof=2)) / rest
        squares += float(((left[with_it] - left[with_it].mean()) ** 2).sum())
        freedom += size - 1
        weight += size
    if weight < MIN_CARRIERS or freedom < 2 or not squares + variance > 0:
        return None
    variance += weight * squares / freedom  # the sum over classes of size² · (spread of carriers) / size
    p = two_sided_p(total / math.sqrt(variance), freedom) / 2
    z = -NormalDist().inv_cdf(p) if p > 0 else _LARGEST
    return math.copysign(z, total)


def push_within(low: Floats, label: Integers, mine: Bools, chosen: Bools) -> float | None:
    """z of the mean of `low` of carriers less that of the others, within the classes of `chosen`, weighted by carriers.

    None where no class has `MIN_CARRIERS` samples both with and without the feature.
    """
    total, variance, weight = 0.0, 0.0, 0
    for y in np.unique(label[chosen]).tolist():
        here = chosen & (label == y)
        with_it, without = low[here & mine], low[here & ~mine]
        if min(len(with_it), len(without)) < MIN_CARRIERS:
            continue
        size = len(with_it)
        total += size * float(with_it.mean() - without.mean())
        variance += size**2 * float(with_it.var(ddof=1) / size + without.var(ddof=1) / len(without))
        weight += size
    if not weight or not variance > 0:
        return None
    return total / math.sqrt(variance)
