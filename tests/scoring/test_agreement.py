"""Agreement of runs against scipy's Spearman and a slow overlap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spurcli.scoring.agreement import agreement, overlap_of_hardest, spearman

VALUES = hnp.arrays(np.float32, 12, elements=st.sampled_from([0, 0.5, 1, 2, 3.5]))


@settings(max_examples=50, deadline=None)
@given(VALUES, VALUES)
def test_spearman_is_scipys(first, second):
    stats = pytest.importorskip("scipy.stats")
    if len(set(first.tolist())) == 1 or len(set(second.tolist())) == 1:
        assert spearman(first, second) == 0
    else:
        assert spearman(first, second) == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(VALUES, VALUES)
def test_overlap_against_a_slow_loop(first, second):
    hardest = [set(sorted(range(12), key=lambda i: (-values[i], i))[:3]) for values in (first, second)]
    assert overlap_of_hardest(first, second, 0.25) == len(hardest[0] & hardest[1]) / 3


def test_agreement_is_the_mean_over_pairs():
    a, b, c = np.arange(20), np.arange(20)[::-1].copy(), np.arange(20)
    found = agreement([x.astype(np.float32) for x in (a, b, c)])
    assert found.to_json() == {
        "spearman": pytest.approx(-1 / 3),
        "overlap_hardest_tenth": pytest.approx(1 / 3),
        "num_pairs": 3,
    }
