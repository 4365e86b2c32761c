"""What may be claimed over seeds: few comparisons that are fixed in advance, Holm-adjusted; everything else is a hint.

"At least two standard errors" is not a test at 5 %: without any effect 18 % (3 seeds) to 9 % (8) of comparisons look clear,
and of a page with eight comparisons more than half show a false claim. With the rule
here at most 5 % of pages without an effect do, if no run collapsed (tests/reporting/test_claims.py; power in docs/measures.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spurcli.reporting.statistics import Paired
from spurcli.student import t_quantile

LEVEL = 0.05
# Minimum seeds for a claim, and recommended seeds; recommended maximum of comparisons on a page.
MIN_SEEDS, ADVISED_SEEDS, ADVISED_COMPARISONS = 5, 7, 4
RELIANCE = ("probit_gap", "feature_effect")
CORE = "background_auroc"
# A change within this counts as no change: standard deviations of the push, shares of the class distance.
MARGINS = {"probit_gap": 0.1, "feature_effect": 0.05}
# How certain a change of the symptom must be for "only the threshold moved": this test is outside the 5 % of the claims, so its level is stricter.
_SYMPTOM_LEVEL = 0.005

# "better" where reliance was not measured, and the claim is about another metric.
Result = Literal["leans less", "better", "worse", "mixed", "only the threshold moved", "nothing to sever", "undecided"]
Gate = Literal["open", "nothing to sever", "not known"]


@dataclass(frozen=True)
class Comparison:
    """An arm against its reference on the primary measures: differences paired by seed, None where undefined.

    `symptom` is the difference on the metric that users feel (SM, conflict accuracy), with its sign turned so that
    lower is better, as in all of them; `core` that of background_auroc. `collapsed` names failed runs.
    """

    name: str
    measures: Mapping[str, Paired | None]
    symptom: Paired | None = None
    core: Paired | None = None
    collapsed: tuple[str, ...] = ()

    @property
    def is_on_reliance(self) -> bool:
        return set(self.measures) == set(RELIANCE)

    @property
    def is_testable(self) -> bool:
        """Whether every measure has the seeds that a claim needs, and no run collapsed."""
        return not self.collapsed and all(p is not None and p.num_pairs >= MIN_SEEDS for p in self.measures.values())


@dataclass(frozen=True)
class Outcome:
    """The claim or hint for a comparison.

    `p` is the larger of the measures' p-values, `p_adjusted` the same after Holm's step-down. `moved` names the
    measures that a "mixed" result rests on; `has_lost_core` is also a claim. `reason` says why nothing is claimed.
    """

    comparison: Comparison
    result: Result
    is_claim: bool
    p: float | None = None
    p_adjusted: float | None = None
    moved: tuple[str, ...] = ()
    has_lost_core: bool = False
    reason: str = ""


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, position in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[position]))
        adjusted[position] = highest
    return adjusted


def outcomes_of(comparisons: Sequence[Comparison], gates: Sequence[Gate], *, level: float = LEVEL) -> list[Outcome]:
    """The outcome of each of a page's primary comparisons, all of one family; `gates` say whether there is reliance.

    Two measures: a comparison is rejected by Simes' p (the larger p, or twice the smaller), in Holm's order. Then both
    measures lower is "leans less" and both higher is "worse" if the larger p is below the step's level too; else the
    smaller one is "mixed". So at most `level` of pages without any effect show a claim of these, however arms are
    shared. A loss of core is tested only where less reliance is claimed, in a family of its own.
    """
    tested = [n for n, comparison in enumerate(comparisons) if comparison.is_testable]
    simes = [_simes(_p_values(comparisons[n])) for n in tested]
    order = sorted(range(len(tested)), key=lambda rank: simes[rank])
    adjusted = dict(zip(tested, holm(simes), strict=True))
    steps = {tested[position]: len(tested) - rank for rank, position in enumerate(order)}
    symptoms = holm([_p(comparisons[n].symptom) for n in tested])
    core = holm([_p(comparisons[n].core) for n in tested])
    outcomes = []
    for number, (comparison, gate) in enumerate(zip(comparisons, gates, strict=True)):
        if number not in adjusted:
            outcomes.append(_hint(comparison, gate))
            continue
        position = tested.index(number)
        is_rejected = adjusted[number] <= level
        outcome = _outcome(comparison, gate, is_rejected, steps[number], symptoms[position], level)
        if outcome.result == "leans less" and core[position] <= level and _lower(comparison.core):
            outcome = replace(outcome, has_lost_core=True)
        outcomes.append(outcome)
    return outcomes


def _outcome(
    comparison: Comparison, gate: Gate, is_rejected: bool, step: int, symptom_p: float, level: float
) -> Outcome:
    p_values = _p_values(comparison)
    p_adjusted = min(1.0, step * max(p_values.values()))
    outcome = Outcome(comparison, "undecided", is_claim=True, p=max(p_values.values()), p_adjusted=p_adjusted)
    moved = tuple(p_values) if p_adjusted <= level else (min(p_values, key=lambda name: p_values[name]),)
    lower = {_lower(comparison.measures[name]) for name in moved}
    if is_rejected and lower == {False}:
        return replace(outcome, result="worse", moved=moved)
    if gate == "nothing to sever":
        return replace(outcome, result="nothing to sever")
    if is_rejected:
        is_all = lower == {True} and len(moved) == len(p_values)
        return replace(outcome, result=_fallen(comparison) if is_all else "mixed", moved=moved)
    has_moved = symptom_p <= _SYMPTOM_LEVEL * level / LEVEL and _lower(comparison.symptom)
    if comparison.is_on_reliance and has_moved and _is_unchanged(comparison):
        return replace(outcome, result="only the threshold moved")
    return replace(outcome, is_claim=False, reason="no claim is not “no effect”")


def _is_unchanged(comparison: Comparison) -> bool:
    return all(is_equivalent(paired, MARGINS[name]) for name, paired in comparison.measures.items())


def _fallen(comparison: Comparison) -> Result:
    return "leans less" if comparison.is_on_reliance else "better"


def _hint(comparison: Comparison, gate: Gate) -> Outcome:
    """For too few seeds, a collapsed run, or an undefined measure: the direction of the signs, not a claim."""
    found = {name: paired for name, paired in comparison.measures.items() if paired is not None}
    if gate == "nothing to sever":
        return Outcome(comparison, "nothing to sever", is_claim=False, reason="ERM leans on nothing")
    if comparison.collapsed:
        reason = f"collapsed: {', '.join(comparison.collapsed)}"
    elif missing := [name for name, paired in comparison.measures.items() if paired is None]:
        reason = f"undefined: {', '.join(missing)}"
    else:
        reason = f"fewer than {MIN_SEEDS} paired seeds"
    signs = {_lower(paired) for paired in found.values() if _p(paired) < LEVEL}
    result: Result = "undecided"
    if len(signs) == 1 and len(found) == len(comparison.measures) and all(_p(p) < LEVEL for p in found.values()):
        result = _fallen(comparison) if signs.pop() else "worse"
    return Outcome(comparison, result, is_claim=False, reason=reason)


def gate_of(interval: Sequence[float] | None) -> Gate:
    """Whether ERM leans on the feature at all, by the 95 % interval of its feature_effect (or flip_rate) over seeds.

    auroc_gap is not used, because it saturates. There is nothing to sever if even the upper end is within the margin.
    """
    if interval is None:
        return "not known"
    return "nothing to sever" if interval[1] < MARGINS["feature_effect"] else "open"


def is_equivalent(paired: Paired | None, margin: float) -> bool:
    """Whether the 90 % interval of a difference lies within ± margin (two one-sided tests at 5 %)."""
    if paired is None or paired.se is None or paired.num_pairs < MIN_SEEDS:
        return False
    half = t_quantile(paired.num_pairs - 1, 0.95) * paired.se
    return -margin < paired.mean - half and paired.mean + half < margin


def best_of(differences: Mapping[tuple[str, str], Paired | None]) -> dict[tuple[str, str], float]:
    """Holm-adjusted p-values of all k(k−1)/2 pairs of methods; 1 for a pair with too few seeds.

    Adjusting only over the pairs with the best method would give false claims on 11 to 13 % of pages of equal methods.
    """
    p_values = [
        paired.p if paired is not None and paired.num_pairs >= MIN_SEEDS and paired.p is not None else 1.0
        for paired in differences.values()
    ]
    return dict(zip(differences, holm(p_values), strict=True))


def _p_values(comparison: Comparison) -> dict[str, float]:
    return {name: _p(paired) for name, paired in comparison.measures.items()}


def _simes(p_values: Mapping[str, float]) -> float:
    ordered = sorted(p_values.values())
    return min(1.0, *(len(ordered) * p / (rank + 1) for rank, p in enumerate(ordered)))


def _p(paired: Paired | None) -> float:
    return paired.p if paired is not None and paired.p is not None else 1.0


def _lower(paired: Paired | None) -> bool:
    return paired is not None and paired.mean < 0
