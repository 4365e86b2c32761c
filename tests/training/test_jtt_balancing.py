"""JTT's second stage and simple balancing: what is visited, how often, and what is refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import InputError, UsageError
from spurcli.training.method import Annotation, TrainingSamples, build_method


def samples(kept, errors=None, group=None, label=None) -> TrainingSamples:
    kept = np.array(sorted(kept), dtype=np.int64)
    size = int(kept.max()) + 1
    label = np.zeros(size, dtype=np.int64) if label is None else label
    groups = None if group is None else Annotation(group, "data set", tuple("abcdef"))
    error_set = None if errors is None else Annotation(np.array(sorted(errors), dtype=np.int64), "file")
    return TrainingSamples(kept, label[kept], 2, 8, groups, error_set)


@settings(max_examples=50, deadline=None)
@given(st.sets(st.integers(0, 99), min_size=1), st.sets(st.integers(0, 99)), st.integers(1, 9), st.integers(0, 9))
def test_jtt_visits_errors_as_often_as_it_says_and_all_others_once(kept, errors, upweight, epoch):
    """The error set counts λ times in all, not λ + 1; correct samples, and errors that are not kept, do not."""
    if not kept & errors:
        with pytest.raises(InputError, match="error set is empty among the samples kept"):
            build_method("jtt", {"upweight": upweight}, samples(kept, errors))
        return
    order = build_method("jtt", {"upweight": upweight}, samples(kept, errors)).order(0, epoch)
    expected = Counter({position: upweight if position in errors else 1 for position in kept})
    assert Counter(order.tolist()) == expected


def test_jtt_refuses_a_weight_that_would_remove_the_errors():
    with pytest.raises(UsageError, match=r"upweight = 0 is below 1"):
        build_method("jtt", {"upweight": 0}, samples(range(5), {1}))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(0, 2**40))
def test_subsets_hold_as_many_of_each_group_as_the_smallest_and_stay_the_same(codes, seed):
    group = np.array(codes)
    for name, known in (("subg", samples(range(len(group)), group=group)), ("suby", labelled(group))):
        method = build_method(name, {}, known)
        order = method.order(seed, 0)
        counts = Counter(group[order].tolist())
        smallest = min(Counter(codes).values())
        assert counts == dict.fromkeys(set(codes), smallest)
        assert len(set(order.tolist())) == len(order)
        assert set(method.order(seed, 7).tolist()) == set(order.tolist())


def labelled(label: np.ndarray) -> TrainingSamples:
    return TrainingSamples(np.arange(len(label)), label, 6, 8)


def test_another_seed_draws_another_subset():
    group = np.repeat([0, 1], [500, 20])
    method = build_method("subg", {}, samples(range(520), group=group))
    assert set(method.order(0, 0).tolist()) != set(method.order(1, 0).tolist())


@pytest.mark.parametrize("name", ["rwg", "rwy"])
def test_weights_are_one_over_the_size(name):
    group = np.repeat([0, 1, 5], [6000, 60, 600])
    known = samples(range(6660), group=group) if name == "rwg" else labelled(group)
    method = build_method(name, {}, known)
    drawn = np.concatenate([method.order(3, epoch) for epoch in range(6)])
    counts = np.bincount(group[drawn], minlength=6)
    assert all(abs(counts[code] - len(drawn) / 3) < 500 for code in (0, 1, 5))
    within = np.bincount(drawn, minlength=6660)[6000:6060]  # each of the 60 is expected 222 times
    assert within.min() > 150
    assert within.max() < 300
    assert np.unique(method.order(3, 0)).size < 6660  # with replacement
