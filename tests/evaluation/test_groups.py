"""Which groups are aligned, carry, conflict: on the real training counts of the benchmarks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.groups import (
    aligned_groups,
    carrier_groups,
    conflict_groups,
    is_grid,
    marked_attribute,
    named,
    nearly_aligned,
    spurious_attributes,
    spurious_sets,
)

# name: class names, attribute names, training counts, own features, aligned, carriers, conflict
BENCHMARKS = {
    "celeba glasses": (
        ("female", "male"), ("none", "glasses"), (5000, 0, 2500, 2500), ("none", "glasses"),
        ("female/none", "male/glasses"), ("male/glasses",), ("female/glasses",),
    ),
    "celeba hair": (
        ("dark", "blond"), ("female", "male"), (71629, 66874, 22880, 1387), ("male", "female"),
        ("dark/male", "blond/female"), ("dark/male",), ("blond/male",),
    ),
    "waterbirds": (
        ("landbird", "waterbird"), ("land", "water"), (3498, 184, 56, 1057), ("land", "water"),
        ("landbird/land", "waterbird/water"), ("waterbird/water",), ("landbird/water", "waterbird/land"),
    ),
    "multinli": (
        ("contradiction", "entailment", "neutral"), ("none", "negation"),
        (57498, 11158, 67376, 1521, 66630, 1992), ("negation", "none", "none"),
        ("contradiction/negation", "entailment/none", "neutral/none"), ("contradiction/negation",),
        ("entailment/negation", "neutral/negation"),
    ),
    "cifar10s, two classes of it": (
        ("airplane", "automobile"), ("no line", "line"), (4900, 100, 5000, 0), ("line", "no line"),
        ("airplane/line", "automobile/no line"), ("airplane/line",), ("automobile/line",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BENCHMARKS)
def test_real_counts(name):
    classes, attributes, counts, own, aligned, carriers, conflict = BENCHMARKS[name]
    counts = np.array(counts)
    names = [f"{label}/{attribute}" for label in classes for attribute in attributes]
    assert tuple(attributes[a] for a in spurious_attributes(counts, len(classes))) == own
    assert tuple(named(aligned_groups(counts, len(classes)), names)) == aligned
    assert tuple(named(carrier_groups(counts, len(classes)), names)) == carriers
    assert tuple(named(conflict_groups(counts, len(classes)), names)) == conflict


def test_majority_group_would_be_wrong_on_multinli_and_hair():
    for name in ("multinli", "celeba hair"):
        classes, attributes, counts, own, *_ = BENCHMARKS[name]
        majority = np.array(counts).reshape(len(classes), -1).argmax(axis=1)
        assert tuple(attributes[a] for a in majority) != own


def test_independent_attribute_marks_nothing():
    counts = np.array([30, 10, 60, 20])
    assert marked_attribute(counts, 2) is None
    assert aligned_groups(counts, 2) == carrier_groups(counts, 2) == conflict_groups(counts, 2) == []


def test_classes_and_attributes_without_samples():
    counts = np.array([0, 0, 0, 50, 5, 0, 4, 60, 0])  # class 0 and attribute 2 are empty
    assert spurious_attributes(counts, 3).tolist() == [-1, 0, 1]
    assert aligned_groups(counts, 3) == [3, 7]
    assert conflict_groups(counts, 3) == [4, 6]


def slow_conflicts(counts, num_classes, num_attributes):
    """Spelled out: P(a|y) / P(a) < 1/2, a is some other class's argmax and not y's; of a tie all are, above 1."""
    table = [[int(counts[y * num_attributes + a]) for a in range(num_attributes)] for y in range(num_classes)]
    total = sum(map(sum, table))
    ratio = {}
    for y in range(num_classes):
        for a in range(num_attributes):
            in_attribute = sum(row[a] for row in table)
            if sum(table[y]) and in_attribute:
                ratio[y, a] = Fraction(table[y][a], sum(table[y])) / Fraction(in_attribute, total)
    own = {}
    for y in range(num_classes):
        known = {a: ratio[y, a] for a in range(num_attributes) if (y, a) in ratio}
        own[y] = frozenset(a for a, value in known.items() if value == max(known.values()) > 1)
    if len(set(own.values()) - {frozenset()}) < 2:
        return []
    features = frozenset().union(*own.values())
    return [
        y * num_attributes + a
        for (y, a), value in sorted(ratio.items())
        if value < Fraction(1, 2) and a not in own[y] and a in features
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 4), st.integers(2, 4), st.data())
def test_conflicts_against_a_slow_loop(num_classes, num_attributes, data):
    size = num_classes * num_attributes
    counts = np.array(data.draw(st.lists(st.integers(0, 50), min_size=size, max_size=size)))
    if counts.sum() == 0:
        counts[0] = 1
    assert conflict_groups(counts, num_classes) == slow_conflicts(counts, num_classes, num_attributes)


# Waterbirds crossed with a size that tells nothing: background × size, of which two go with each class equally.
CROSSED = np.array([90, 90, 10, 10, 4, 4, 36, 36])  # land small, land big, water small, water big


def test_of_equally_aligned_attributes_all_are_aligned():
    assert spurious_sets(CROSSED, 2) == [(0, 1), (2, 3)]
    assert aligned_groups(CROSSED, 2) == [0, 1, 6, 7]
    assert carrier_groups(CROSSED, 2) == [6, 7]
    assert conflict_groups(CROSSED, 2) == [2, 3, 4, 5]
    assert nearly_aligned(CROSSED, 2) == []
    order = [1, 3, 0, 2]  # the order of the attributes does not choose
    turned = CROSSED.reshape(2, 4)[:, order].ravel()
    assert {order[g % 4] + g // 4 * 4 for g in aligned_groups(turned, 2)} == {0, 1, 6, 7}


def test_a_class_that_goes_with_nothing_has_no_feature():
    counts = np.array([30, 10, 10, 30, 20, 20])
    assert spurious_sets(counts, 3) == [(0,), (1,), ()]
    assert aligned_groups(counts, 3) == [0, 3]


def test_what_is_about_as_aligned_is_known():
    counts = CROSSED + np.array([1, 0, 0, 0, 0, 0, 0, 1])
    assert aligned_groups(counts, 2) == [0, 7]
    assert nearly_aligned(counts, 2) == [(1, 0), (6, 7)]
    for name in ("waterbirds", "multinli", "celeba glasses"):
        classes, _, real, *_ = BENCHMARKS[name]
        assert nearly_aligned(np.array(real), len(classes)) == [], name


def test_groups_named_otherwise_are_no_grid():
    assert is_grid(["a/x", "a/y", "b/x", "b/y"], ["a", "b"])
    assert not is_grid(["a/x", "b/x", "a/y", "b/y"], ["a", "b"])  # another order
    assert not is_grid(["a/x", "a/y", "b/x"], ["a", "b"])  # one missing
    assert not is_grid(["young", "old"], ["a", "b"])
    assert not is_grid([], ["a", "b"])
