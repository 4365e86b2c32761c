"""What is called logits and is something else, warned of with the line that makes logits of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spurcli.artifacts.logit_checks import are_constant, warn_unless_fitting, warn_unless_logits
from spurcli.errors import SpurWarning

N = 300


def logits(num_classes, scale=3.0):
    return np.random.default_rng(0).normal(0, scale, (N, num_classes))


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def says(values, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        given = warn_unless_logits(values, "p.npy", **options)
    assert given == bool(caught)
    assert all(issubclass(each.category, SpurWarning) for each in caught)
    return str(caught[0].message) if caught else ""


@pytest.mark.parametrize("num_classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8"])
def test_probabilities_in_any_precision(num_classes, kind):
    message = says(softmax(logits(num_classes, 1.0)).astype(kind))
    assert message.startswith("p.npy: ")
    assert "sums to 1" in message
    assert "np.log(p" in message


@pytest.mark.parametrize("decimals", [2, 3, 4])
@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_rounded_probabilities_have_zeros_whose_logarithm_is_no_number(num_classes, decimals):
    p = softmax(logits(num_classes, 5.0)).round(decimals)
    assert (p == 0).any()
    message = says(p)
    clip = float(message.partition("clip(")[2].partition(")")[0])
    assert 0 < clip < 10.0**-decimals
    assert np.isfinite(np.log(p.clip(clip))).all()
    assert "ties" in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (100 * softmax(logits(4)), ("sums to 100", "np.log(p / 100)")),
        ((100 * softmax(logits(4))).round(1), ("sums to 100", ".clip(")),
        (np.eye(3)[np.arange(N) % 3], ("one-hot", "before its argmax")),
        (np.eye(3, dtype=np.int64)[np.arange(N) % 3], ("one-hot",)),
        (100 * np.eye(3)[np.arange(N) % 3], ("one-hot",)),
        (np.array([[3, 7, 0], [10, 0, 0], [1, 4, 5]] * 20), ("sums to 10", "votes", "(p / 10).clip(")),
        (sigmoid(logits(2)), ("sigmoid", "p / (1 - p)")),
        (sigmoid(logits(7)).astype("f2"), ("sigmoid",)),
        (np.stack([1 - sigmoid(logits(1)[:, 0]), sigmoid(logits(1)[:, 0])], axis=1), ("sums to 1",)),
        (-np.log(softmax(logits(3))), ("negative log-probabilities", "-z")),
        ((logits(2) > 0).astype(float), ("decisions",)),
        (np.asfortranarray(softmax(logits(3))), ("sums to 1",)),
        (softmax(logits(3))[:1], ("sums to 1",)),
    ],
)
def test_what_else_is_taken_for_logits(values, words):
    message = says(values)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    "values",
    [
        logits(3),
        logits(2, 0.01),
        np.log(softmax(logits(3))),  # log-probabilities are logits
        np.abs(logits(4)),  # after a ReLU
        np.abs(logits(4)).astype("f2"),
        np.zeros((N, 3)),  # a head that starts at zero
        np.full((N, 2), np.nan),
        softmax(logits(3)) - 0.01,
        2.5 * softmax(logits(3)),
        np.array([[0.2, 0.7]]),
        np.concatenate([softmax(logits(3)), logits(3)]),
        np.empty((0, 3)),
    ],
)
def test_logits_are_left_alone(values):
    assert says(values) == ""


def test_blocks_change_nothing(monkeypatch):
    whole = says(softmax(logits(3)).round(2))
    monkeypatch.setattr("spurcli.artifacts.logit_checks._BLOCK", 7)
    assert says(softmax(logits(3)).round(2)) == whole
    assert says(np.concatenate([softmax(logits(3)), np.abs(logits(3))])) == ""


def test_a_model_is_told_about_its_last_layer():
    message = says(softmax(logits(3)), of_model=True)
    assert "before its last softmax" in message
    assert "np.log" not in message


def test_logits_that_are_the_same_for_all_samples_but_for_rounding():
    row = np.float32([3.0, -200.0, 0.5])
    same = np.tile(row, (N, 1))
    assert are_constant(same)
    assert are_constant(same * (1 + 1e-7 * np.random.default_rng(0).choice([-1, 1], same.shape)))
    assert not are_constant(same[:1])
    same[-1, 2] += 1e-4
    assert not are_constant(same)


def fits(values, label):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_unless_fitting(values, label, "p.npy")
    return [str(line.message) for line in said]


def test_rows_or_columns_in_another_order_are_said():
    """Logits of a good model, whose accuracy is that of guessing: a wrong order gave scores without a word."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 400)
    values = rng.normal(size=(400, 4)) + 3 * np.eye(4)[label]
    assert fits(values, label) == []
    (message,) = fits(values, rng.permutation(label))
    assert "no better than guessing" in message
    (message,) = fits(values[:, [1, 0, 2, 3]], label)
    assert "class 0 by column 1, 1 by column 0" in message
    assert fits(values[:90], label[:90][::-1].copy()) == []  # too few to say
    assert fits(values, np.zeros(400, np.int64)) == []


def test_a_weak_model_is_left_alone():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 10, 2000)
    assert fits(rng.normal(size=(2000, 10)) + 0.5 * np.eye(10)[label], label) == []
    few = np.where(np.arange(2000) < 1950, 0, 1)  # of a class that is rare
    assert fits(rng.normal(size=(2000, 2)) + 1.0 * np.eye(2)[few], few) == []
