"""What is claimed over seeds: null pages rarely show a claim; each outcome comes where it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spurcli.reporting.claims import Comparison, best_of, gate_of, holm, is_equivalent, outcomes_of
from spurcli.reporting.statistics import Paired, paired


def of(values):
    """Differences, seed by seed."""
    return paired(dict(enumerate(values)), dict.fromkeys(range(len(values)), 0.0), lower_is_better=True)


def around(mean, spread, seeds=6):
    """Differences of exactly this mean and standard deviation."""
    shape = np.linspace(-1, 1, seeds)
    return of(mean + spread * shape / shape.std(ddof=1))


def compared(probit, effect, symptom=None, core=None, **more):
    return Comparison("x", {"probit_gap": probit, "feature_effect": effect}, symptom, core, **more)


def test_p_values_are_scipys():
    rng = np.random.default_rng(0)
    for size in (2, 3, 5, 12):
        first, second = rng.normal(size=(2, size))
        found = paired(dict(enumerate(first)), dict(enumerate(second)))
        assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert Paired(0.1, None, 1, 1, None).p is None
    assert of([0.0, 0.0, 0.0]).p == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def null_page(rng, seeds, count):
    """No effect anywhere. Comparisons share their reference arm; push and effect of a run go together."""
    arms = {}
    for name in ("probit_gap", "feature_effect", "symptom", "core"):
        common = rng.normal(size=seeds)  # a seed is easy or hard for all arms
        arms[name] = common + rng.normal(size=(count + 1, seeds))
    arms["feature_effect"] = 0.8 * arms["probit_gap"] + 0.6 * arms["feature_effect"]
    page = []
    for number in range(count):
        measured = {name: of(0.02 * (values[number + 1] - values[0])) for name, values in arms.items()}
        page.append(compared(measured["probit_gap"], measured["feature_effect"], measured["symptom"], measured["core"]))
    return page


@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize("count", [1, 4, 8])
def test_at_most_a_twentieth_of_null_pages_show_a_claim(seeds, count):
    rng = np.random.default_rng(seeds * 100 + count)
    pages = 400
    false = 0
    for _ in range(pages):
        outcomes = outcomes_of(null_page(rng, seeds, count), ["open"] * count)
        false += any(outcome.is_claim for outcome in outcomes)
    assert false / pages <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / pages)
    if seeds == 3:
        assert false == 0  # hints alone


def test_best_of_equal_methods():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(300):
        values = rng.normal(size=(6, 5))
        differences = {(str(a), str(b)): of(values[a] - values[b]) for a in range(6) for b in range(a)}
        false += min(best_of(differences).values()) <= 0.05
    assert false / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize(
    ("comparison", "result", "is_claim"),
    [
        (compared(around(-0.4, 0.1), around(-0.2, 0.05)), "leans less", True),
        (compared(around(0.4, 0.1), around(0.2, 0.05)), "worse", True),
        (compared(around(-0.4, 0.1), around(0.0, 0.05)), "mixed", True),
        (compared(around(-0.4, 0.1), around(0.2, 0.05)), "mixed", True),
        (compared(around(0.01, 0.02), around(0.0, 0.01), around(-0.1, 0.02)), "only the threshold moved", True),
        (compared(around(0.01, 0.3), around(0.0, 0.01), around(-0.1, 0.02)), "undecided", False),
        (compared(around(0.01, 0.02), around(0.0, 0.01), around(0.1, 0.02)), "undecided", False),
        (compared(around(-0.4, 0.1, seeds=4), around(-0.2, 0.05, seeds=4)), "leans less", False),
        (compared(around(-0.4, 0.1), None), "undecided", False),
        (compared(around(-0.4, 0.1), around(-0.2, 0.05), collapsed=("run 3",)), "leans less", False),
        (Comparison("x", {"conflict_accuracy": around(-0.1, 0.02)}), "better", True),
    ],
)
def test_outcomes(comparison, result, is_claim):
    (found,) = outcomes_of([comparison], ["open"])
    assert (found.result, found.is_claim) == (result, is_claim)


def test_a_claims_p_is_the_larger_of_both_and_holm_holds_it_to_the_page():
    weak = compared(around(-0.1, 0.05), around(-0.1, 0.08))
    (alone,) = outcomes_of([weak], ["open"])
    larger = max(paired.p for paired in weak.measures.values())
    assert alone.p == alone.p_adjusted == pytest.approx(larger)
    assert alone.result == "leans less"
    nothing = compared(around(0.0, 0.1), around(0.0, 0.1))
    found = outcomes_of([weak, nothing, nothing, nothing], ["open"] * 4)
    assert found[0].p_adjusted == pytest.approx(4 * larger)
    assert found[0].result != "leans less"


def test_core_loss_is_claimed_with_less_reliance_only():
    lost = around(-0.02, 0.004)
    (found,) = outcomes_of([compared(around(-0.4, 0.1), around(-0.2, 0.05), core=lost)], ["open"])
    assert (found.result, found.has_lost_core) == ("leans less", True)
    (found,) = outcomes_of([compared(around(0.0, 0.1), around(0.0, 0.05), core=lost)], ["open"])
    assert not found.has_lost_core


def test_the_gate():
    assert gate_of([-0.01, 0.03]) == "nothing to sever"
    assert gate_of([0.2, 0.4]) == "open"
    assert gate_of([-0.1, 0.3]) == "open"
    assert gate_of(None) == "not known"
    (found,) = outcomes_of([compared(around(-0.4, 0.1), around(-0.2, 0.05))], ["nothing to sever"])
    assert found.result == "nothing to sever"
    (found,) = outcomes_of([compared(around(0.4, 0.1), around(0.2, 0.05))], ["nothing to sever"])
    assert found.result == "worse"


def test_equivalence_is_shown_not_assumed():
    assert is_equivalent(around(0.01, 0.02), 0.1)
    assert not is_equivalent(around(0.01, 0.3), 0.1)
    assert not is_equivalent(around(0.0, 0.01, seeds=3), 0.1)
