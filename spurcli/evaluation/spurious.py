"""The metrics of a spurious feature: misclassification with and without it, and AUROC. NumPy only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.evaluation.intervals import Z95
from spurcli.evaluation.metric import Values, metric
from spurcli.evaluation.outcome import Outcome, share

OF_INJECTION = ("spurious_misclassification", "spurious_misclassification_all")


@metric(
    "spurious_misclassification",
    "Spurious misclassification",
    "Share of the twin class that, given the feature of another class, is predicted that class; without an injection, "
    "share of one class that is predicted the other of a pair that the data set is about",
    lower_is_better=True,
    first=1,
    column=1,
)
def spurious_misclassification(outcome: Outcome) -> Values | None:
    if outcome.has("twin class"):
        return _taken_for(outcome, of_all=False, with_feature=True)
    return _confused(outcome, is_reverse=False) if outcome.has("confusion") else None


@metric(
    "spurious_misclassification_without",
    "… without the feature",
    "The same share without the feature",
    lower_is_better=True,
    needs=("twin class",),
    column=2,
)
def spurious_misclassification_without(outcome: Outcome) -> Values:
    return _taken_for(outcome, of_all=False, with_feature=False)


@metric(
    "spurious_misclassification_all",
    "Spurious misclassification, all other classes",
    "The same share over all classes but the one whose feature it is",
    lower_is_better=True,
    needs=("twin",),
    first=2,
    column=8,
)
def spurious_misclassification_all(outcome: Outcome) -> Values:
    return _taken_for(outcome, of_all=True, with_feature=True)


@metric(
    "spurious_misclassification_all_without",
    "… all other classes, without the feature",
    "The same share without the feature",
    lower_is_better=True,
    needs=("twin",),
    column=None,
)
def spurious_misclassification_all_without(outcome: Outcome) -> Values:
    return _taken_for(outcome, of_all=True, with_feature=False)


@metric(
    "spurious_misclassification_reverse",
    "… the other way round",
    "Share of the other class of the pair that is predicted the first",
    lower_is_better=True,
    needs=("confusion",),
    column=2,
)
def spurious_misclassification_reverse(outcome: Outcome) -> Values | None:
    return _confused(outcome, is_reverse=True)


def _taken_for(outcome: Outcome, *, of_all: bool, with_feature: bool) -> Values:
    """Share of the twin class, or of all other classes, that is predicted the class whose feature it is."""
    evaluated = outcome.evaluated
    target, twin = evaluated.feature_of, evaluated.twin_class
    assert target is not None
    names = evaluated.class_names
    classes = [n for n in range(len(names)) if n != target] if of_all or twin is None else [twin]
    label, predicted = (
        (outcome.twin_label, outcome.twin_predicted) if with_feature else (evaluated.label, outcome.predicted)
    )
    hits = predicted[np.isin(label, classes)] == target
    true = "all others" if of_all else names[classes[0]]
    return share(int(hits.sum()), len(hits), true=true, predicted=names[target])


def _confused(outcome: Outcome, *, is_reverse: bool) -> Values | None:
    """Share of one class that is predicted another, where nobody knows which samples carry the feature.

    Hard ImageNet's dog sleds that are predicted ski. None of a class without samples.
    """
    evaluated = outcome.evaluated
    assert evaluated.confusion is not None
    true, taken_for = evaluated.confusion[::-1] if is_reverse else evaluated.confusion
    hits = outcome.predicted[evaluated.label == true] == taken_for
    names = {"true": evaluated.class_names[true], "predicted": evaluated.class_names[taken_for]}
    return share(int(hits.sum()), len(hits), **names) if len(hits) else None


def feature_auroc(*, of_carriers: bool) -> Callable[[Outcome], Values | None]:
    """AUROC of telling the classes apart among samples with, or without, the feature: no threshold is involved.

    For two classes by z_1 − z_0, and `feature` is the attribute that counts as one; for an injected data set by p of
    `feature_of` against the twin class (or all others).
    """

    def compute(outcome: Outcome) -> Values | None:
        evaluated = outcome.evaluated
        if outcome.has("twin"):
            target, other = evaluated.feature_of, evaluated.twin_class
            assert target is not None
            logits = evaluated.twin_logits if of_carriers else evaluated.logits
            label = outcome.twin_label if of_carriers else evaluated.label
            assert logits is not None
            chosen = (label == target) | ((label == other) if other is not None else True)
            return auroc(_log_odds(logits, target)[chosen], label[chosen] == target)
        feature = outcome.attribute
        if feature is None or evaluated.group is None:
            return None
        carries = evaluated.group % (len(evaluated.group_names) // 2) == feature
        chosen = carries if of_carriers else ~carries
        score = evaluated.logits[:, 1] - evaluated.logits[:, 0]
        called = evaluated.group_names[feature].removeprefix(f"{evaluated.class_names[0]}/")
        return {**auroc(score[chosen], evaluated.label[chosen] == 1), "feature": called}

    return compute


def _log_odds(logits: NDArray[np.float32], target: int) -> NDArray[np.float64]:
    """log p_target − log(1 − p_target), stable."""
    wide = logits.astype(np.float64)
    others = np.delete(wide, target, axis=1)
    top = others.max(axis=1)
    return np.asarray(wide[:, target] - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))


def auroc(score: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> Values:
    """Area under the ROC curve by ranks (ties count half), with the Hanley–McNeil (1982) interval."""
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        return {"value": None, "num_samples": len(score), "interval": None}
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    area = (mean_rank[inverse][positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (num_positive - 1) * (first - area**2) + (num_negative - 1) * (second - area**2)
    half = Z95 * np.sqrt(variance / (num_positive * num_negative))
    return {
        "value": float(area),
        "num_samples": len(score),
        "interval": [max(0.0, float(area - half)), min(1.0, float(area + half))],
    }
