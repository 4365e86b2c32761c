"""Whether the values of a property fall into two lumps: content varies smoothly, a feature added to some samples does not."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

_GAIN = 10.0  # of BIC, of two normal distributions over one
_APART = 2.0  # Ashman's D: two normal distributions that are this far apart have two peaks
_SMALLEST = 0.02  # share of the smaller lump
_MOST = 5000


def has_two_lumps(values: NDArray[np.float64], seed: int) -> bool:
    """Whether float64 [n] fall into two lumps, see `valley`."""
    return valley(values, seed) is not None


def valley(values: NDArray[np.float64], seed: int) -> float | None:
    """The value half-way between two lumps of float64 [n]; None if two normal distributions do not fit much better than one, or are not
    clearly apart (Ashman et al. 1994), with a valley between them.

    A smooth skewed tail is not a second lump: its distributions overlap.
    """
    values = values[np.isfinite(values)][:_MOST, None]
    if len(values) < 20 or values.std() < 1e-9:
        return None
    from sklearn.mixture import GaussianMixture

    scaled = (values - values.mean()) / values.std()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about convergence: a poor fit is not a lump
        one, two = (GaussianMixture(k, random_state=seed, n_init=k, reg_covar=1e-4).fit(scaled) for k in (1, 2))
    if one.bic(scaled) - two.bic(scaled) < _GAIN or two.weights_.min() < _SMALLEST:
        return None
    apart = abs(two.means_[0, 0] - two.means_[1, 0]) * np.sqrt(2 / two.covariances_.sum())
    if apart <= _APART or not has_valley(scaled[:, 0], *sorted(two.means_[:, 0].tolist())):
        return None
    return float(values.mean() + values.std() * two.means_.mean())


def has_valley(values: NDArray[np.float64], low: float, high: float) -> bool:
    """Whether the density half-way between the two centres is less than half of that around each centre."""
    window = (high - low) / 8
    left, middle, right = (int((np.abs(values - place) < window).sum()) for place in (low, (low + high) / 2, high))
    return 2 * middle < min(left, right)
