"""Measures of reliance: against slow loops written from their definitions, and what each can and cannot see."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from statistics import NormalDist, median

import numpy as np
import pytest

from spurcli.evaluation.auroc import Side, area_between
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.features import Feature, features_of_groups, is_absence
from spurcli.evaluation.intervals import lowest_share_interval
from spurcli.evaluation.judged import fit_thresholds, judge
from spurcli.evaluation.matched import fit_threshold, predict_at
from spurcli.evaluation.reliance import cells, flip_rate, margin, reliance

PROBIT = NormalDist().inv_cdf


# --- the definitions, in loops ---------------------------------------------------------------------------------------


def slow_margin(row, classes):
    return max(row[y] for y in classes) - max(z for y, z in enumerate(row) if y not in classes)


def slow_auroc(positive, negative):
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return won / (len(positive) * len(negative))


def slow_trimmed(values):
    cut = len(values) // 5
    kept = sorted(values)[cut : len(values) - cut]
    return sum(kept) / len(kept)


def slow_probit_gap(first, second):
    return math.sqrt(2) * (PROBIT(first) - PROBIT(second))


def natural(seed=0, size=240, num_classes=2):
    rng = np.random.default_rng(seed)
    label = rng.integers(num_classes, size=size)
    carries = rng.random(size) < np.where(label == 1, 0.7, 0.3)
    logits = rng.normal(size=(size, num_classes)) + 1.2 * np.eye(num_classes)[label]
    logits[:, 1] += 0.8 * carries
    return logits, label, carries


def split_cells(logits, label, carries, classes):
    """L of P0, P1, N0, N1 as lists."""
    found = {}
    for name, is_class, has in (("P0", True, False), ("P1", True, True), ("N0", False, False), ("N1", False, True)):
        rows = [i for i in range(len(label)) if (label[i] in classes) == is_class and bool(carries[i]) == has]
        found[name] = [slow_margin(logits[i], classes) for i in rows]
    return found


def test_natural_groups_of_two_classes():
    logits, label, carries = natural()
    slow = split_cells(logits, label, carries, (1,))
    found = reliance(cells(logits, label, carries, (1,)))
    areas = {
        "background_auroc": slow_auroc(slow["P0"], slow["N0"]),
        "subgroup_auroc": slow_auroc(slow["P1"], slow["N1"]),
        "bpsn_auroc": slow_auroc(slow["P0"], slow["N1"]),
        "bnsp_auroc": slow_auroc(slow["P1"], slow["N0"]),
    }
    for name, value in areas.items():
        assert found[name]["value"] == pytest.approx(value), name
    background, bpsn, bnsp = areas["background_auroc"], areas["bpsn_auroc"], areas["bnsp_auroc"]
    assert found["auroc_gap"]["value"] == pytest.approx(background - bpsn)
    assert found["probit_gap"]["value"] == pytest.approx(slow_probit_gap(background, bpsn))
    assert found["probit_gap_positives"]["value"] == pytest.approx(slow_probit_gap(bnsp, background))
    distance = slow_trimmed(slow["P0"]) - slow_trimmed(slow["N0"])
    effect = (slow_trimmed(slow["N1"]) - slow_trimmed(slow["N0"])) / distance
    assert found["feature_effect"]["value"] == pytest.approx(effect)
    middle = (median(slow["N1"]) - median(slow["N0"])) / (median(slow["P0"]) - median(slow["N0"]))
    assert found["feature_effect"]["median"] == pytest.approx(middle)
    effect = (slow_trimmed(slow["P1"]) - slow_trimmed(slow["P0"])) / distance
    assert found["feature_effect_positives"]["value"] == pytest.approx(effect)
    for name, entry in found.items():
        low, high = entry["interval"]
        assert low <= entry["value"] <= high, name


def test_pairs_of_ten_classes():
    rng = np.random.default_rng(1)
    label = rng.integers(10, size=400)
    logits = rng.normal(size=(400, 10)) + 2 * np.eye(10)[label]
    index = rng.permutation(400)[:300]
    twin = logits[index] + rng.random((300, 1)) * np.eye(10)[3]
    found = reliance(cells(logits, label, np.zeros(400, bool), (3,), twin_index=index, twin_logits=twin))
    low = [slow_margin(row, (3,)) for row in logits]
    high = [slow_margin(row, (3,)) for row in twin]
    p0 = [low[i] for i in range(400) if label[i] == 3]
    n0 = [low[i] for i in range(400) if label[i] != 3]
    n1 = [high[k] for k, i in enumerate(index) if label[i] != 3]
    moved = [high[k] - low[i] for k, i in enumerate(index) if label[i] != 3]
    distance = slow_trimmed(p0) - slow_trimmed(n0)
    assert found["feature_effect"]["value"] == pytest.approx(slow_trimmed(moved) / distance)
    assert found["feature_effect"]["median"] == pytest.approx(median(moved) / (median(p0) - median(n0)))
    assert found["bpsn_auroc"]["value"] == pytest.approx(slow_auroc(p0, n1))
    # within class at the classes' shares among the samples with the feature
    background = bpsn = 0.0
    for y in set(range(10)) - {3}:
        mine = [high[k] for k, i in enumerate(index) if label[i] == y]
        background += len(mine) / len(n1) * slow_auroc(p0, [low[i] for i in range(400) if label[i] == y])
        bpsn += len(mine) / len(n1) * slow_auroc(p0, mine)
    assert found["auroc_gap"]["value"] == pytest.approx(background - bpsn)
    assert found["probit_gap"]["value"] == pytest.approx(slow_probit_gap(background, bpsn))
    others = [k for k, i in enumerate(index) if label[i] != 3]
    before, after = logits[index[others]].argmax(axis=1), twin[others].argmax(axis=1)
    rate = flip_rate(before, after, (3,))
    kept = [k for k in range(len(others)) if before[k] != 3]
    assert rate["value"] == pytest.approx(sum(after[k] == 3 for k in kept) / len(kept))
    assert rate["num_samples"] == len(kept)


def test_a_contrast_is_within_class_whatever_the_classes_shares():
    """f does nothing; the harder class has more of the samples with f. Pooled AUROCs differ, the gap must not."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 0, 1, 1, 2, 2], [4000, 4000, 4000, 400, 400, 4000])
    carries = np.repeat([False, True, False, True, False, True], [4000, 4000, 4000, 400, 400, 4000])
    logits = rng.normal(size=(len(label), 3)) + np.array([3, 4, 1])[label][:, None] * np.eye(3)[label]
    found = reliance(cells(logits, label, carries, (0,)))
    assert found["background_auroc"]["value"] - found["bpsn_auroc"]["value"] > 0.015
    assert abs(found["auroc_gap"]["value"]) < 0.01
    assert abs(found["feature_effect"]["value"]) < 0.03
    assert found["auroc_gap"]["areas"][1] == pytest.approx(found["bpsn_auroc"]["value"])


