"""Metrics against slow loops and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from spurcli.errors import InputError
from spurcli.evaluation.auroc import Side, area_between
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.intervals import lowest_share_interval, wilson
from spurcli.evaluation.metrics import compute

CLASSES = ("ski", "sled", "dog")
GROUPS = tuple(f"{y}/{a}" for y in CLASSES for a in ("none", "snow"))
TRAIN = np.array([50, 40, 60, 2, 55, 3])  # snow marks skis


def made(seed=0, size=200, **changes):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=size)
    logits = rng.normal(size=(size, 3)).astype(np.float32) + 1.5 * np.eye(3, dtype=np.float32)[label]
    group = 2 * label + rng.integers(2, size=size)
    facts = {"group": group, "group_names": GROUPS, "train_group_counts": TRAIN, **changes}
    return Evaluated(logits, label, CLASSES, **facts)


def rate(hits):
    hits = list(hits)
    return sum(hits) / len(hits)


def test_accuracies_against_slow_loops():
    evaluated = made()
    right = [int(np.argmax(row)) == y for row, y in zip(evaluated.logits, evaluated.label, strict=True)]
    found = compute(evaluated)
    metrics = found["metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(rate(right))
    by_class = [rate(r for r, y in zip(right, evaluated.label, strict=True) if y == c) for c in range(3)]
    assert metrics["class_mean_accuracy"]["value"] == pytest.approx(sum(by_class) / 3)
    assert [row["accuracy"]["value"] for row in found["per_class"]] == pytest.approx(by_class)
    by_group = [rate(r for r, g in zip(right, evaluated.group, strict=True) if g == c) for c in range(6)]
    assert [row["accuracy"]["value"] for row in found["per_group"]] == pytest.approx(by_group)
    assert metrics["worst_group_accuracy"]["value"] == pytest.approx(min(by_group))
    assert metrics["worst_group_accuracy"]["group"] == GROUPS[int(np.argmin(by_group))]
    adjusted = sum(int(n) * a for n, a in zip(TRAIN, by_group, strict=True)) / int(TRAIN.sum())
    assert metrics["adjusted_mean_accuracy"]["value"] == pytest.approx(adjusted)
    conflict = [r for r, g in zip(right, evaluated.group, strict=True) if GROUPS[g] in ("sled/snow", "dog/snow")]
    assert metrics["conflict_accuracy"]["value"] == pytest.approx(rate(conflict))
    assert metrics["conflict_accuracy"]["groups"] == ["sled/snow", "dog/snow"]
    assert metrics["conflict_accuracy"]["num_samples"] == len(conflict)
    assert metrics["worst_conflict_accuracy"]["value"] == pytest.approx(min(by_group[3], by_group[5]))


def test_one_conflict_group_has_no_worst_beside_it():
    counts = np.array([5000, 0, 2500, 2500])
    rng = np.random.default_rng(0)
    label, group = np.repeat([0, 0, 1, 1], 30), np.repeat([0, 1, 2, 3], 30)
    names = ("f/none", "f/glasses", "m/none", "m/glasses")
    logits = rng.normal(size=(120, 2)).astype(np.float32)
    found = compute(Evaluated(logits, label, ("f", "m"), group, names, counts))
    assert found["metrics"]["conflict_accuracy"]["groups"] == ["f/glasses"]
    assert "worst_conflict_accuracy" not in found["metrics"]
    assert found["metrics"]["adjusted_mean_accuracy"]["zero_weight_groups"] == ["f/glasses"]
    assert any("training" in said and "f/glasses" in said for said in found["warnings"])


@pytest.mark.parametrize("twin_class", [None, 1])
def test_misclassification_with_and_without_the_feature(twin_class):
    rng = np.random.default_rng(3)
    plain = made(group=np.repeat(np.arange(3), 70)[:200] * 2, seed=1)
    label = plain.label
    index = rng.permutation(200)[:150]
    twin_logits = plain.logits[index] + np.array([1.5, 0, 0], dtype=np.float32)
    evaluated = Evaluated(
        plain.logits, label, CLASSES, 2 * label, GROUPS, TRAIN, index, twin_logits, feature_of=0, twin_class=twin_class
    )
    metrics = compute(evaluated)["metrics"]
    for suffix, classes in (("", [1]), ("_all", [1, 2])):
        name = f"spurious_misclassification{suffix}"
        if twin_class is None and not suffix:
            assert name not in metrics
            continue
        with_feature = [int(np.argmax(twin_logits[k])) == 0 for k, i in enumerate(index) if label[i] in classes]
        without = [int(np.argmax(plain.logits[i])) == 0 for i in index if label[i] in classes]  # the same samples
        assert (metrics[name]["value"], metrics[name]["num_samples"]) == (rate(with_feature), len(with_feature))
        assert metrics[f"{name}_without"]["value"] == rate(without)
        assert metrics[name]["value"] > metrics[f"{name}_without"]["value"]


def test_the_twin_fills_the_groups_with_the_feature_and_nothing_else():
    """An injected data set: without the twin no test sample carries the feature; accuracy stays the split's own."""
    plain = made(seed=2)
    label = plain.label
    twin_logits = plain.logits + np.array([2, 0, 0], dtype=np.float32)
    index = np.arange(200)
    evaluated = Evaluated(
        plain.logits, label, CLASSES, 2 * label, GROUPS, np.array([50, 40, 60, 0, 55, 0]), index, twin_logits, 0
    )
    found = compute(evaluated)
    expected = []
    for y in range(3):
        for logits in (plain.logits, twin_logits):
            expected.append(rate(int(np.argmax(logits[i])) == y for i in range(200) if label[i] == y))
    assert [row["accuracy"]["value"] for row in found["per_group"]] == pytest.approx(expected)
    assert found["metrics"]["accuracy"] == compute(plain)["metrics"]["accuracy"]
    adjusted = (50 * expected[0] + 40 * expected[1] + 60 * expected[2] + 55 * expected[4]) / 205
    assert found["metrics"]["adjusted_mean_accuracy"]["value"] == pytest.approx(adjusted)
    assert found["metrics"]["conflict_accuracy"]["groups"] == ["sled/snow", "dog/snow"]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**4), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 50]))
