"""The rules on synthetic scores of the benchmarks' real counts."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, UsageError
from spurcli.pruning.rules import quota_of, within_class
from spurcli.selection import parse_fraction, parse_select
from spurcli.stages.prune import prune


def split(counts, num_attributes):
    """label and attribute of a data set with these group counts, mixed."""
    group = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    return group // num_attributes, group % num_attributes


def removed_of(result, num_samples):
    kept = read_indices(result).kept(num_samples)
    mask = np.ones(num_samples, dtype=bool)
    mask[kept] = False
    return mask


def test_fractions_are_exact_decimals():
    assert quota_of(parse_fraction("0.29"), np.array([100])).tolist() == [29]
    assert int(0.29 * 100) == 28  # what floats would say
    assert quota_of(parse_fraction("0.1"), np.array([0, 9, 10, 19, 20])).tolist() == [0, 0, 1, 1, 2]


@settings(max_examples=60, deadline=None)
@given(st.decimals("0", "1", places=4), st.integers(0, 10**9))
def test_quotas_against_integer_arithmetic(fraction, size):
    expected = int(fraction.scaleb(4)) * size // 10_000
    assert quota_of(parse_fraction(str(fraction)), np.array([size])).tolist() == [expected]
    assert parse_fraction(str(fraction)) == Fraction(Decimal(fraction))


@pytest.mark.parametrize("text", ["-0.1", "1.01", "nan", "inf", "ten", "", "10%"])
def test_fractions_that_are_none(text):
    with pytest.raises(UsageError, match="--fraction"):
        parse_fraction(text)


@pytest.mark.parametrize("text", ["hardset", "5:5", "5:2", "-1:4", "a:b", ":", "3"])
def test_selections_that_are_none(text):
    with pytest.raises(UsageError, match="--select"):
        parse_select(text)


def test_per_class_removes_the_floor_of_each_class(score_file, tmp_path):
    """Trap 5: quotas of each class, not of the last one of a loop, and the fraction is what goes."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [100, 37, 5])
    values = rng.normal(size=142).astype(np.float32)
    result = prune([score_file(values, label)], fraction="0.29", per_class=True, output=tmp_path / "keep.txt")
    removed = removed_of(tmp_path / "keep.txt", 142)
    assert [int(removed[label == y].sum()) for y in range(3)] == [29, 10, 1]
    for y in range(3):
        mine = np.flatnonzero(label == y)
        assert values[mine[removed[mine]]].min() > values[mine[~removed[mine]]].max()
    assert (result["num_removed"], result["num_kept"]) == (40, 102)


def test_whole_set_and_easiest_and_direction(score_file, tmp_path):
    """Trap 4: for a score whose larger values are easier, the hardest have the smallest values."""
    values, label = np.arange(10, dtype=np.float32), np.array([0, 1] * 5)
    for higher_is, select, expected in (
        ("harder", "hardest", [8, 9]),
        ("harder", "easiest", [0, 1]),
        ("easier", "hardest", [0, 1]),
        ("easier", "easiest", [8, 9]),
        ("harder", "2:4", [2, 3]),
        ("easier", "2:4", [6, 7]),
    ):
        path = score_file(values, label, higher_is=higher_is)
        fraction = None if ":" in select else "0.2"
        prune([path], fraction=fraction, select=select, kind="remove", output=tmp_path / "remove.txt")
        assert read_indices(tmp_path / "remove.txt").indices.tolist() == expected, (higher_is, select)


def test_of_ties_the_lower_index_goes_first(score_file, tmp_path):
    path = score_file(np.ones(10), np.zeros(10, dtype=int), classes=["only"])
    for select in ("hardest", "easiest"):
        prune([path], fraction="0.3", select=select, kind="remove", output=tmp_path / "remove.txt")
        assert read_indices(tmp_path / "remove.txt").indices.tolist() == [0, 1, 2]


def test_waterbirds_real_counts(score_file, tmp_path):
    counts = [3498, 184, 56, 1057]
    label, place = split(counts, 2)
    values = np.random.default_rng(2).random(4795, dtype=np.float32)
    path = score_file(values, label, classes=["landbird", "waterbird"], attributes=("land", "water"), attribute=place)
    result = prune(
        [path], fraction="0.25", groups=["landbird/land", "waterbird/water"], balance_classes=True,
        output=tmp_path / "keep.txt",
    )  # fmt: skip
    removed = removed_of(tmp_path / "keep.txt", 4795)
    group = 2 * label + place
    assert [int(removed[group == g].sum()) for g in range(4)] == [3498 - (849 - 184), 0, 0, 264]
    assert [int((~removed & (label == y)).sum()) for y in (0, 1)] == [849, 849]
    assert result["num_kept"] == 1698
    land = np.flatnonzero(group == 0)
    assert values[land[removed[land]]].min() > values[land[~removed[land]]].max()  # more of the hardest
    assert result["warnings"] == []


def test_multinli_real_counts(score_file, tmp_path):
    counts = [57498, 11158, 67376, 1521, 66630, 1992]
    label, negation = split(counts, 2)
    classes = ["contradiction", "entailment", "neutral"]
    values = np.random.default_rng(3).random(sum(counts), dtype=np.float32)
    path = score_file(values, label, classes=classes, attributes=("none", "negation"), attribute=negation)
    groups = ["contradiction/negation", "entailment/none", "neutral/none"]
    result = prune([path], fraction="0.2", groups=groups, output=tmp_path / "keep.txt")
    removed = {row["name"]: row["num_removed"] for row in result["summary"]["by_group"]}
    assert removed == {
        "contradiction/none": 0, "contradiction/negation": 2231, "entailment/none": 13475,
        "entailment/negation": 0, "neutral/none": 13326, "neutral/negation": 0,
    }  # fmt: skip


def test_balancing_alone_and_random(score_file, tmp_path):
    label = np.repeat([0, 1, 2], [50, 20, 35])
    path = score_file(np.random.default_rng(0).random(105), label)
    for select in ("hardest", "easiest", "random"):
        prune([path], balance_classes=True, select=select, output=tmp_path / "keep.txt")
        kept = read_indices(tmp_path / "keep.txt").indices
        assert np.bincount(label[kept]).tolist() == [20, 20, 20]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=60))
def test_strata_within_class_are_the_pairs(pairs):
    label, group = (np.array(column, dtype=np.int16) for column in zip(*pairs, strict=True))
    strata = within_class(group, label, 3)
    names = sorted(set(pairs))
    assert [names[s] for s in strata] == pairs


def test_a_group_without_samples_is_no_silent_nothing(score_file, tmp_path):
    label, glasses = split([50, 0, 25, 25], 2)
    path = score_file(np.arange(100), label, classes=["f", "m"], attributes=("none", "glasses"), attribute=glasses)
    with pytest.raises(InputError, match="f/glasses has no training samples"):
        prune([path], fraction="0.1", groups=["f/glasses"], output=tmp_path / "keep.txt")
    with pytest.raises(UsageError, match="did you mean m/glasses"):
        prune([path], fraction="0.1", groups=["m/glases"], output=tmp_path / "keep.txt")
    result = prune([path], fraction="1", groups=["m/glasses"], output=tmp_path / "keep.txt")
    assert result["num_removed"] == 25
