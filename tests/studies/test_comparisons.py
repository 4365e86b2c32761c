"""Claims against numbers, by hand: every number here is made up."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t as student

from spurcli.errors import InputError

from .conftest import compare

SERIES = compare("series", series="hardest", control="random", expect="lower")


def seeds(series, x, values, place=("", "s"), first=0):
    return [(*place, series, x, seed, value) for seed, value in enumerate(values, first)]


def test_differences_are_paired_by_seed_at_the_same_x_of_the_same_place(study):
    """−4, −6, −8 over the three seeds that both have; the fourth does not count, nor another fraction."""
    rows = [*seeds("hardest", 20, (10, 30, 50, 99)), *seeds("random", 20, (14, 36, 58))]
    rows += [("", "t", "hardest", 20, 0, 1), ("", "t", "random", 50, 0, 1), ("", "u", "random", 20, 0, 1)]
    (found,) = study(SERIES, rows).verdicts
    half = student.ppf(0.975, 2) * 2 / math.sqrt(3)
    assert found.what == "hardest removed − random removed"
    assert (found.difference.mean, found.x) == (pytest.approx(-0.06), 20)
    assert found.difference.se == pytest.approx(0.02 / math.sqrt(3))
    assert found.difference.interval == pytest.approx([(-6 - half) / 100, (-6 + half) / 100], abs=1e-5)
    assert (found.difference.num_better, found.difference.num_pairs) == (3, 3)
    assert found.outcome == "as the paper says"


@pytest.mark.parametrize(("rows", "num"), [([("", "s", "random", "", 0, 9)], 2), ([("", "s", "random", 0, 0, 9)], 2)])
def test_a_control_without_x_serves_all(study, rows, num):
    rows = [*rows, ("", "s", "hardest", 20, 0, 1), ("", "s", "hardest", 50, 0, 1)]
    assert [found.x for found in study(SERIES, rows).verdicts] == [20, 50][:num]
    last = compare("series", series="hardest", control="random", x="last")
    assert [found.x for found in study(last, rows).verdicts] == [50]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((4, 5, 6, 5, 4), "as the paper says"),  # −10 at five seeds
        ((4, 5, 6), "as the paper says (a hint)"),
        ((25, 26, 24), "the opposite (a hint)"),
        ((5, 25, 15), "not settled"),
        ((4, 5), "too few seeds"),
    ],
)
def test_a_claim_has_five_seeds_as_in_every_report(study, values, words):
    rows = [*seeds("hardest", 20, values), *seeds("random", 20, [15] * len(values))]
    (found,) = study(SERIES, rows).verdicts
    assert found.words == words


def test_claims_are_adjusted_over_the_comparisons_of_a_figure(study):
    """One alone is a claim; as the largest p of three none of which is far below .05 it is a hint."""
    values, control = (10.2, 14.1, 9, 12.5, 13.9), [15] * 5
    rows = [*seeds("hardest", 20, values), *seeds("random", 20, control)]
    (alone,) = study(SERIES, rows).verdicts
    assert 0.02 < alone.difference.p < 0.05
    assert alone.is_claim
    rows += [row for x in (30, 40) for row in (*seeds("hardest", x, values), *seeds("random", x, control))]
    assert not any(found.is_claim for found in study(SERIES, rows).verdicts)


@pytest.mark.parametrize(
    ("values", "words", "agree"),
    [
        ((15.1, 14.8, 15.2), "even (a hint)", 2),
        ((15.1, 14.8, 15.2, 15, 15), "even", 2),
        ((12.1, 12.0, 11.9), "not even (a hint)", 3),  # clearly lower, and all three say so
        ((15, 25, 5), "not settled", 1),
    ],
)
def test_even_is_an_interval_near_none_and_not_a_wide_one(study, values, words, agree):
    rows = [*seeds("hardest", 20, values), *seeds("random", 20, [15] * len(values))]
    (found,) = study(compare("series", series="hardest", control="random", expect="even", margin=2), rows).verdicts
    assert (found.words, found.difference.num_better) == (words, agree)


@pytest.mark.parametrize(
    ("shape", "ends", "bend"),
    [
        (lambda x: x**2 / 100, "as the paper says", "as the paper says"),
        (lambda x: 10 * x**0.5, "as the paper says", "the opposite"),
        (lambda x: 50 - x / 2, "the opposite", "not settled"),
    ],
)
def test_a_curve_is_super_linear_where_it_bends_upwards(study, shape, ends, bend):
    noise = (-0.02, 0.01, 0.01)
    rows = [
        ("", "s", "hardest", x, seed, shape(x) + noise[(seed + x) % 3] * 3)
        for x in (0, 10, 30, 70, 100)  # not evenly spaced
        for seed in range(3)
    ]
    (found,) = study(compare("ends", expect="higher"), rows).verdicts
    assert found.outcome == ends
    (found,) = study(compare("bend", expect="higher"), rows).verdicts
    assert found.outcome == bend
    line = shape(0) + 0.3 * (shape(100) - shape(0))
    assert 100 * found.difference.mean == pytest.approx(line - shape(30), abs=0.2)


def test_ends_are_named_and_compared_only_where_both_are_there(study):
    """Of `hair` b − a is 30, 32 and 28; `glasses` has no b."""
    rows = [
        row
        for x, values in (("a", (50, 49, 51)), ("c", (1, 2, 1)), ("b", (80, 81, 79)))
        for row in seeds("erm", x, values)
    ]
    rows += seeds("erm", "a", (20, 21, 22), place=("", "glasses"))
    (found,) = study(compare("ends", between=["a", "b"], expect="higher"), rows).verdicts
    assert (found.what, found.key.setting) == ("ERM: b − a", "s")
    assert found.difference.mean == pytest.approx(0.30)


def test_what_is_overcome_falls_from_its_peak_by_more_than_its_control(study):
    """Seeds fall by 17, 22 and 18 from their own peaks, the control by 1, 0 and 2."""
    curves = {"hardest": ((20, 10, 3), (5, 25, 3), (19, 5, 1)), "random": ((3, 4, 3), (3, 3, 3), (4, 3, 2))}
    rows = [
        ("", "s", series, epoch, seed, value)
        for series, values in curves.items()
        for seed, curve in enumerate(values)
        for epoch, value in enumerate(curve)
    ]
    (found,) = study(compare("peak", series="hardest", control="random", expect="higher"), rows).verdicts
    assert found.difference.mean == pytest.approx(0.54 / 3)
    assert (found.what, found.outcome) == ("peak − end: hardest removed − random removed", "as the paper says")


def test_patterns_say_where_a_claim_holds(study):
    rows = [row for place in (("i", "Set 1"), ("ii", "set 2")) for row in seeds("erm", 0, (5,), place)]
    rows += [row for place in (("i", "Set 1"), ("ii", "set 2")) for row in seeds("erm", 9, (8,), place)]
    found = study(compare("ends", panel="i*", setting="SET 2"), rows).verdicts
    assert [item.key.place for item in found] == ["ii · set 2"]


@pytest.mark.parametrize(
    "text", ["compare = [{kind = 'sum'}]", compare("sum"), compare("ends", expect="more"), "colour = 1"]
)
def test_a_description_that_is_off_is_an_input_error(study, text):
    with pytest.raises(InputError):
        study(text)