# --- what each measure sees ------------------------------------------------------------------------------------------


@cache
def two_classes(push, threshold, distance=2.0, size=20_000):
    """L of class 1 is `distance` above class 0, sd 1; f moves it by `push`; the model predicts class 1 above 0."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], size // 2)
    low = distance * (label - 0.5) + rng.standard_normal(size) - threshold
    logits = np.stack([np.zeros(size), low], axis=1)
    twin = np.stack([np.zeros(size), low + push], axis=1)
    names = ("a/none", "a/f", "b/none", "b/f")
    counts = np.array([5000, 0, 2500, 2500])
    known = {"group": 2 * label, "group_names": names, "train_group_counts": counts, "feature_of": 1}
    index = np.arange(size)
    evaluated = Evaluated(logits.astype(np.float32), label, ("a", "b"), **known)
    twin32 = twin.astype(np.float32)
    full = Evaluated(logits.astype(np.float32), label, ("a", "b"), **known, twin_index=index, twin_logits=twin32)
    return judge(fit_thresholds(full, evaluated)).metrics


def rates(metrics):
    return {name: entry["value"] for name, entry in metrics.items()}


@pytest.mark.parametrize(
    ("name", "by_push", "by_threshold", "by_distance"),
    [
        ("background_auroc", False, False, True),
        ("subgroup_auroc", False, False, True),  # a constant push cancels: it says nothing on reliance
        ("bpsn_auroc", True, False, True),
        ("bnsp_auroc", True, False, True),
        ("auroc_gap", True, False, True),
        ("probit_gap", True, False, False),
        ("feature_effect", True, False, True),
        ("flip_rate", True, True, True),
        ("spurious_misclassification_all_matched", True, False, True),
        ("conflict_accuracy_matched", True, False, True),
    ],
)
def test_which_measure_follows_push_threshold_and_core(name, by_push, by_threshold, by_distance):
    base = rates(two_classes(0.8, 0.0))[name]
    moved = (
        rates(two_classes(1.2, 0.0))[name],
        rates(two_classes(0.8, 0.6))[name],
        rates(two_classes(0.8, 0.0, distance=3.0))[name],
    )
    follows = [abs(value - base) > 0.008 for value in moved]
    assert follows == [by_push, by_threshold, by_distance]


def test_the_push_comes_back_in_standard_deviations_and_in_distances():
    metrics = two_classes(0.8, 0.5)
    assert metrics["probit_gap"]["value"] == pytest.approx(0.8, abs=0.04)
    assert metrics["probit_gap_positives"]["value"] == pytest.approx(0.8, abs=0.04)
    assert metrics["feature_effect"]["value"] == pytest.approx(0.4, abs=0.01)
    assert metrics["background_auroc"]["value"] == pytest.approx(NormalDist().cdf(2 / math.sqrt(2)), abs=0.005)


def test_matched_on_all_of_val_would_hide_reliance():
    """Ten classes; half of the val samples of other classes carry f. A threshold from all of them hides the push."""
    rng = np.random.default_rng(0)
    size = 20_000
    label = rng.integers(10, size=size)
    carries = rng.random(size) < 0.5
    logits = rng.normal(size=(size, 10)) + 4 * np.eye(10)[label]
    logits[:, 0] += 8 * carries
    low = margin(logits, (0,))
    nobody = np.zeros(size, dtype=bool)
    mine = carries & (label != 0)
    for fitted_on, expected in ((nobody, 0.13), (carries, 0.99)):
        threshold = fit_threshold(low, label, fitted_on, (0,), "val")
        rate = (predict_at(logits, threshold.value, (0,))[mine] == 0).mean()
        assert rate == pytest.approx(expected, abs=0.08)


def test_the_threshold_is_where_as_many_are_predicted_as_labelled():
    logits, label, carries = natural(seed=3, size=2000)
    low = margin(logits, (1,))
    found = fit_threshold(low, label, carries, (1,), "val")
    # weighted to the classes' shares of all samples, by hand
    share = {y: (label == y).sum() / len(label) for y in (0, 1)}
    predicted = sum(share[y] * np.mean([value > found.value for value in low[(label == y) & ~carries]]) for y in (0, 1))
    assert predicted == pytest.approx(share[1], abs=1 / (~carries).sum())
    assert found.low < found.value < found.high
    assert (predict_at(logits, 0.0, (1,)) == logits.argmax(axis=1)).all()


# --- intervals -------------------------------------------------------------------------------------------------------


def share_covered(draw, truth, count=300):
    return np.mean([low <= truth <= high for low, high in (draw(seed) for seed in range(count))])


@pytest.mark.parametrize(("area", "sizes"), [(0.98, (20, 20)), (0.9, (20, 200)), (0.995, (100, 100)), (0.6, (20, 20))])
def test_auroc_intervals_cover(area, sizes):
    distance = math.sqrt(2) * PROBIT(area)

    def draw(seed):
        rng = np.random.default_rng(seed)
        positive, negative = distance + rng.standard_normal(sizes[0]), rng.standard_normal(sizes[1])
        low, high = area_between(Side(positive), Side(negative)).interval()
        assert low < high
        return low, high

    assert share_covered(draw, area) >= 0.93


@pytest.mark.parametrize(("groups", "size"), [(4, 10), (20, 50), (200, 20)])
def test_worst_group_intervals_cover(groups, size):
    def draw(seed):
        right = np.random.default_rng(seed).binomial(size, np.full(groups, 0.8))
        return lowest_share_interval((int(k), size) for k in right)

    assert share_covered(draw, 0.8) >= 0.95


@pytest.mark.parametrize("pairs", [True, False])
def test_probit_gap_and_effect_intervals_cover(pairs):
    hits = {"probit_gap": 0, "feature_effect": 0}
    for seed in range(250):
        rng = np.random.default_rng(seed)
        label = np.repeat([0, 1], [60, 40])
        low = 2.0 * label + rng.standard_normal(100)
        if pairs:
            known = {"twin_index": np.arange(100), "twin_logits": np.stack([0 * low, low + 0.8], axis=1)}
            carries = np.zeros(100, dtype=bool)
        else:
            known, carries = {}, np.arange(100) % 2 == 0
            low = low + 0.8 * carries
        found = reliance(cells(np.stack([0 * low, low], axis=1), label, carries, (1,), **known))
        for name, truth in (("probit_gap", 0.8), ("feature_effect", 0.4)):
            low_end, high_end = found[name]["interval"]
            hits[name] += (low_end is None or low_end <= truth) and (high_end is None or truth <= high_end)
    assert min(hits.values()) >= 0.93 * 250


# --- undefined, said so ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("empty", "undefined"),
    [
        ("P0", {"background_auroc", "bpsn_auroc", "auroc_gap", "probit_gap", "feature_effect"}),
        ("N1", {"bpsn_auroc", "subgroup_auroc", "auroc_gap", "probit_gap", "feature_effect"}),
        ("P1", {"subgroup_auroc", "bnsp_auroc"}),
    ],
)
def test_an_empty_cell_is_named(empty, undefined):
    logits, label, carries = natural()
    keep = ~((label == (1 if empty[0] == "P" else 0)) & (carries == (empty[1] == "1")))
    found = reliance(cells(logits[keep], label[keep], carries[keep], (1,)))
    for name, entry in found.items():
        if name.endswith("_positives"):
            continue
        assert (entry["value"] is None) == (name in undefined), name
        assert (empty in entry.get("reason", "")) == (name in undefined), name


def test_a_perfect_auroc_gives_a_bound_and_two_give_nothing():
    label = np.repeat([0, 0, 1], 10)
    carries = np.repeat([False, True, False], 10)
    ladder = np.linspace(0, 1, 10)
    low = np.concatenate([ladder - 3, ladder + 0.55, ladder + 1])
    found = reliance(cells(np.stack([0 * low, low], axis=1), label, carries, (1,)))["probit_gap"]
    bpsn = slow_auroc(ladder + 1, ladder + 0.55)
    assert found["bound"] == ">"
    assert found["value"] == pytest.approx(slow_probit_gap(1 - 1 / 100, bpsn))
    assert found["interval"][0] is not None
    assert found["interval"][1] is None
    low[10:20] -= 3
    found = reliance(cells(np.stack([0 * low, low], axis=1), label, carries, (1,)))["probit_gap"]
    assert found["value"] is None
    assert "in order" in found["reason"]


def test_no_class_distance_no_effect():
    rng = np.random.default_rng(0)
    label, carries = np.arange(400) % 2, np.arange(400) % 4 < 2
    found = reliance(cells(rng.normal(size=(400, 2)), label, carries, (1,)))["feature_effect"]
    assert found["value"] is None
    assert "zero" in found["reason"]


# --- which features --------------------------------------------------------------------------------------------------


def test_mirrored_features_are_averaged_and_both_shown():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=1200)
    attribute = np.where(rng.random(1200) < 0.5, label, 1 - label)
    low = 2.0 * label - 1 + rng.standard_normal(1200) + 0.5 * attribute
    names = ("landbird/land", "landbird/water", "waterbird/land", "waterbird/water")
    evaluated = Evaluated(
        np.stack([0 * low, low], axis=1).astype(np.float32),
        label,
        ("landbird", "waterbird"),
        2 * label + attribute,
        names,
        np.array([3498, 184, 56, 1057]),
    )
    found = judge(evaluated)
    metrics, records = found.metrics, found.records
    assert [(r["feature"], r["classes"]) for r in records] == [("water", ["waterbird"]), ("land", ["landbird"])]
    single = [r["metrics"]["probit_gap"]["value"] for r in records]
    assert metrics["probit_gap"]["value"] == pytest.approx(sum(single) / 2)
    assert metrics["bpsn_auroc"]["value"] == records[0]["metrics"]["bpsn_auroc"]["value"]
    assert records[0]["num_samples"]["N1"] == ((label == 0) & (attribute == 1)).sum()
    reason = metrics["conflict_accuracy_matched"]["reason"]
    assert metrics["conflict_accuracy_matched"]["value"] is None
    assert "val" in reason


@pytest.mark.parametrize(
    ("counts", "attributes", "found"),
    [
        ([5000, 0, 2500, 2500], ("none", "glasses"), [("glasses", (1,))]),
        ([3498, 184, 56, 1057], ("land", "water"), [("water", (1,)), ("land", (0,))]),
        # MultiNLI: negation goes with contradiction; "none" is no feature
        ([57498, 11158, 67376, 1521, 66630, 1992], ("none", "negation"), [("negation", (0,))]),
        # each attribute against the rest
        ([50, 30, 20, 50, 5, 45], ("none", "a", "b"), [("a", (0,)), ("b", (1,))]),
    ],
)
def test_features_from_training_counts(counts, attributes, found):
    classes = tuple("xyz"[: len(counts) // len(attributes)])
    features, reason = features_of_groups(np.array(counts), classes, attributes)
    assert [(f.name, f.classes) for f in features] == found
    assert reason == ""


def test_ties_are_said_and_no_mark_is_a_reason():
    features, _ = features_of_groups(np.array([50, 10, 10, 10, 50, 50]), ("x", "y"), ("none", "a", "b"))
    assert all("tie" in f.note for f in features)
    features, reason = features_of_groups(np.array([50, 50, 50, 50]), ("x", "y"), ("a", "b"))
    assert features == []
    assert "marks a class" in reason
    assert "--feature-of" in features_of_groups(None, ("x", "y"), ("a", "b"))[1]
    assert is_absence("no line")
    assert not is_absence("nose ring")


def test_without_groups_val_is_replaced_by_the_split_itself_and_said():
    logits, label, carries = natural(size=1000)
    names = ("a/none", "a/f", "b/none", "b/f")
    known = {"group": 2 * label + carries, "group_names": names, "train_group_counts": np.array([400, 20, 200, 200])}
    evaluated = Evaluated(logits.astype(np.float32), label, ("a", "b"), **known)
    val = Evaluated(logits.astype(np.float32), label, ("a", "b"))
    found = judge(fit_thresholds(evaluated, val))
    metrics, records = found.metrics, found.records
    assert metrics["conflict_accuracy_matched"]["threshold"] == "this split, samples without the feature"
    matched = judge(fit_thresholds(evaluated, replace(evaluated))).metrics["conflict_accuracy_matched"]
    assert matched["threshold"] == "val, samples without the feature"
    assert matched["value"] == metrics["conflict_accuracy_matched"]["value"]
    feature = Feature("f", (1,), 1)
    assert records[0]["feature"] == feature.name
