"""Spurious misclassification: with the feature, without it, and in the reverse direction. NumPy only."""

from __future__ import annotations

import numpy as np

from spurcli.evaluation.metric import Values, metric
from spurcli.evaluation.outcome import Outcome, share


@metric(
    "spurious_misclassification",
    "Spurious misclassification",
    "Share of the twin class that is predicted as another class when it carries that class's feature; without an injection, the share of one class of the data set's pair that is predicted as the other class",
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
    column=10,
)
def spurious_misclassification_without(outcome: Outcome) -> Values:
    return _taken_for(outcome, of_all=False, with_feature=False)


@metric(
    "spurious_misclassification_all",
    "Spurious misclassification, all other classes",
    "The same share over all classes except the feature's own class",
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
    "Share of the other class of the pair that is predicted as the first",
    lower_is_better=True,
    needs=("confusion",),
    column=10,
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
    # without: of the same samples, which are all of an injected data set, and those that do not carry the feature of a suspect
    predicted = outcome.twin_predicted if with_feature else outcome.predicted[evaluated.twin_index]
    hits = predicted[np.isin(outcome.twin_label, classes)] == target
    true = "all others" if of_all else names[classes[0]]
    return share(int(hits.sum()), len(hits), true=true, predicted=names[target])


def _confused(outcome: Outcome, *, is_reverse: bool) -> Values | None:
    """Share of one class that is predicted as another, if the carriers of the feature are not known.

    Hard ImageNet's dog sleds that are predicted ski. None of a class without samples.
    """
    evaluated = outcome.evaluated
    assert evaluated.confusion is not None
    true, taken_for = evaluated.confusion[::-1] if is_reverse else evaluated.confusion
    hits = outcome.predicted[evaluated.label == true] == taken_for
    names = {"true": evaluated.class_names[true], "predicted": evaluated.class_names[taken_for]}
    return share(int(hits.sum()), len(hits), **names) if len(hits) else None