def test_auroc_is_scikit_learns(seed, num_positive, num_negative, levels):
    rng = np.random.default_rng(seed)
    positive, negative = (rng.integers(levels, size=size).astype(float) for size in (num_positive, num_negative))
    found = area_between(Side(positive), Side(negative))
    truth = np.repeat([1, 0], [num_positive, num_negative])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([positive, negative])))
    low, high = found.interval()
    assert 0 <= low <= found.value <= high <= 1
    assert low < high


def test_aurocs_of_two_classes_are_about_the_marked_feature():
    rng = np.random.default_rng(0)
    label, attribute = rng.integers(2, size=300), rng.integers(2, size=300)
    logits = rng.normal(size=(300, 2)).astype(np.float32) + np.eye(2, dtype=np.float32)[label]
    names = ("f/none", "f/glasses", "m/none", "m/glasses")
    evaluated = Evaluated(logits, label, ("f", "m"), 2 * label + attribute, names, np.array([50, 0, 25, 25]))
    metrics = compute(evaluated)["metrics"]
    for name, chosen in (("subgroup", attribute == 1), ("background", attribute == 0)):
        expected = roc_auc_score(label[chosen] == 1, (logits[:, 1] - logits[:, 0])[chosen])
        assert metrics[f"{name}_auroc"]["value"] == pytest.approx(expected)
        assert metrics[f"{name}_auroc"]["feature"] == "glasses"


def test_aurocs_of_a_twin_are_against_all_other_classes():
    """And against the twin class in a record of its own."""
    plain = made(seed=4)
    twin_logits = plain.logits + np.array([2, 0, 0], dtype=np.float32)
    evaluated = Evaluated(
        plain.logits, plain.label, CLASSES, 2 * plain.label, GROUPS, TRAIN, np.arange(200), twin_logits, 0, 1
    )
    found = compute(evaluated)
    for name, logits in (("subgroup", twin_logits), ("background", plain.logits)):
        odds = logits[:, 0] - logits[:, 1:].max(axis=1)
        for record, chosen in zip(found["features"], (plain.label >= 0, plain.label != 2), strict=True):
            expected = roc_auc_score(plain.label[chosen] == 0, odds[chosen])
            assert record["metrics"][f"{name}_auroc"]["value"] == pytest.approx(expected)
        assert found["metrics"][f"{name}_auroc"]["value"] == pytest.approx(roc_auc_score(plain.label == 0, odds))
    assert [record["against"] for record in found["features"]] == [None, "sled"]


@pytest.mark.parametrize(("right", "size"), [(0, 10), (10, 10), (7, 10), (317, 1378), (1, 1)])
def test_wilson_solves_its_equation(right, size):
    """The bounds are where |share - p| = z sqrt(p (1 - p) / n)."""
    low, high = wilson(right, size)
    for bound in (low, high):
        if 1e-9 < bound < 1 - 1e-9:
            assert abs(right / size - bound) == pytest.approx(
                1.959964 * math.sqrt(bound * (1 - bound) / size), rel=1e-5
            )
    assert 0 <= low <= right / size <= high <= 1


