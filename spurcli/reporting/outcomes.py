"""The first sentences: whether the model leans less on the feature, for readers who do not know the paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spurcli.reporting import sentences
from spurcli.reporting.claims import RELIANCE
from spurcli.reporting.document import Claim, Report
from spurcli.reporting.naming import lower_first
from spurcli.reporting.tables import interval_text
from spurcli.words import amount, counted, joined


def reliance_words(report: Report) -> list[str]:
    """A sentence for each kind of outcome on reliance, claims first; [] if it was not measured."""
    mine = [claim for claim in report.claims if set(claim.measures) == set(RELIANCE)]
    closed = [claim for claim in mine if claim.result == "nothing to sever"]
    said = [_gate_words(report, closed[0])] if closed else []
    alike: dict[tuple[Any, ...], list[Claim]] = {}  # references with the same outcome for one arm
    for claim in mine:
        if claim not in closed:
            order = (not claim.is_claim, claim.result == "undecided")
            facts = (claim.result, claim.has_lost_core, claim.reason, tuple(claim.moved), _feature(report, claim))
            alike.setdefault((order, facts, claim.arm), []).append(claim)
    kinds: dict[tuple[Any, ...], list[Claim]] = {}  # … and all arms with this outcome against these references
    for (order, facts, _), found in alike.items():
        references = tuple(dict.fromkeys(report.arms[claim.reference].kind for claim in found))
        kinds.setdefault((order, facts, references), []).extend(found)
    return [*said, *(_outcome_words(report, kinds[key]) for key in sorted(kinds, key=lambda key: key[0]))]


def _outcome_words(report: Report, alike: Sequence[Claim]) -> str:
    first = alike[0]
    shares = shares_of(list(dict.fromkeys(report.arms[claim.arm].short for claim in alike)))
    labels = {metric.name: lower_first(metric.label) for metric in report.metrics}
    clause = sentences.CLAUSES[first.result].format(
        feature=_feature(report, first),
        than=(" and " if first.result == "mixed" else " and than ").join(
            dict.fromkeys(sentences.THAN[report.arms[claim.reference].kind] for claim in alike)
        ),
        moved=joined([labels.get(name, name) for name in first.moved] or [""]),
    )
    clause += sentences.LOST_CORE.format(feature=_feature(report, first)) if first.has_lost_core else ""
    if first.is_claim:
        largest = max((claim.p_adjusted for claim in alike if claim.p_adjusted is not None), default=None)
        p = ""
        if largest is not None and first.result in ("leans less", "worse"):
            shown = f"{largest:.3f}".lstrip("0") if largest >= 0.001 else "< .001"
            p = sentences.P_VALUE.format(p=shown, count=number_of_comparisons(report)).replace("= <", "<")
        return sentences.CLAIMED.format(shares=shares, clause=clause, p=p)
    template = sentences.OPEN if first.result == "undecided" else sentences.HINTED
    return template.format(shares=shares, clause=clause, reason=first.reason)


def _feature(report: Report, claim: Claim) -> str:
    facts = [report.arms[claim.arm].facts.get(name, {}) for name in RELIANCE]
    return next((found["feature"] for found in facts if "feature" in found), "the feature")


def _gate_words(report: Report, claim: Claim) -> str:
    """The sentence for ERM with little reliance."""
    mine = report.arms[claim.arm]
    arms = [report.arms[claim.reference], *report.arms]
    for arm in (arm for arm in arms if arm.kind == "all" and (arm.split, arm.grouping) == (mine.split, mine.grouping)):
        for name in ("feature_effect", "flip_rate"):
            metric = next((found for found in report.metrics if found.name == name), None)
            if metric is not None and (level := arm.metrics.get(name)):
                return sentences.NOTHING_TO_SEVER.format(
                    feature=_feature(report, claim),
                    metric=lower_first(metric.label),
                    level=amount(level.mean, metric.unit),
                    interval=interval_text(level, metric.unit),
                )
    return ""


def number_of_comparisons(report: Report) -> str:
    return counted(len(report.claims), "primary comparison")


def shares_of(names: Sequence[str]) -> str:
    """ "hardest 10 %" and "hardest 20 %" as "the hardest 10 % and 20 %"; "without all of X" as "all of X"."""
    plain = [name.replace(" removed", "") for name in names]
    whole = [name.removeprefix("without ") for name in plain if name.startswith("without ")]
    parts = [name.removeprefix("hardest ") for name in plain if not name.startswith("without ")]
    return joined([*([f"the hardest {joined(parts)}"] if parts else []), *whole])
