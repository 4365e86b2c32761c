"""Exact selection against numpy's lexsort, and the properties that follow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spurcli import selection
from spurcli.selection import count_codes, hardness_keys, random_keys, select_hardest

# few distinct values make ties; the rest is any finite float32, denormals and both zeros too
TIED = st.sampled_from([-2.5, -0.0, 0.0, 0.1, 0.1, 1.0])
ANY = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def cases(draw):
    size = draw(st.integers(1, 60))
    values = draw(hnp.arrays(np.float32, size, elements=draw(st.sampled_from([TIED, ANY]))))
    stratum = draw(hnp.arrays(np.int16, size, elements=st.integers(-1, 3)))
    quota = np.array([draw(st.integers(0, int((stratum == s).sum()))) for s in range(4)], dtype=np.int64)
    return values, stratum, quota


def slow_select(values, stratum, quota, *, largest):
    """Sort each stratum by (value, index); the first ones go."""
    selected = np.zeros(len(values), dtype=bool)
    for s, wanted in enumerate(quota):
        members = np.flatnonzero(stratum == s)
        ordered = members[np.lexsort((members, -values[members] if largest else values[members]))]
        selected[ordered[:wanted]] = True
    return selected


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["harder", "easier"]), st.booleans(), st.sampled_from([1, 7, 1 << 20]))
def test_against_lexsort(case, higher_is, invert, block):
    values, stratum, quota = case
    largest = (higher_is == "harder") != invert
    expected = slow_select(values, stratum, quota, largest=largest)
    keys = hardness_keys(values.copy(), higher_is)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "BLOCK", block)  # ties must be counted across blocks
        selected = select_hardest(keys, stratum, quota, invert=invert)
    assert np.array_equal(selected, expected)


@settings(max_examples=40, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_a_larger_quota_removes_a_superset(case, random):
    values, stratum, quota = case
    smaller = np.array([random.randint(0, int(size)) for size in quota], dtype=np.int64)
    keys = hardness_keys(values.copy(), "harder")
    large, small = select_hardest(keys, stratum, quota), select_hardest(keys, stratum, smaller)
    assert not (small & ~large).any()
    assert count_codes(stratum, 4, large).tolist() == quota.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.data())
def test_permuting_distinct_scores_permutes_the_selection(seed, size, data):
    rng = np.random.default_rng(seed)
    values = rng.permutation(np.linspace(-3, 3, size)).astype(np.float32)
    stratum = rng.integers(3, size=size).astype(np.int16)
    quota = np.array([data.draw(st.integers(0, int((stratum == s).sum()))) for s in range(3)], dtype=np.int64)
    order = rng.permutation(size)
    selected = select_hardest(hardness_keys(values.copy(), "harder"), stratum, quota)
    permuted = select_hardest(hardness_keys(values[order], "harder"), stratum[order], quota)
    assert np.array_equal(permuted, selected[order])


def test_thousands_of_strata_select_the_same_in_more_passes():
    rng = np.random.default_rng(0)
    num_strata = 5000
    stratum = rng.integers(num_strata, size=40_000).astype(np.int32)
    values = rng.normal(size=40_000).astype(np.float32).round(1)
    quota = np.bincount(stratum, minlength=num_strata) // 3
    assert len(list(selection._levels(num_strata))) > len(list(selection._levels(10))) == 3
    assert all((num_strata << bits) * 8 <= 1 << 25 for _, bits in selection._levels(num_strata))
    selected = select_hardest(hardness_keys(values.copy(), "harder"), stratum, quota)
    assert np.array_equal(selected, slow_select(values, stratum, quota, largest=True))


@pytest.mark.parametrize("num_strata", [1, 2, 1024, 1025, 1 << 20])
def test_levels_cover_all_32_bits(num_strata):
    levels = list(selection._levels(num_strata))
    assert sum(bits for _, bits in levels) == 32
    assert [shift for shift, _ in levels] == [32 - sum(b for _, b in levels[: n + 1]) for n in range(len(levels))]


@given(hnp.arrays(np.float32, st.integers(1, 50), elements=ANY))
@settings(max_examples=50, deadline=None)
def test_keys_are_in_the_order_of_the_values(values):
    keys = hardness_keys(values.copy(), "harder")
    for i in range(len(values)):
        for j in range(len(values)):
            assert (values[i] < values[j]) == (keys[i] < keys[j])


def test_count_codes_is_a_count():
    codes = np.array([0, 2, 2, -1, 1, 2], dtype=np.int16)
    chosen = np.array([True, True, False, True, False, True])
    assert count_codes(codes, 4).tolist() == [1, 1, 3, 0]
    assert count_codes(codes, 4, chosen).tolist() == [1, 0, 2, 0]


def test_random_keys_of_different_purposes_are_unrelated():
    """A control that drew the carriers' numbers would remove exactly the carriers (or none of them)."""
    size, tenth = 20_000, np.array([2_000])
    one = np.zeros(size, dtype=np.int16)
    draws = {p: select_hardest(random_keys(size, 0, p), one, tenth) for p in ("carriers", "prune", "matched control")}
    draws["another seed"] = select_hardest(random_keys(size, 1, "prune"), one, tenth)
    names = list(draws)
    for number, first in enumerate(names):
        assert draws[first].sum() == 2_000
        for second in names[number + 1 :]:
            both = (draws[first] & draws[second]).sum()  # 200 expected, sd 13
            assert 130 < both < 270, (first, second)
    assert np.array_equal(random_keys(50, 3, "prune"), random_keys(50, 3, "prune"))


def test_quartiles_look_at_all_samples_three_times(monkeypatch):
    """To count, to take those near a threshold, and to mark: three selections one after the other took twelve passes."""
    passes = []
    real = selection._strata_blocks
    monkeypatch.setattr(selection, "_strata_blocks", lambda *of: passes.append(1) or real(*of))
    values = np.random.default_rng(0).lognormal(size=4000).astype(np.float32)
    label = np.arange(4000, dtype=np.int16) % 5
    found = selection.quartiles(hardness_keys(values.copy(), "harder"), label, 5)
    assert len(passes) == 3
    for code in range(5):
        of_class = values[label == code]
        assert np.array_equal(found[label == code], np.argsort(np.argsort(of_class)) * 4 // len(of_class))
