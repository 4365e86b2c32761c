"""How far a model leans on a spurious feature f of class c1, independent of its threshold. NumPy only.

From L = z_c1 − max of the other logits, over four cells: P (class c1) and N (all others), without (0) and with (1) f.
docs/measures.md says what each measure can and cannot show. A measure that is undefined has the value None
and a `reason`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.evaluation.auroc import Area, Floats, Side, area_between, correlation, difference_interval, probit_gap
from spurcli.evaluation.intervals import wilson
from spurcli.evaluation.trimmed import degrees_left, ratio_interval, trimmed_mean, trimmed_spread

Metric = dict[str, Any]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Half:
    """The samples of one side, P or N: L, class and predicted class, without and with the feature.

    `pair` int64 [m] = for each sample with the feature the position of the same sample without it; None where
    samples with and without are different ones (natural groups).
    """

    without: Floats
    carrying: Floats
    label_without: Integers
    label_carrying: Integers
    pair: Integers | None = None

    def shares(self) -> dict[int, float]:
        """Fixed shares of the classes with samples in both cells: those among the samples with the feature."""
        classes, counts = np.unique(self.label_carrying, return_counts=True)
        there = np.isin(classes, self.label_without)
        total = counts[there].sum()
        return {int(y): float(n / total) for y, n in zip(classes[there], counts[there], strict=True)}


@dataclass(frozen=True)
class Cells:
    """P and N of a feature, float64 L and int64 classes."""

    positive: Half
    negative: Half


def margin(logits: NDArray[np.floating[Any]], classes: Sequence[int]) -> Floats:
    """L, float64 [n]: the highest logit of `classes` (c1; several if all go with the feature) − that of the others."""
    wide = np.asarray(logits, dtype=np.float64)
    return np.asarray(wide[:, list(classes)].max(axis=1) - np.delete(wide, list(classes), axis=1).max(axis=1))


def cells(
    logits: NDArray[np.floating[Any]],
    label: Integers,
    carries: NDArray[np.bool_],
    classes: Sequence[int],
    *,
    against: int | None = None,
    twin_index: Integers | None = None,
    twin_logits: NDArray[np.floating[Any]] | None = None,
) -> Cells:
    """The cells of a split: logits [n, classes], label int64 [n], `carries` bool [n] (which samples have the feature), c1.

    With a twin (samples `twin_index` [m] once more, with the feature) the cells with the feature are the twin's, and
    pairs exist. `against` names c2: N is that class alone.
    """
    low = margin(logits, classes)
    is_positive = np.isin(label, list(classes))
    halves = []
    for chosen in (is_positive, ~is_positive if against is None else label == against):
        without = chosen & ~carries
        if twin_index is None or twin_logits is None:
            mine = chosen & carries
            halves.append(Half(low[without], low[mine], label[without], label[mine]))
            continue
        position = np.cumsum(without) - 1
        paired = without[twin_index]
        index = twin_index[paired]
        high = margin(twin_logits[paired], classes)
        halves.append(Half(low[without], high, label[without], label[index], position[index]))
    return Cells(*halves)


def reliance(found: Cells) -> dict[str, Metric]:
    """All measures that need no threshold, by name; each {"value", "num_samples", "interval"} and its own facts."""
    positives = _gaps(found, "_positives", found.positive)["probit_gap_positives"]
    return {**_areas(found), **_gaps(found, "", found.negative), "probit_gap_positives": positives} | {
        "feature_effect": _effect(found, found.negative),
        "feature_effect_positives": _effect(found, found.positive),
    }


def undefined(reason: str, num_samples: int = 0) -> Metric:
    return {"value": None, "num_samples": num_samples, "interval": None, "reason": reason}


def flip_rate(predicted: Integers, twin_predicted: Integers, classes: Sequence[int]) -> Metric:
    """Among the samples of N without the feature that are not predicted c1, the share that is predicted c1 with the feature added.

    `predicted` and `twin_predicted` int64 [m] are of the same samples, without and with it.
    """
    before = ~np.isin(predicted, list(classes))
    num_flipped, size = int(np.isin(twin_predicted[before], list(classes)).sum()), int(before.sum())
    if not size:
        return undefined("no sample of another class is predicted correctly without the feature")
    return {"value": num_flipped / size, "num_samples": size, "interval": list(wilson(num_flipped, size))}


def _areas(found: Cells) -> dict[str, Metric]:
    positive, negative = found.positive, found.negative
    pairs = {
        "background_auroc": (positive.without, negative.without, ("P0", "N0")),
        "subgroup_auroc": (positive.carrying, negative.carrying, ("P1", "N1")),
        "bpsn_auroc": (positive.without, negative.carrying, ("P0", "N1")),
        "bnsp_auroc": (positive.carrying, negative.without, ("P1", "N0")),
    }
    metrics = {}
    for name, (above, below, called) in pairs.items():
        size = len(above) + len(below)
        if reason := _empty(zip(called, (above, below), strict=True)):
            metrics[name] = undefined(reason, size)
            continue
        area = area_between(Side(above), Side(below))
        metrics[name] = {"value": area.value, "num_samples": size, "interval": list(area.interval())}
    return metrics


_CELLS = {
    "P0": "of the feature's class without the feature",
    "P1": "of the feature's class with the feature",
    "N0": "of another class without the feature",
    "N1": "of another class with the feature",
}


def _empty(called: Any, least: int = 1) -> str:
    """Which cells have too few samples, as text; "" if none."""
    for name, values in called:
        if len(values) < least:
            return f"{'no sample' if not len(values) else 'one sample only'} {_CELLS[name]} ({name})"
    return ""


def _gaps(found: Cells, suffix: str, half: Half) -> dict[str, Metric]:
    """auroc_gap and probit_gap of the N side, or of the P side: within class at fixed shares of the classes."""
    of_negatives = half is found.negative
    other = found.positive.without if of_negatives else found.negative.without
    names = ("P0", "N0", "N1") if of_negatives else ("N0", "P0", "P1")
    size = len(other) + len(half.without) + len(half.carrying)
    reason = _empty(zip(names, (other, half.without, half.carrying), strict=True), least=2)
    shares = half.shares()
    if not reason and not shares:
        reason = "no class has samples both without and with the feature"
    if reason:
        return {name: undefined(reason, size) for name in (f"auroc_gap{suffix}", f"probit_gap{suffix}")}
    fixed = shares if len(shares) > 1 or len(np.unique(half.label_without)) > 1 else None
    sides = [
        Side(values, label if fixed else None, fixed)
        for values, label in ((half.without, half.label_without), (half.carrying, half.label_carrying))
    ]
    # the AUROC that is larger if the model leans comes first: background − bpsn, bnsp − background
    areas = [area_between(Side(other), s) if of_negatives else area_between(s, Side(other)) for s in sides]
    covariance = _shared(areas, half, of_negatives)
    first, second = areas if of_negatives else areas[::-1]
    correlated = correlation(first, second, covariance)
    facts = {"areas": [first.value, second.value]} if fixed and half.pair is None else {}
    gap = {
        "value": first.value - second.value,
        "num_samples": size,
        "interval": list(difference_interval(first, second, correlated)),
        **facts,
    }
    value, bound, interval = probit_gap(first, second, correlated)
    if value is None:
        probit = undefined(
            "all pairs are in order without the feature and with it: both AUROCs are at their limit", size
        )
    else:
        probit = {"value": value, "num_samples": size, "interval": interval, **facts}
        if bound:
            probit |= {"bound": bound}
    return {f"auroc_gap{suffix}": gap, f"probit_gap{suffix}": probit}


def _shared(areas: Sequence[Area], half: Half, of_negatives: bool) -> float:
    """Covariance of the AUROCs without and with: by the other side, which both share, and by pairs."""
    first, second = areas
    others = (first.positive_spread, second.positive_spread)
    mine = (first.negative_spread, second.negative_spread)
    if not of_negatives:
        others, mine = mine, others
    total = float((others[0] * others[1]).sum())
    if half.pair is not None:
        total += float((mine[0][half.pair] * mine[1]).sum())
    return total


def _effect(found: Cells, half: Half) -> Metric:
    """feature_effect over one side: the trimmed mean of L with − L without, over the model's own class distance."""
    high, low = found.positive.without, found.negative.without
    size = len(high) + len(low) + (0 if half is found.positive else len(half.carrying))
    called = "N1" if half is found.negative else "P1"
    reason = _empty([("P0", high), ("N0", low)], least=2) or _empty([(called, half.carrying)], least=2)
    shares = half.shares()
    if reason or not shares:
        return undefined(reason or "no class has samples both without and with the feature", size)
    # what each sample without f adds to the error of the distance (bottom) and of the push (top)
    distance = trimmed_mean(high) - trimmed_mean(low)
    of_high, of_low = trimmed_spread(high), -trimmed_spread(low)
    push, middle, top, top_with, smallest = _push(half, shares)
    bottom = of_low if half is found.negative else of_high
    variances = (
        float((top**2).sum() + (top_with**2).sum()),
        float((of_high**2).sum() + (of_low**2).sum()),
        float((top * bottom).sum()),
    )
    degrees = degrees_left(min(len(high), len(low), smallest))
    if not np.isfinite(variances).all():
        return undefined("too few samples for a trimmed mean", size)
    interval = ratio_interval(push, distance, variances, degrees)
    if interval is None:
        return undefined(
            "the class distance of the model is not distinguishable from zero: its interval includes zero", size
        )
    if distance < 0:
        return undefined("the model ranks the class below the others: it has no class distance to compare with", size)
    spread = float(np.median(high) - np.median(low))
    return {
        "value": push / distance,
        "num_samples": size,
        "interval": list(interval),
        "median": middle / spread if spread > 0 else None,
    }


def _push(half: Half, shares: dict[int, float]) -> tuple[float, float, Floats, Floats, int]:
    """How far f moves L: trimmed mean, median, what samples without and with f add to its error, smallest sample.

    Over all pairs where there are pairs; else the difference of trimmed means within each class, at fixed shares.
    """
    top, top_with = np.zeros(len(half.without)), np.zeros(len(half.carrying))
    if half.pair is not None:
        moved = half.carrying - half.without[half.pair]
        top[half.pair] = trimmed_spread(moved)
        return trimmed_mean(moved), float(np.median(moved)), top, top_with, len(moved)
    push = middle = 0.0
    smallest = []
    for label, share in shares.items():
        before, after = half.label_without == label, half.label_carrying == label
        push += share * (trimmed_mean(half.carrying[after]) - trimmed_mean(half.without[before]))
        middle += share * float(np.median(half.carrying[after]) - np.median(half.without[before]))
        top[before] = -share * trimmed_spread(half.without[before])
        top_with[after] = share * trimmed_spread(half.carrying[after])
        smallest.append(min(before.sum(), after.sum()))
    return push, middle, top, top_with, int(min(smallest))
