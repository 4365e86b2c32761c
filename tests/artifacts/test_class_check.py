"""Predictions that agree with the labels better in another class order are warned of; chance and collapse are not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spurcli.artifacts.class_check import better_order, confusion, warn_if_reordered
from spurcli.errors import SpurWarning


def logits_of(predicted: np.ndarray, num_classes: int) -> np.ndarray:
    return np.eye(num_classes, dtype=np.float32)[predicted]


@pytest.mark.parametrize("order", [[1, 0], [0, 2, 1], [0, 9, 1, 2, 3, 4, 5, 6, 7, 8]])
def test_a_permutation_is_found_through_noise(order):
    rng = np.random.default_rng(0)
    label = rng.integers(0, len(order), 400)
    predicted = np.where(rng.random(400) < 0.85, np.array(order)[label], rng.integers(0, len(order), 400))
    counts = confusion(logits_of(predicted, len(order)), label)
    assert counts.sum() == 400
    assert counts[0, order[0]] == ((label == 0) & (predicted == order[0])).sum()
    found, as_is, best = better_order(counts)
    assert found.tolist() == order
    assert best > 0.8 > as_is
    with pytest.warns(SpurWarning, match="better in another class order"):
        warn_if_reordered(counts, [f"c{number}" for number in range(len(order))], "w.pth", "Say the order.")


@pytest.mark.parametrize("kind", ["right", "constant", "chance", "weak", "few"])
def test_what_is_no_permutation_is_no_warning(kind):
    rng = np.random.default_rng(1)
    label = (rng.random(500) < 0.9).astype(np.int64)
    predicted = {
        "right": label,
        "constant": np.zeros_like(label),
        "chance": rng.integers(0, 2, 500),
        "weak": np.where(rng.random(500) < 0.4, label, 1 - label),
        "few": 1 - label,
    }[kind]
    if kind == "few":
        label, predicted = label[:19], predicted[:19]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_reordered(confusion(logits_of(predicted, 2), label), ["a", "b"], "w.pth", "")


def test_a_class_without_samples_keeps_its_place():
    label = np.repeat([0, 2], 30)
    found, _, _ = better_order(confusion(logits_of(2 - label, 4), label))
    assert found.tolist() == [2, 1, 0, 3]
