"""Intervals: Wilson for a share of samples, a stratified bootstrap for the minimum over groups."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spurcli.randomness import generator

Z95 = 1.959963984540054


def wilson(num_correct: int, num_samples: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a binomial share (Wilson 1927); [0, 1] where there is no sample."""
    if num_samples == 0:
        return 0.0, 1.0
    share = num_correct / num_samples
    denominator = 1 + z * z / num_samples
    centre = (share + z * z / (2 * num_samples)) / denominator
    half = z * math.sqrt(share * (1 - share) / num_samples + z * z / (4 * num_samples**2)) / denominator
    # rounding must not leave the share outside its own interval
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def bootstrap_minimum(
    correct_of: Mapping[str, tuple[int, int]], *, num_draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % percentile interval of the minimum share over groups, resampling the test samples of each group.

    `correct_of` maps a group to (number correct, number of samples). The minimum is recomputed in every draw, so
    that which group is worst may change; resampling 0/1 outcomes is a binomial draw. A group of which all or none is
    correct gives the same in every draw: so the interval is never narrower than Wilson's of the lowest group.
    """
    filled = [(right, size) for right, size in correct_of.values() if size]
    if not filled:
        return 0.0, 1.0
    rng = generator("bootstrap", seed)
    shares = [rng.binomial(size, right / size, size=num_draws) / size for right, size in filled]
    low, high = np.percentile(np.min(shares, axis=0), [2.5, 97.5])
    lowest = wilson(*min(filled, key=lambda group: (group[0] / group[1], group[1])))
    return min(float(low), lowest[0]), max(float(high), lowest[1])