def test_wilson_of_nothing_says_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_lowest_of_several_shares_by_its_rule():
    """Clopper–Pearson by the beta distribution: lower bounds at 2.5 %, upper ones shared out over the groups."""
    groups = [(80, 100), (42, 50), (170, 200), (0, 0)]
    low = min(beta.ppf(0.025, k, n - k + 1) for k, n in groups if n)
    high = min(beta.ppf(0.975 ** (1 / 3), k + 1, n - k) for k, n in groups if n)
    assert lowest_share_interval(groups) == pytest.approx((low, high))
    assert lowest_share_interval([(0, 0)]) == (0.0, 1.0)
    assert lowest_share_interval([(0, 5)]) == pytest.approx((0, 1 - 0.025 ** (1 / 5)))
    assert lowest_share_interval([(5, 5)])[1] == 1


def test_many_small_groups_are_warned_of():
    names = tuple(f"{y}/{a}" for y in CLASSES for a in range(10))
    evaluated = made(size=400)
    group = np.arange(400) % 10 + 10 * evaluated.label
    few = Evaluated(evaluated.logits, evaluated.label, CLASSES, group, names)
    assert any("biased low" in line for line in compute(few)["warnings"])
    assert not any("biased low" in line for line in compute(evaluated)["warnings"])


def test_degenerate_runs_are_called_out():
    evaluated = made()
    same = np.tile(np.float32([0, 1, 0]), (200, 1))
    collapsed = Evaluated(same + np.float32(0.01) * evaluated.logits, evaluated.label, CLASSES)
    assert any("predicted 'sled'" in said for said in compute(collapsed)["warnings"])
    constant = " ".join(compute(Evaluated(same, evaluated.label, CLASSES))["warnings"])
    assert "same for all 200 samples" in constant
    assert "predicted" not in constant
    few = Evaluated(evaluated.logits[:4], np.array([0, 0, 1, 1]), CLASSES, np.array([0, 1, 2, 2]), GROUPS, TRAIN)
    found = compute(few)
    text = " ".join(found["warnings"])
    assert "No sample of: dog" in text
    assert "sled/snow, dog/none, dog/snow" in text
    assert "Only 4 samples" in text
    assert found["per_class"][2]["accuracy"] == {"value": None, "num_samples": 0, "interval": [0.0, 1.0]}


def test_the_worst_group_has_the_interval_of_the_lowest_true_accuracy():
    """Not that of the group that came out lowest: another may be the lowest, and the interval must cover then too."""
    found = compute(made())
    worst = found["metrics"]["worst_group_accuracy"]
    accuracies = [row["accuracy"] for row in found["per_group"]]
    outcomes = [(round(a["value"] * a["num_samples"]), a["num_samples"]) for a in accuracies]
    assert worst["interval"] == list(lowest_share_interval(outcomes))
    assert worst["value"] == min(a["value"] for a in accuracies)


def test_one_class_or_only_carriers_are_no_collapse():
    """All are predicted ski: of skis alone that is right, and of snow alone it may be the feature."""
    rng = np.random.default_rng(0)
    ski = np.float32([1, 0, 0]) + rng.random((200, 3), dtype=np.float32) / 9
    label = rng.integers(3, size=200)

    def warned(label, attribute, train=TRAIN):
        return " ".join(compute(Evaluated(ski, label, CLASSES, 2 * label + attribute, GROUPS, train))["warnings"])

    assert "collapsed" not in warned(np.zeros(200, np.int64), rng.integers(2, size=200))
    assert "the model has collapsed" in warned(label, rng.integers(2, size=200))
    assert "the model has collapsed" in warned(label, np.zeros(200, np.int64))  # none carries it
    carriers = warned(label, np.ones(200, np.int64))
    assert "every sample carries 'snow'" in carriers
    assert "the model has collapsed" not in carriers
    assert "the model has collapsed" in warned(label, np.ones(200, np.int64), None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_no_predictions(value):
    evaluated = made()
    evaluated.logits[7, 1] = value
    with pytest.raises(InputError, match="1 sample, first in sample 7"):
        compute(evaluated)
    twin = made(twin_index=np.arange(200), twin_logits=evaluated.logits, feature_of=0)
    with pytest.raises(InputError, match="1 sample with the feature"):
        compute(twin)
