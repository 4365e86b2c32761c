"""The page's primary comparisons, and what is claimed of each: from paired differences to outcomes."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.artifacts.envelope import canonical_json
from spurcli.reporting import claims
from spurcli.reporting.arms import Arm
from spurcli.reporting.document import ArmEntry, Claim, Comparison, ShownMetric
from spurcli.reporting.statistics import Paired

_REFERENCES = ("random", "all")
_GATES = ("feature_effect", "flip_rate")


def primary_comparisons(
    entries: Sequence[ArmEntry], compared: Sequence[Comparison], primary: ShownMetric | None
) -> list[Comparison]:
    """Of each fraction on the first split: the hardest against its control, and against ERM.

    They are fixed before any number is looked at, by which arms are there.
    """
    if primary is None:
        return []
    split = next((entry.split for entry in entries if primary.name in entry.metrics), None)
    return [
        item
        for item in compared
        if entries[item.arm].kind == "hardest"
        and entries[item.arm].split == split
        and entries[item.reference].kind in _REFERENCES
        and (primary.name in item.metrics or _has_reliance(item))
    ]


def claims_of(
    arms: Sequence[Arm],
    entries: Sequence[ArmEntry],
    chosen: Sequence[Comparison],
    primary: ShownMetric | None,
    *,
    level: float,
) -> list[Claim]:
    """What is claimed of the primary comparisons: on reliance where it was measured, else on the primary metric."""
    if primary is None:
        return []
    asked = [_asked(arms, entries, item, primary) for item in chosen]
    gates = [_gate(arms, entries, item) for item in chosen]
    return [
        Claim(
            arm=item.arm,
            reference=item.reference,
            measures=tuple(outcome.comparison.measures),
            result=outcome.result,
            is_claim=outcome.is_claim,
            p=outcome.p,
            p_adjusted=outcome.p_adjusted,
            moved=outcome.moved,
            has_lost_core=outcome.has_lost_core,
            reason=outcome.reason,
            collapsed=outcome.comparison.collapsed,
        )
        for item, outcome in zip(chosen, claims.outcomes_of(asked, gates, level=level), strict=True)
    ]


def _has_reliance(item: Comparison) -> bool:
    return any(name in item.metrics for name in claims.RELIANCE)


def _asked(
    arms: Sequence[Arm], entries: Sequence[ArmEntry], item: Comparison, primary: ShownMetric
) -> claims.Comparison:
    names = f"{entries[item.arm].short} − {entries[item.reference].short}"
    symptom = _lower_is_better(item.metrics.get(primary.name), primary)
    if _has_reliance(item):
        measures: dict[str, Paired | None] = {name: item.metrics.get(name) for name in claims.RELIANCE}
    else:
        measures = {primary.name: symptom}
    collapsed = tuple(
        dict.fromkeys(run.name for number in (item.arm, item.reference) for run in arms[number].runs if run.collapsed)
    )
    return claims.Comparison(names, measures, symptom, item.metrics.get(claims.CORE), collapsed)


def _lower_is_better(found: Paired | None, metric: ShownMetric) -> Paired | None:
    return found.turned() if found is not None and metric.lower_is_better is False else found


def _gate(arms: Sequence[Arm], entries: Sequence[ArmEntry], item: Comparison) -> claims.Gate:
    """By ERM of the same data, model, split and choice of epoch: the reference of a comparison, or another arm."""
    mine = arms[item.arm]
    for number in (item.reference, *range(len(arms))):
        arm = arms[number]
        if arm.kind != "all" or arm.section != mine.section or canonical_json(arm.base) != canonical_json(mine.base):
            continue
        for name in _GATES:
            found = entries[number].metrics.get(name)
            if found and found.interval and found.interval_of == "seeds":
                return claims.gate_of(found.interval)
    return "not known"
