"""The measures of reliance of an evaluated split: one record for each feature, and the metrics of the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.logit_checks import what_instead
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.features import Feature, are_mirrored, features_of_groups, named_features
from spurcli.evaluation.matched import cross_fitted, fit_threshold, predict_at, share_at
from spurcli.evaluation.reliance import Integers, Metric, cells, flip_rate, margin, reliance, undefined
from spurcli.groups import conflict_groups

# Averaged over both directions where two classes have mirrored features.
_AVERAGED = ("background_auroc", "auroc_gap", "probit_gap", "feature_effect")
_NO_THRESHOLD = "no threshold: the predictions of the val split are not known"


@dataclass(frozen=True)
class _View:
    """The data for one feature: its carriers, and the twin if it was injected."""

    logits: NDArray[np.float32]
    label: Integers
    carries: NDArray[np.bool_]
    conflicting: NDArray[np.bool_]
    twin_index: Integers | None
    twin_logits: NDArray[np.float32] | None


@dataclass(frozen=True)
class Judged:
    """`metrics` of the first feature, `records` of each (docs/formats.md), or the `reason` why there is none."""

    metrics: Mapping[str, Metric]
    records: Sequence[JsonObject]
    reason: str


def features_of(evaluated: Evaluated) -> tuple[list[Feature], str]:
    """The features that the evaluation can judge, or the reason why there is none."""
    if evaluated.features is not None:
        return list(evaluated.features), "" if evaluated.features else "no feature was named"
    attributes = attribute_names(evaluated)
    if evaluated.twin_logits is not None and evaluated.feature_of is not None:
        name = attributes[1] if len(attributes) == 2 else "the injected feature"
        found = [Feature(name, (evaluated.feature_of,))]
        if evaluated.twin_class is not None and len(evaluated.class_names) > 2:
            found.append(Feature(name, (evaluated.feature_of,), against=evaluated.twin_class))
        return found, ""
    if evaluated.group is None:
        return [], "the carriers of a feature are not known, because there are no groups"
    return features_of_groups(evaluated.train_group_counts, evaluated.class_names, attributes)


def with_features(evaluated: Evaluated, words: Sequence[str]) -> Evaluated:
    """The same evaluation for the features that `words` name, each as CLASS/ATTRIBUTE; unchanged without words."""
    if not words:
        return evaluated
    features = named_features(words, evaluated.class_names, evaluated.group_names)
    if evaluated.twin_logits is not None and evaluated.feature_of is not None:
        # the injected feature by its group's name: its carriers are the twin
        own = ((evaluated.feature_of,), 1)
        features = [replace(f, attribute=None) if (f.classes, f.attribute) == own else f for f in features]
    return replace(evaluated, features=tuple(features))


def attribute_names(evaluated: Evaluated) -> list[str]:
    """The attributes of a grid of groups, "class/attribute"."""
    width = len(evaluated.group_names) // max(1, len(evaluated.class_names))
    return [name.removeprefix(f"{evaluated.class_names[0]}/") for name in evaluated.group_names[:width]]


def fit_thresholds(evaluated: Evaluated, val: Evaluated | None) -> Evaluated:
    """With the features judged, and for each the threshold matched on the val split (`val`, without its twin).

    If `val` does not tell which samples carry the feature, or is the split itself (the same object), the threshold is
    cross-fitted on the split itself. Without `val` there is none.
    """
    if val is not None and not np.isfinite(val.logits).all():
        val = None  # another split does not decide whether this one can be evaluated
    known = features_of(evaluated)[0]
    if not known:
        return evaluated
    features = []
    for feature in known:
        fitted = None
        if val is not None and val is not evaluated and (feature.attribute is None or val.group is not None):
            seen = _view(replace(val, twin_index=None, twin_logits=None), feature)
            low = margin(val.logits, feature.classes)
            fitted = fit_threshold(low, val.label, seen.carries, feature.classes, "val, samples without the feature")
        features.append(replace(feature, threshold=fitted, cross_fit=fitted is None and val is not None))
    return replace(evaluated, features=tuple(features))


def judge(evaluated: Evaluated) -> Judged:
    """All measures of reliance that can be computed."""
    features, reason = features_of(evaluated)
    if features and (found := what_instead(evaluated.logits)):
        return Judged({}, [], f"{found[0]}, not logits: L cannot be computed from them")
    records = [_record(evaluated, feature) for feature in features]
    if not records:
        return Judged({}, [], reason)
    own = {name: entry for name, entry in records[0]["metrics"].items() if not name.endswith("_matched")}
    first = {name: {**entry, **_about(records[0])} for name, entry in own.items()}
    width = len(attribute_names(evaluated))
    if are_mirrored(features, len(evaluated.class_names), width):
        first |= {name: _mean(name, records) for name in _AVERAGED}
    return Judged({**first, **_matched(records, evaluated)}, records, "")


def _about(record: Mapping[str, Any]) -> dict[str, str]:
    return {"feature": record["feature"], "of": " and ".join(record["classes"])}


def _record(evaluated: Evaluated, feature: Feature) -> JsonObject:
    view = _view(evaluated, feature)
    found = cells(
        view.logits,
        view.label,
        view.carries,
        feature.classes,
        against=feature.against,
        twin_index=view.twin_index,
        twin_logits=view.twin_logits,
    )
    metrics = reliance(found)
    if view.twin_index is not None and view.twin_logits is not None:
        label = view.label[view.twin_index]
        mine = ~np.isin(label, feature.classes) if feature.against is None else label == feature.against
        mine &= ~view.carries[view.twin_index]
        before = view.logits[view.twin_index[mine]].argmax(axis=1)
        metrics["flip_rate"] = flip_rate(before, view.twin_logits[mine].argmax(axis=1), feature.classes)
    metrics |= _at_threshold(view, feature)
    names = evaluated.class_names
    return {
        "feature": feature.name,
        "classes": [names[y] for y in feature.classes],
        "against": names[feature.against] if feature.against is not None else None,
        "is_injected": feature.attribute is None,
        "num_samples": {
            "P0": len(found.positive.without),
            "P1": len(found.positive.carrying),
            "N0": len(found.negative.without),
            "N1": len(found.negative.carrying),
        },
        "note": feature.note,
        "threshold": feature.threshold.to_json() if feature.threshold else None,
        "metrics": metrics,
    }


def _view(evaluated: Evaluated, feature: Feature) -> _View:
    label = evaluated.label
    width = max(1, len(attribute_names(evaluated)))
    carries = np.zeros(len(label), dtype=bool)
    attribute = 1 if feature.attribute is None else feature.attribute
    if evaluated.group is not None and (feature.attribute is not None or width == 2):
        carries = evaluated.group % width == attribute
    counts = evaluated.train_group_counts
    conflict = conflict_groups(counts, len(evaluated.class_names)) if counts is not None else None
    is_injected = feature.attribute is None
    twin_index = evaluated.twin_index if is_injected else None
    seen = label if twin_index is None else label[twin_index]
    conflicting = np.ones(len(seen), dtype=bool)
    if conflict is not None:
        conflicting = np.isin(seen * width + attribute, conflict)
    return _View(
        evaluated.logits, label, carries, conflicting, twin_index, evaluated.twin_logits if is_injected else None
    )


def _at_threshold(view: _View, feature: Feature) -> dict[str, Metric]:
    """Conflict accuracy and spurious misclassification of N with the feature at the matched threshold."""
    names = ("conflict_accuracy_matched", "spurious_misclassification_matched")
    mine = list(feature.classes)
    if view.twin_index is not None and view.twin_logits is not None:
        logits, position = view.twin_logits, view.twin_index
        chosen = ~view.carries[position]
    else:
        logits, position = view.logits, np.arange(len(view.label))
        chosen = view.carries.copy()
    label = view.label[position]
    chosen &= ~np.isin(label, mine) if feature.against is None else label == feature.against
    fitted: tuple[Any, Any, Any] | None = None
    facts: dict[str, str] = {}
    if feature.threshold is not None:
        fitted = (feature.threshold.value, feature.threshold.low, feature.threshold.high)
        facts = {"threshold": feature.threshold.source}
    elif feature.cross_fit:
        fitted, facts = _own_threshold(view, feature, position)
    if fitted is None:
        reason = "no class has samples without the feature to fit it on" if feature.cross_fit else _NO_THRESHOLD
        return {name: undefined(reason, int(chosen.sum())) for name in names}
    predicted = [predict_at(logits, threshold, mine) for threshold in fitted]
    in_conflict = chosen & view.conflicting

    def share(what: Callable[[Integers], NDArray[np.bool_]], of: NDArray[np.bool_]) -> Metric:
        return {**share_at([what(found)[of] for found in predicted]), **facts}

    right = share(lambda found: found == label, in_conflict)
    if not in_conflict.any():
        right["reason"] = "no sample of a conflict group carries this feature"
    return {names[0]: right, names[1]: share(lambda found: np.isin(found, mine), chosen)}


def _own_threshold(view: _View, feature: Feature, position: Integers) -> tuple[Any, dict[str, str]]:
    low = margin(view.logits, feature.classes)
    if view.twin_index is not None:
        halves = cross_fitted(low, view.label, view.carries, feature.classes)
        chosen = tuple(found[position] for found in halves) if halves is not None else None
        return chosen, {"threshold": "cross-fitted on this split, samples without the feature"}
    fitted = fit_threshold(low, view.label, view.carries, feature.classes, "")
    own = (fitted.value, fitted.low, fitted.high) if fitted is not None else None
    return own, {"threshold": "this split, samples without the feature"}


def _mean(name: str, records: Sequence[Mapping[str, Any]]) -> Metric:
    """The mean over both directions; the interval is the mean of both ends, which is wide enough for any correlation."""
    entries = [record["metrics"][name] for record in records]
    about = {
        "feature": " and ".join(record["feature"] for record in records),
        "of": " and ".join(record["classes"][0] for record in records),
    }
    size = sum(entry["num_samples"] for entry in entries)
    reasons = [
        f"{record['feature']}: {entry['reason']}"
        for record, entry in zip(records, entries, strict=True)
        if "reason" in entry
    ]
    bounds = {entry.get("bound", "") for entry in entries} - {""}
    if reasons or len(bounds) > 1:
        return {
            **undefined("; ".join(reasons) or "one direction is a lower bound, the other an upper one", size),
            **about,
        }
    ends = []
    for side in (0, 1):
        limits = [entry["interval"][side] for entry in entries]
        ends.append(None if None in limits else float(np.mean(limits)))
    found: Metric = {
        "value": float(np.mean([entry["value"] for entry in entries])),
        "num_samples": size,
        "interval": ends,
    }
    return {**found, **({"bound": bounds.pop()} if bounds else {}), **about}


def _matched(records: Sequence[Mapping[str, Any]], evaluated: Evaluated) -> dict[str, Metric]:
    """Conflict accuracy over the conflict groups of all features, each at its own threshold; SM of injected ones."""
    conflict, rate = "conflict_accuracy_matched", "spurious_misclassification_matched"
    every = [record["metrics"][conflict] for record in records if record["against"] is None]
    entries = [entry for entry in every if entry["value"] is not None]
    found: dict[str, Metric] = {}
    total = sum(entry["num_samples"] for entry in entries)
    pooled = {**every[0], **_about(records[0])} if not entries else dict(entries[0])
    if len(entries) > 1:
        shares = [entry["num_samples"] / total for entry in entries]
        pooled["value"] = float(np.dot(shares, [entry["value"] for entry in entries]))
        pooled["num_samples"] = total
        pooled["interval"] = [float(np.dot(shares, [entry["interval"][side] for entry in entries])) for side in (0, 1)]
    found[conflict] = pooled
    for record in records:
        if record["is_injected"]:
            facts = {"true": record["against"] or "all others", "predicted": record["classes"][0]}
            entry = {**record["metrics"][rate], **facts}
            if record["against"] is None:
                found[f"{rate.removesuffix('_matched')}_all_matched"] = entry
            if record["against"] is not None or (evaluated.twin_class is not None and len(records) == 1):
                found[rate] = {**entry, "true": evaluated.class_names[int(evaluated.twin_class or 0)]}
    return found
