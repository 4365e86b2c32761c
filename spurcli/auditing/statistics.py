"""The statistics that every finding gets, regardless of the finder, and whether they confirm it as a suspect. Effects and p-values are of half 1, which no finder searches.

docs/audit.md explains each. A statistic that is undefined has the value None and a reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.detectability import detectability
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.groups import MIN_CARRIERS, push_of_groups
from spurcli.auditing.suspect import (
    CONFIRMED,
    NOT_SUPPORTED,
    UNCONFIRMED,
    CarrierRow,
    Counterfactual,
    Finding,
    Suspect,
)
from spurcli.evaluation.reliance import Metric, cells, margin, reliance, undefined
from spurcli.evaluation.trimmed import degrees_left, trimmed_mean, trimmed_spread
from spurcli.reporting.claims import LEVEL, holm
from spurcli.student import two_sided_p

SMALLEST_EFFECT = 0.1  # of the model's own class distance; a smaller effect is not worth pruning
MEASURES = ("feature_effect", "probit_gap", "auroc_gap", "background_auroc", "feature_effect_positives")
_PAIRS, _GROUPS = "pairs", "groups"

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def judged(evidence: Evidence, findings: Sequence[Finding]) -> list[Suspect]:
    """A suspect for each finding, not yet in order; p-values are adjusted over all of them that could be tested (Holm)."""
    evidence.progress.start("judging suspects", len(findings))
    suspects = []
    for finding in findings:
        suspects.append(_judge(evidence, finding))
        evidence.progress.advance(1)
    tested = [number for number, suspect in enumerate(suspects) if suspect.p_value is not None]
    adjusted = holm([float(suspects[number].p_value or 0.0) for number in tested])
    for number, value in zip(tested, adjusted, strict=True):
        suspects[number] = _with_status(replace(suspects[number], p_adjusted=value))
    return suspects


def carries(presence: NDArray[np.float32]) -> Bools:
    """Which samples probably carry the feature (probability above ½), bool [n]; False if not known."""
    return np.asarray(np.nan_to_num(presence, nan=0.0) > 0.5)


def carrier_rows(evidence: Evidence, finding: Finding) -> dict[str, list[CarrierRow]]:
    """For each split and class: the number of samples, of known ones, and of carriers (the sum of probabilities)."""
    found: dict[str, list[CarrierRow]] = {}
    for split, presence in finding.presence.items():
        rows: list[CarrierRow] = []
        label = evidence.label(split)
        for y, name in enumerate(evidence.class_names):
            mine = presence[label == y]
            known = mine[~np.isnan(mine)]
            count = float(known.sum(dtype=np.float64))
            rows.append(
                {
                    "class": name,
                    "num_samples": len(mine),
                    "num_known": len(known),
                    "num_carriers": round(count, 2),
                    "share": count / len(known) if len(known) else None,
                }
            )
        found[split] = rows
    return found


def utility(evidence: Evidence, finding: Finding) -> Metric:
    """How the feature is linked to its class among the training samples of half 1: P(a | y) / P(a), and a test of it."""
    split = evidence.source
    presence = finding.presence[split]
    known = ~np.isnan(presence) & (evidence.half(split) == 1)
    if finding.label_index is None:
        return undefined("the feature does not belong to one class", int(known.sum()))
    mine = evidence.label(split) == finding.label_index
    inside, outside = presence[known & mine].astype(np.float64), presence[known & ~mine].astype(np.float64)
    if not len(inside) or not len(outside):
        return undefined("the carriers are known only in its class", int(known.sum()))
    share, other = float(inside.mean()), float(outside.mean())
    every = float(np.concatenate([inside, outside]).mean())
    error = math.sqrt(every * (1 - every) * (1 / len(inside) + 1 / len(outside)))
    return {
        "value": share / every if every else None,
        "num_samples": int(known.sum()),
        "share_in_class": share,
        "share_elsewhere": other,
        "p_value": _upper_tail((share - other) / error) if error else 1.0,
    }


def _upper_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _judge(evidence: Evidence, finding: Finding) -> Suspect:
    measures, judged_by = _reliance(evidence, finding)
    useful = utility(evidence, finding)
    p_value, reason = _tested(evidence, finding)
    if p_value is not None and finding.p_value is None and useful.get("p_value") is not None:
        p_value = max(p_value, useful["p_value"])
    if p_value is not None and finding.p_further is not None:
        p_value = max(p_value, finding.p_further)
    bound = _at_least(evidence, finding) if measures["feature_effect"]["value"] is None else None
    if bound is not None:
        measures["feature_effect"]["at_least"] = bound
    effect = effect_of(measures)
    rows = carrier_rows(evidence, finding)
    harm = None
    if effect is not None and finding.label_index is not None:
        counted = rows[evidence.source]
        harm = max(0.0, effect) * counted[finding.label_index]["num_carriers"]
    beyond = _beyond_control(evidence, finding, effect)
    p_effect = _p_value(evidence, finding)[0] if finding.doubt and effect is not None else None
    return _with_status(
        Suspect(
            finding=finding,
            rank=0,
            label=None if finding.label_index is None else evidence.class_names[finding.label_index],
            status=UNCONFIRMED,
            reason=reason,
            carriers=rows,
            utility=useful,
            detectability=detectability(evidence, finding),
            reliance=measures,
            judged_by=judged_by,
            beyond_control=beyond,
            expected_harm=harm,
            p_value=p_value,
            p_adjusted=p_value,
            has_effect=p_effect is not None and p_effect <= LEVEL and _is_large(effect) and _is_large(beyond),
            p_effect=p_effect,
            accuracy=_accuracy(evidence, finding),
        )
    )


def _is_large(effect: float | None) -> bool:
    return effect is None or effect >= SMALLEST_EFFECT


def _accuracy(evidence: Evidence, finding: Finding) -> dict[str, int]:
    """How many held-out samples of the class in half 1 carry the feature or not, and how many of them are predicted correctly."""
    split, y = evidence.held_out, finding.label_index
    presence = finding.presence.get(split)
    if y is None or presence is None:
        return {}
    chosen = (evidence.label(split) == y) & (evidence.half(split) == 1) & ~np.isnan(presence)
    right, mine = evidence.logits(split)[chosen].argmax(axis=1) == y, carries(presence)[chosen]
    return {
        "num_with": int(mine.sum()),
        "num_right_with": int(right[mine].sum()),
        "num_without": int((~mine).sum()),
        "num_right_without": int(right[~mine].sum()),
    }


def _tested(evidence: Evidence, finding: Finding) -> tuple[float | None, str]:
    """The p-value; the larger one if the finder also has its own; none for a finding that cannot be confirmed.

    A finder's own test says that carriers exist. Only held-out samples with the feature added show that the model moves.
    """
    if finding.doubt:
        return None, finding.doubt
    if finding.p_value is None:
        return _p_value(evidence, finding)
    if finding.counterfactual is None:
        return finding.p_value, ""
    value, reason = _p_value(evidence, finding)
    return (None, reason) if value is None else (max(value, finding.p_value), "")


def _with_status(suspect: Suspect) -> Suspect:
    effect = effect_of(suspect.reliance)
    if suspect.finding.doubt:
        reason = suspect.finding.doubt
        if suspect.has_effect:
            reason = f"one rule is not met, although the feature has an effect in the confirmation half: {reason}"
        return replace(suspect, status=UNCONFIRMED, reason=reason)
    if suspect.p_adjusted is None:
        return replace(suspect, status=UNCONFIRMED)
    if suspect.p_adjusted > LEVEL:
        reason = f"no effect in the confirmation half: adjusted p = {suspect.p_adjusted:.2g}"
        return replace(suspect, status=NOT_SUPPORTED, reason=reason)
    if effect is None:
        reason = f"its effect is undefined: {suspect.reliance['feature_effect']['reason']}"
        return replace(suspect, status=UNCONFIRMED, reason=reason)
    if effect < SMALLEST_EFFECT:
        reason = f"the feature effect {effect:.2f} is below {SMALLEST_EFFECT}"
        return replace(suspect, status=NOT_SUPPORTED, reason=reason)
    beyond = suspect.beyond_control
    if beyond is not None and beyond < SMALLEST_EFFECT:
        reason = f"a control moves the model almost as far: the difference of the effects, {beyond:.2f}, is below {SMALLEST_EFFECT}"
        return replace(suspect, status=NOT_SUPPORTED, reason=reason)
    return replace(suspect, status=CONFIRMED, reason="")


def _reliance(evidence: Evidence, finding: Finding) -> tuple[dict[str, Metric], str]:
    """The measures of docs/measures.md on the held-out samples of half 1, and whether from pairs or from groups."""
    names, split, y = MEASURES, evidence.held_out, finding.label_index
    twin, presence = finding.counterfactual, finding.presence.get(evidence.held_out)
    judged_by = _PAIRS if twin is not None else _GROUPS
    reason = ""
    if y is None:
        reason = "the feature does not belong to one class"
    elif twin is None and presence is None:
        reason = f"the carriers are not known for the split {split!r}"
    logits = evidence.logits(split)
    if finding.inferred and twin is None:  # outputs of the model must not be used to judge the model
        second = evidence.second_logits(split)
        if second is None and not reason:
            reason = "the carriers were inferred from the model itself" + (
                ": name another model with --second" if evidence.takes_second else ""
            )
        logits = logits if second is None else second
    if reason or y is None:
        return {name: undefined(reason) for name in names}, judged_by
    label = evidence.label(split)
    if presence is None:
        presence = np.full(len(label), np.nan, dtype=np.float32)
    chosen = evidence.half(split) == 1
    if twin is None:
        chosen &= ~np.isnan(presence)
    place = np.cumsum(chosen) - 1
    twin_index = twin_logits = None
    if twin is not None:
        mine = chosen[twin.index]
        twin_index, twin_logits = place[twin.index[mine]], twin.logits[mine]
    found = reliance(
        cells(
            logits[chosen],
            label[chosen],
            carries(presence)[chosen],
            [y],
            twin_index=twin_index,
            twin_logits=twin_logits,
        )
    )
    return {name: found[name] for name in names}, judged_by


def effect_of(measures: Mapping[str, Metric]) -> float | None:
    """The feature effect, or what it is at least where it is undefined; None if neither is known."""
    metric = measures["feature_effect"]
    value: float | None = metric["value"] if metric["value"] is not None else metric.get("at_least")
    return value


def _at_least(evidence: Evidence, finding: Finding) -> float | None:
    """What the feature effect is at least, without a control: the push over the distance of all samples of the class, carriers too.

    If nearly all samples of the class carry a feature on which the model leans, the class distance without the feature is undefined or near zero.
    Carriers have a higher L, so the distance with them is larger, and the ratio is smaller than the effect.
    """
    twin, split, y = finding.counterfactual, evidence.held_out, finding.label_index
    presence = finding.presence.get(split)
    if y is None or (twin is not None and twin.control is not None) or (twin is None and finding.inferred):
        return None
    label, low, chosen = evidence.label(split), margin(evidence.logits(split), [y]), evidence.half(split) == 1
    if twin is not None:
        pairs = chosen[twin.index] & (label[twin.index] != y)
        index = twin.index[pairs]
        found, outside = margin(twin.logits[pairs], [y]) - low[index], low[index]
    elif presence is not None:
        chosen &= ~np.isnan(presence)
        with_it, others = chosen & carries(presence) & (label != y), chosen & ~carries(presence) & (label != y)
        middles = {t: trimmed_mean(low[others & (label == t)]) for t in np.unique(label[others]).tolist()}
        index = np.flatnonzero(with_it & np.isin(label, list(middles)))
        found, outside = low[index] - np.array([middles[t] for t in label[index].tolist()]), low[others]
    else:
        return None
    inside = low[(label == y) & chosen]
    if min(len(inside), len(outside), len(found)) < MIN_CARRIERS:
        return None
    distance = trimmed_mean(inside) - trimmed_mean(outside)
    error = math.sqrt(float((trimmed_spread(inside) ** 2).sum() + (trimmed_spread(outside) ** 2).sum()))
    return trimmed_mean(found) / distance if distance > 2 * error else None


def _beyond_control(evidence: Evidence, finding: Finding, effect: float | None) -> float | None:
    """The feature effect minus that of the control; None without one."""
    twin = finding.counterfactual
    if twin is None or twin.control is None or effect is None:
        return None
    instead = replace(finding, counterfactual=Counterfactual(twin.index, twin.control))
    of_control: float | None = _reliance(evidence, instead)[0]["feature_effect"]["value"]
    return None if of_control is None else effect - of_control


def _p_value(evidence: Evidence, finding: Finding) -> tuple[float | None, str]:
    """One-sided p: the feature does not move the model towards its class, on held-out samples of half 1.

    With a second model the larger of both p-values. None with the reason where it cannot be tested.
    """
    if finding.label_index is None:
        return None, "the feature does not belong to one class"
    split = evidence.held_out
    models = [(evidence.logits(split), 0), (evidence.second_logits(split), 1)]
    values = []
    for logits, number in models:
        if logits is None:
            continue
        if finding.counterfactual is not None:
            value, reason = _p_of_pairs(evidence, finding, logits, second=number == 1)
        else:
            value, reason = _p_of_groups(evidence, finding, logits)
        if value is None:
            return None, reason
        values.append(value)
    return max(values), ""


def _p_of_pairs(
    evidence: Evidence, finding: Finding, logits: NDArray[np.float32], *, second: bool
) -> tuple[float | None, str]:
    twin, y = finding.counterfactual, finding.label_index
    assert twin is not None
    assert y is not None
    changed = twin.second if second else twin.logits
    control = twin.second_control if second else twin.control
    if changed is None:
        return None, "the second model was not run"
    split = evidence.held_out
    presence = finding.presence.get(split)
    mine = (evidence.half(split)[twin.index] == 1) & (evidence.label(split)[twin.index] != y)
    if presence is not None:
        mine &= ~carries(presence)[twin.index]
    before = logits[twin.index[mine]] if control is None else control[mine]
    return _p_above_zero(margin(changed[mine], [y]) - margin(before, [y]))


def _p_above_zero(values: Floats) -> tuple[float | None, str]:
    """One-sided p-value of the 20 %-trimmed mean (Yuen) against 0."""
    degrees = degrees_left(len(values)) if len(values) else 0
    if degrees < 2:
        return None, f"{len(values)} held-out samples of other classes are too few for a test"
    error = math.sqrt(float((trimmed_spread(values) ** 2).sum()))
    centre = trimmed_mean(values)
    if error == 0:
        return (0.0 if centre > 0 else 1.0), ""
    p = two_sided_p(centre / error, degrees) / 2
    return (p if centre > 0 else 1 - p), ""


def _p_of_groups(evidence: Evidence, finding: Finding, logits: NDArray[np.float32]) -> tuple[float | None, str]:
    """Carriers against the others within each class, in the feature's class and in the others (`spurcli.auditing.groups`)."""
    split, y = evidence.held_out, finding.label_index
    presence = finding.presence.get(split)
    if presence is None:
        return None, f"the carriers are not known for the split {split!r}"
    assert y is not None
    chosen = (evidence.half(split) == 1) & ~np.isnan(presence)
    z = push_of_groups(logits, evidence.label(split), carries(presence), chosen, y).z
    if z is None:
        return None, f"fewer than {MIN_CARRIERS} held-out samples of a class with and without it: nothing to compare"
    return _upper_tail(z), ""
