"""The background-matched threshold: where, among samples without the feature, as many are predicted c1 as are c1.

It removes the effect of a moved threshold from conflict accuracy and spurious misclassification. A threshold fitted on
samples with the feature would hide reliance, because these samples are part of what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject, field
from spurcli.errors import InputError
from spurcli.evaluation.auroc import Floats
from spurcli.evaluation.intervals import Z95, wilson

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Threshold:
    """L above `value` is predicted c1; `low` and `high` are its 95 % interval; `source` says what it was fitted on."""

    value: float
    low: float
    high: float
    source: str

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str) -> Threshold:
        value, low, high = (float(field(content, name, (int, float), where)) for name in ("value", "low", "high"))
        if not all(map(math.isfinite, (value, low, high))):
            raise InputError(f"{where}: the threshold is not a number", "Evaluate the model again.")
        return cls(value, low, high, field(content, "source", str, where))


def fit_threshold(
    low: Floats, label: Integers, carries: NDArray[np.bool_], classes: Sequence[int], source: str
) -> Threshold | None:
    """The threshold on L (float64 [n]) of samples without the feature, weighted to the classes' shares of all samples.

    None where class c1, or all others, have no sample without the feature.
    """
    without = ~carries
    mine = label[without]
    is_positive = np.isin(mine, list(classes))
    if not is_positive.any() or is_positive.all():
        return None
    all_counts, counts = np.bincount(label), np.bincount(mine, minlength=int(label.max()) + 1)
    weights = all_counts[mine] / counts[mine]
    weights /= weights.sum()
    wanted = float(weights[is_positive].sum())
    scores = low[without]
    # of the share predicted c1 at a threshold: misses and false alarms balance there
    value = _level(scores, weights, wanted)
    above = scores > value
    missed, alarms = is_positive & ~above, ~is_positive & above
    error = math.sqrt(
        _variance(weights[is_positive], missed[is_positive]) + _variance(weights[~is_positive], alarms[~is_positive])
    )
    # without any error the interval would be a point: assume at least one sample in each direction
    step = Z95 * max(error, float(weights.max()) / 2)
    return Threshold(value, _level(scores, weights, wanted + step), _level(scores, weights, wanted - step), source)


def _variance(weights: Floats, hits: NDArray[np.bool_]) -> float:
    """The variance of a weighted count of hits; samples of one side are assumed to be independent."""
    rate = float((weights * hits).sum() / weights.sum())
    return float((weights**2).sum()) * rate * (1 - rate)


def _level(scores: Floats, weights: Floats, wanted: float) -> float:
    """The level with the weight `wanted` above it, as closely as the scores allow: halfway between two of them."""
    ordered, inverse = np.unique(scores, return_inverse=True)
    above = np.concatenate([np.bincount(inverse, weights=weights)[::-1].cumsum()[::-1], [0.0]])
    cut = int(np.abs(above - wanted).argmin())  # the scores from `cut` on lie above
    if cut == 0:
        return float(np.nextafter(ordered[0], -np.inf))
    if cut == len(ordered):
        return float(ordered[-1])
    middle = (ordered[cut - 1] + ordered[cut]) / 2
    return float(middle if ordered[cut - 1] <= middle < ordered[cut] else ordered[cut - 1])


def cross_fitted(
    low: Floats, label: Integers, carries: NDArray[np.bool_], classes: Sequence[int]
) -> tuple[Floats, Floats, Floats] | None:
    """Thresholds (value, low, high), each float64 [n]: of every other sample of each class, fitted on the rest.

    For a split without another split to fit on; None where a half lacks a class.
    """
    half = np.zeros(len(label), dtype=bool)
    for y in np.unique(label):
        mine = np.flatnonzero((label == y) & ~carries)
        half[mine[::2]] = True
    found = np.empty((3, len(label)))
    for chosen in (half, ~half):
        fitted = fit_threshold(low[chosen], label[chosen], carries[chosen], classes, "")
        if fitted is None:
            return None
        found[:, ~chosen] = [[fitted.value], [fitted.low], [fitted.high]]
    return found[0], found[1], found[2]


def predict_at(logits: NDArray[np.floating[Any]], threshold: Any, classes: Sequence[int]) -> Integers:
    """Predictions int64 [n] at a threshold on L, one number or float64 [n]: c1 above it, else the highest of the others."""
    wide, mine = np.asarray(logits, dtype=np.float64), list(classes)
    inside, outside = np.full_like(wide, -np.inf), wide.copy()
    inside[:, mine] = wide[:, mine]
    outside[:, mine] = -np.inf
    is_above = inside.max(axis=1) - outside.max(axis=1) > threshold
    return np.asarray(np.where(is_above, inside.argmax(axis=1), outside.argmax(axis=1)))


def share_at(hits: Sequence[NDArray[np.bool_]]) -> JsonObject:
    """A share at the threshold and at both ends of its interval (`hits` bool [n] of each), as a metric.

    The interval joins Wilson's with the effect of the threshold's own error (in quadrature, because both are independent).
    """
    size = len(hits[0])
    if not size:
        return {"value": None, "num_samples": 0, "interval": None, "reason": "no samples"}
    value, *moved = [float(found.mean()) for found in hits]
    low, high = wilson(int(hits[0].sum()), size)
    below, above = min(value, *moved), max(value, *moved)
    interval = [value - math.hypot(value - low, value - below), value + math.hypot(high - value, above - value)]
    return {"value": value, "num_samples": size, "interval": [max(0.0, interval[0]), min(1.0, interval[1])]}
