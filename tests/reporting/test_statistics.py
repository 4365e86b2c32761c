"""Means, spreads, intervals and paired differences against slow loops, tables of t and the textbook."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.reporting.statistics import mean, paired, sd, t_interval, t_quantile

numbers = st.floats(-1e3, 1e3, allow_nan=False)


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    # NIST/SEMATECH e-handbook, table 1.3.6.7.2, column 0.975
    [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (10, 2.228), (15, 2.131), (30, 2.042), (60, 2.000), (100, 1.984)],
)
def test_t_quantile_is_that_of_the_tables(degrees, quantile):
    assert t_quantile(degrees) == pytest.approx(quantile, abs=6e-4)


def test_t_quantile_falls_towards_the_normal():
    found = [t_quantile(degrees) for degrees in range(1, 400)]
    assert found == sorted(found, reverse=True)
    assert t_quantile(100_000) == pytest.approx(1.959964, abs=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(numbers, min_size=2, max_size=20))
def test_mean_and_sd_are_those_of_a_loop(values):
    total = 0.0
    for value in values:
        total += value
    centre = total / len(values)
    squares = 0.0
    for value in values:
        squares += (value - centre) ** 2
    assert mean(values) == pytest.approx(centre, abs=1e-9)
    assert sd(values) == pytest.approx(math.sqrt(squares / (len(values) - 1)), abs=1e-9)


def test_interval_covers_the_truth_in_about_95_of_100_draws():
    draw = random.Random(0)
    hits = 0
    for _ in range(2000):
        low, high = t_interval([draw.gauss(3, 2) for _ in range(5)])
        hits += low <= 3 <= high
    assert 0.935 < hits / 2000 < 0.965


def test_two_values_have_a_spread_but_no_interval():
    assert sd([1.0]) is None
    assert sd([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert t_interval([1.0, 3.0]) is None


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.integers(0, 9), numbers), st.dictionaries(st.integers(0, 9), numbers), st.booleans())
def test_paired_is_a_loop_over_the_seeds_that_both_have(first, second, lower_is_better):
    differences, better = [], 0
    for seed in range(10):
        if seed in first and seed in second:
            difference = first[seed] - second[seed]
            differences.append(difference)
            better += difference < 0 if lower_is_better else difference > 0
    found = paired(first, second, lower_is_better=lower_is_better)
    if not differences:
        assert found is None
        return
    assert (found.num_pairs, found.num_better) == (len(differences), better)
    assert found.mean == pytest.approx(sum(differences) / len(differences), abs=1e-9)
    if len(differences) > 1:
        centre = sum(differences) / len(differences)
        variance = sum((value - centre) ** 2 for value in differences) / (len(differences) - 1)
        assert found.se == pytest.approx(math.sqrt(variance / len(differences)), abs=1e-9)
    else:
        assert found.se is None


@pytest.mark.parametrize(
    ("differences", "clear"),
    [
        ([-0.1], False),
        ([-0.1, -0.1], False),  # two seeds never suffice, however equal
        ([-0.10, -0.11, -0.12], True),
        ([-0.10, 0.12, -0.11], False),
        ([0.0, 0.0, 0.0], False),  # nothing changed: no difference, though its standard error is zero
        ([0.1, 0.1, 0.1], True),
    ],
)
def test_clear_needs_two_standard_errors_and_three_seeds(differences, clear):
    assert paired(dict(enumerate(differences)), dict.fromkeys(range(9), 0.0)).clear is clear
