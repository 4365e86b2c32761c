"""A linear probe that extends the answers about some samples to all: logistic regression on embeddings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.randomness import generator

Floats = NDArray[np.float64]
FEWEST = 5  # answers of each kind
_FOLDS = 5
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of C, scikit-learn's inverse of the regularisation


@dataclass(frozen=True)
class Probe:
    """`probability` float32 [n] of each split; `held_out` float64 [m] is the probability of each answered sample by a probe that was not trained on it."""

    probability: Mapping[str, NDArray[np.float32]]
    held_out: Floats
    strength: float


def fit_probe(
    embedding: Mapping[str, NDArray[np.float32]],
    index: NDArray[np.int64],
    yes: NDArray[np.bool_],
    weight: Floats,
    seed: int,
) -> Probe:
    """The probability that each sample of each split carries the feature, from the answers `yes` [m] about training samples `index`.

    Embeddings are standardised by the training split; C, one of seven, is chosen by 5-fold cross-validated likelihood, and
    the same folds give the held-out probabilities. The intercept is then moved until the held-out probabilities, weighted by `weight` (how many
    samples each answer stands for), add up to the weighted number of yes: an oversampled stratum does not raise them.
    """
    counts = int(yes.sum()), int((~yes).sum())
    if min(counts) < FEWEST:
        raise InputError(
            f"{counts[0]:,} yes and {counts[1]:,} no answers are too few: the probe needs {FEWEST} of each",
            "Tick more samples, or a class where the feature is more (or less) frequent.",
        )
    mean, scale = embedding["train"].mean(axis=0), embedding["train"].std(axis=0)
    scale[scale == 0] = 1
    answered = np.asarray((embedding["train"][index] - mean) / scale, dtype=np.float64)
    # The solution is in the span of the answered samples: in their own axes it is the same, with fewer columns.
    axes = np.linalg.svd(answered, full_matrices=False)[2]
    points = answered @ axes.T
    held_out, coefficients, intercept, strength = _fit(points, yes, seed)
    direction = axes.T @ coefficients
    shift = _shift(held_out, yes, weight)
    probability = {
        split: _sigmoid(((values - mean) / scale).astype(np.float64) @ direction + intercept + shift).astype(np.float32)
        for split, values in embedding.items()
    }
    return Probe(probability, _sigmoid(held_out + shift), strength)


def _folds(yes: NDArray[np.bool_], seed: int) -> NDArray[np.int64]:
    """0 … 4 for each answer, at random within yes and no."""
    fold = np.empty(len(yes), dtype=np.int64)
    numbers = generator("probe", seed)
    for kind in (True, False):
        members = numbers.permutation(np.flatnonzero(yes == kind))
        fold[members] = np.arange(len(members)) % _FOLDS
    return fold


def _fit(points: Floats, yes: NDArray[np.bool_], seed: int) -> tuple[Floats, Floats, float, float]:
    """Held-out margins, coefficients, intercept, and C by cross-validated likelihood."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    fold = _folds(yes, seed)
    margins = np.empty((len(_STRENGTHS), len(yes)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for number in range(_FOLDS):
            rest = fold != number
            for place, strength in enumerate(_STRENGTHS):
                model = LogisticRegression(C=strength, max_iter=500).fit(points[rest], yes[rest])
                margins[place, ~rest] = model.decision_function(points[~rest])
        losses = np.logaddexp(0, -margins * np.where(yes, 1, -1)).sum(axis=1)
        best = int(losses.argmin())
        model = LogisticRegression(C=_STRENGTHS[best], max_iter=2000).fit(points, yes)
    return margins[best], np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]), _STRENGTHS[best]


def _shift(margin: Floats, yes: NDArray[np.bool_], weight: Floats) -> float:
    """What to add to all margins so that the weighted probabilities add up to the weighted yes, by bisection."""
    wanted = float(weight @ yes)
    low, high = -50.0, 50.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if float(weight @ _sigmoid(margin + middle)) > wanted else (middle, high)
    return (low + high) / 2


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)))


def most_probable(probability: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 for the carriers int64 [n]: in each class the most probable samples, as many as the probabilities add up to."""
    carries = np.zeros(len(label), dtype=np.int64)
    for y in np.unique(label):
        members = np.flatnonzero(label == y)
        num = math.floor(float(probability[members].sum(dtype=np.float64)) + 0.5)
        order = members[np.lexsort((members, -probability[members]))]
        carries[order[:num]] = 1
    return carries
