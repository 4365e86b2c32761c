"""Recall of each class, as predicted and after class biases were fitted on the other half of the samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.epoch_rules import FITTED, INFERRED, RECALLS
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.metrics import compute

_ROUNDS, _CLOSE = 100, 1e-4

Recalls = list[tuple[float | None, int]]


def epoch_values(evaluated: Evaluated, *, for_rules: bool, inferred: NDArray[np.int64] | None) -> JsonObject:
    """The metrics without their intervals; with `for_rules` also the values that the epoch rules use, with `inferred` groups [n]."""
    found = compute(evaluated)
    values: JsonObject = {metric: entry["value"] for metric, entry in found["metrics"].items()}
    values["per_group"] = {item["group"]: item["accuracy"]["value"] for item in found["per_group"]}
    if for_rules:
        predicted, label = evaluated.logits.argmax(axis=1), evaluated.label
        values[RECALLS] = recalls(predicted, label, evaluated.logits.shape[1])
        values[FITTED] = fitted_recalls(evaluated.logits, label)
        if inferred is not None:
            values[INFERRED] = worst_group(predicted == label, inferred)
    return values


def recalls(predicted: NDArray[np.int64], label: NDArray[np.int64], num_classes: int) -> Recalls:
    """Recall (None without samples) and number of samples of each class."""
    sizes = np.bincount(label, minlength=num_classes)
    right = np.bincount(label[predicted == label], minlength=num_classes)
    return [(int(r) / int(n) if n else None, int(n)) for r, n in zip(right, sizes, strict=True)]


def fitted_recalls(logits: NDArray[np.float32], label: NDArray[np.int64]) -> Recalls:
    """`recalls` after each half of every class is predicted with the class biases of the other half."""
    num_classes = logits.shape[1]
    half = np.zeros(len(label), dtype=np.int64)
    for y in np.unique(label):
        members = np.flatnonzero(label == y)
        half[members] = np.arange(len(members)) % 2
    predicted = np.empty(len(label), dtype=np.int64)
    for number in (0, 1):
        biases = class_biases(logits[half == number], label[half == number])
        predicted[half != number] = (logits[half != number] + biases).argmax(axis=1)
    return recalls(predicted, label, num_classes)


def class_biases(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """The biases [classes] that minimise the class-balanced cross-entropy; 0 for classes without samples.

    At the minimum each class gets as much probability, over samples that are weighted to equal classes, as it has weight:
    the biases change by the logarithm of this ratio until they converge.
    """
    num_classes = logits.shape[1]
    sizes = np.bincount(label, minlength=num_classes)
    present, biases = sizes > 0, np.zeros(num_classes)
    if present.sum() < 2:
        return biases
    weight = (1 / (present.sum() * np.maximum(sizes, 1)))[label]
    shifted = logits[:, present].astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    found = np.zeros(int(present.sum()))
    for _ in range(_ROUNDS):
        scores = shifted + found
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        mass = weight @ (scores / scores.sum(axis=1, keepdims=True))
        step = -np.log(np.maximum(mass * len(found), 1e-12))
        found += step - step.mean()
        if np.abs(step).max() < _CLOSE:
            break
    biases[present] = found
    return biases


def worst_group(correct: NDArray[np.bool_], group: NDArray[np.int64]) -> float:
    """The lowest accuracy of a group that has samples."""
    sizes = np.bincount(group)
    return float(np.min(np.bincount(group, weights=correct)[sizes > 0] / sizes[sizes > 0]))
