"""All metrics from logits, labels, groups and the injected twin. NumPy only, so that notebooks and `report` can too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.intervals import Z95, bootstrap_minimum, wilson
from spurcli.groups import conflict_groups, marked_attribute, named
from spurcli.words import counted

Metric = dict[str, Any]


def share(num_correct: int, num_samples: int, **more: Any) -> Metric:
    """A share with its number of samples and Wilson interval; the value is None where there is no sample."""
    low, high = wilson(num_correct, num_samples)
    value = num_correct / num_samples if num_samples else None
    return {"value": value, "num_samples": num_samples, "interval": [low, high], **more}


def compute(evaluated: Evaluated, *, bootstrap_seed: int = 0) -> dict[str, Any]:
    """`metrics`, `per_class`, `per_group` and `warnings` of an evaluation (see docs/formats.md).

    Raises InputError if a logit is NaN or infinite: an argmax over NaN would pass for a prediction.
    """
    _require_finite(evaluated)
    predicted = evaluated.logits.argmax(axis=1)
    label, names = evaluated.label, evaluated.class_names
    correct = predicted == label
    metrics: dict[str, Metric] = {"accuracy": share(int(correct.sum()), len(label))}
    per_class: list[dict[str, Any]] = []
    for number, name in enumerate(names):
        mine = label == number
        per_class.append(
            {
                "class": name,
                "accuracy": share(int(correct[mine].sum()), int(mine.sum())),
                "predicted_share": float((predicted == number).mean()),
            }
        )
    values = [item["accuracy"]["value"] for item in per_class if item["accuracy"]["num_samples"]]
    metrics["class_mean_accuracy"] = {"value": float(np.mean(values)), "num_samples": len(label), "interval": None}
    per_group = group_accuracies(evaluated, predicted)
    if per_group:
        metrics |= group_metrics(per_group, evaluated, bootstrap_seed)
    if evaluated.feature_of is not None and evaluated.twin_logits is not None:
        metrics |= spurious_misclassification(evaluated, predicted)
    elif evaluated.confusion is not None:
        metrics |= confusion_rates(evaluated.confusion, evaluated, predicted)
    metrics |= feature_aurocs(evaluated)
    return {
        "metrics": metrics,
        "per_class": per_class,
        "per_group": per_group,
        "warnings": degenerate(evaluated, predicted, per_group),
    }


def _require_finite(evaluated: Evaluated) -> None:
    for what, logits in (("", evaluated.logits), (" with the feature", evaluated.twin_logits)):
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1)) if logits is not None else np.empty(0, np.int64)
        if len(bad):
            raise InputError(
                f"NaN or infinite logits in {counted(len(bad), 'sample')}{what}, first in sample {int(bad[0]):,}",
                "The model diverged or overflows: train it at a lower learning rate, or evaluate in float32.",
            )


def group_accuracies(evaluated: Evaluated, predicted: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Accuracy of each group.

    The evaluation splits of an injected data set hold no carrier of their own. Their twin, the same samples with the
    feature in all of them, fills the groups that carry it; so each sample counts once in a group without and once in
    one with the feature, worst group and conflict accuracy look at both, and the adjusted mean weighs them as in
    training. `accuracy` and the class accuracies are of the split without its twin.
    """
    if evaluated.group is None:
        return []
    group, correct = evaluated.group, predicted == evaluated.label
    if evaluated.twin_logits is not None and evaluated.twin_index is not None:
        twin_label = evaluated.label[evaluated.twin_index]
        twin_correct = evaluated.twin_logits.argmax(axis=1) == twin_label
        # the injected data set has two attributes: without (0) and with (1) the feature
        group = np.concatenate([group, twin_label * 2 + 1])
        correct = np.concatenate([correct, twin_correct])
    counts = np.bincount(group, minlength=len(evaluated.group_names))
    rights = np.bincount(group[correct], minlength=len(evaluated.group_names))
    train = evaluated.train_group_counts
    return [
        {
            "group": name,
            "accuracy": share(int(rights[number]), int(counts[number])),
            "num_train": int(train[number]) if train is not None else None,
        }
        for number, name in enumerate(evaluated.group_names)
    ]


def group_metrics(per_group: Sequence[dict[str, Any]], evaluated: Evaluated, seed: int) -> dict[str, Metric]:
    """Worst-group, adjusted mean and conflict accuracy.

    The adjusted mean weighs group accuracies by the training proportions (groups with none in training have weight
    zero). Conflict accuracy, what the paper calls worst-group accuracy, pools the samples of all conflict groups
    (`spurcli.groups`); where there are several, the worst of them stands beside it.
    """
    filled = {item["group"]: item["accuracy"] for item in per_group if item["accuracy"]["num_samples"]}
    if not filled:
        return {}
    metrics: dict[str, Metric] = {"worst_group_accuracy": _worst(filled, seed)}
    train = evaluated.train_group_counts
    if train is None:
        return metrics
    weights = [int(train[n]) if item["accuracy"]["num_samples"] else 0 for n, item in enumerate(per_group)]
    if sum(weights):
        values = [item["accuracy"]["value"] or 0.0 for item in per_group]
        metrics["adjusted_mean_accuracy"] = {
            "value": float(np.average(values, weights=weights)),
            "num_samples": sum(item["num_samples"] for item in filled.values()),
            "interval": None,
            "zero_weight_groups": [item["group"] for n, item in enumerate(per_group) if not weights[n]],
        }
    names = named(conflict_groups(train, len(evaluated.class_names)), evaluated.group_names)
    present = {name: filled[name] for name in names if name in filled}
    if present:
        pooled = np.sum(list(_outcomes(present).values()), axis=0)
        metrics["conflict_accuracy"] = share(int(pooled[0]), int(pooled[1]), groups=list(present))
    if len(present) > 1:
        metrics["worst_conflict_accuracy"] = _worst(present, seed)
    return metrics


def _outcomes(accuracies: Mapping[str, Metric]) -> dict[str, tuple[int, int]]:
    """(number correct, number of samples) of each group."""
    return {
        name: (round(item["value"] * item["num_samples"]), item["num_samples"]) for name, item in accuracies.items()
    }


def _worst(accuracies: Mapping[str, Metric], seed: int) -> Metric:
    """The lowest of some groups' accuracies, with the bootstrap interval of that minimum."""
    worst = min(accuracies, key=lambda name: float(accuracies[name]["value"]))
    return {
        "value": accuracies[worst]["value"],
        "num_samples": accuracies[worst]["num_samples"],
        "interval": list(bootstrap_minimum(_outcomes(accuracies), seed=seed)),
        "group": worst,
    }


def spurious_misclassification(evaluated: Evaluated, predicted: NDArray[np.int64]) -> dict[str, Metric]:
    """Share of test samples of class c2 that, given the feature of c1, are predicted c1; beside it without the feature.

    With a `twin_class` the metric is about that class; `…_all` pools all classes but c1 in any case.
    """
    assert evaluated.twin_logits is not None
    assert evaluated.twin_index is not None
    target = evaluated.feature_of
    assert target is not None
    twin_predicted = evaluated.twin_logits.argmax(axis=1)
    twin_label = evaluated.label[evaluated.twin_index]
    metrics = {}
    for suffix, classes in (
        ("", [evaluated.twin_class] if evaluated.twin_class is not None else None),
        ("_all", [number for number in range(len(evaluated.class_names)) if number != target]),
    ):
        if classes is None:
            continue
        facts = {
            "true": "all others" if suffix else evaluated.class_names[classes[0]],
            "predicted": evaluated.class_names[target],
        }
        with_feature, without = np.isin(twin_label, classes), np.isin(evaluated.label, classes)
        for name, hits in (
            (f"spurious_misclassification{suffix}", twin_predicted[with_feature] == target),
            (f"spurious_misclassification{suffix}_without", predicted[without] == target),
        ):
            metrics[name] = share(int(hits.sum()), len(hits), **facts)
    return metrics


def confusion_rates(
    confusion: tuple[int, int], evaluated: Evaluated, predicted: NDArray[np.int64]
) -> dict[str, Metric]:
    """Share of the samples of one class that are predicted another, and the other way round (`…_reverse`).

    Where nobody knows which samples carry the feature: Hard ImageNet's dog sleds that are predicted ski. None of a class
    without samples.
    """
    metrics = {}
    for suffix, (true, taken_for) in (("", confusion), ("_reverse", confusion[::-1])):
        hits = predicted[evaluated.label == true] == taken_for
        names = {"true": evaluated.class_names[true], "predicted": evaluated.class_names[taken_for]}
        if len(hits):
            metrics[f"spurious_misclassification{suffix}"] = share(int(hits.sum()), len(hits), **names)
    return metrics


def feature_aurocs(evaluated: Evaluated) -> dict[str, Metric]:
    """AUROC of telling the classes apart among samples with, and without, the feature: no threshold is involved.

    For two classes by z_1 − z_0, and `feature` is the attribute that counts as one; for an injected data set by p of `feature_of` against the twin class (or all others).
    """
    if evaluated.feature_of is not None and evaluated.twin_logits is not None and evaluated.twin_index is not None:
        target, other = evaluated.feature_of, evaluated.twin_class
        views = {
            "with": (evaluated.twin_logits, evaluated.label[evaluated.twin_index]),
            "without": (evaluated.logits, evaluated.label),
        }
        metrics = {}
        for name, (logits, label) in views.items():
            chosen = (label == target) | ((label == other) if other is not None else True)
            metrics[f"auroc_{name}_feature"] = auroc(_log_odds(logits, target)[chosen], label[chosen] == target)
        return metrics
    if len(evaluated.class_names) != 2 or evaluated.group is None or evaluated.train_group_counts is None:
        return {}
    feature = marked_attribute(evaluated.train_group_counts, 2)
    if feature is None:
        return {}
    num_attributes = len(evaluated.group_names) // 2
    carries = evaluated.group % num_attributes == feature
    score = evaluated.logits[:, 1] - evaluated.logits[:, 0]
    called = evaluated.group_names[feature].removeprefix(f"{evaluated.class_names[0]}/")
    return {
        f"auroc_{name}_feature": {**auroc(score[chosen], evaluated.label[chosen] == 1), "feature": called}
        for name, chosen in (("with", carries), ("without", ~carries))
    }


def _log_odds(logits: NDArray[np.float32], target: int) -> NDArray[np.float64]:
    """log p_target − log(1 − p_target), stable."""
    wide = logits.astype(np.float64)
    others = np.delete(wide, target, axis=1)
    top = others.max(axis=1)
    return np.asarray(wide[:, target] - top - np.log(np.exp(others - top[:, None]).sum(axis=1)))


def auroc(score: NDArray[np.floating[Any]], positive: NDArray[np.bool_]) -> Metric:
    """Area under the ROC curve by ranks (ties count half), with the Hanley–McNeil (1982) interval."""
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        return {"value": None, "num_samples": len(score), "interval": None}
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    area = (mean_rank[inverse][positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (num_positive - 1) * (first - area**2) + (num_negative - 1) * (second - area**2)
    half = Z95 * np.sqrt(variance / (num_positive * num_negative))
    return {
        "value": float(area),
        "num_samples": len(score),
        "interval": [max(0.0, float(area - half)), min(1.0, float(area + half))],
    }


def degenerate(evaluated: Evaluated, predicted: NDArray[np.int64], per_group: Sequence[Mapping[str, Any]]) -> list[str]:
    """What makes the numbers suspect, in words."""
    warnings = []
    classes = np.unique(predicted)
    if len(classes) == 1 and len(evaluated.class_names) > 1:
        warnings.append(f"Every sample is predicted {evaluated.class_names[classes[0]]!r}: the model has collapsed")
    missing = [name for number, name in enumerate(evaluated.class_names) if not (evaluated.label == number).any()]
    if missing:
        warnings.append(f"No sample of: {', '.join(missing[:5])}; their accuracy is undefined")
    empty = [item["group"] for item in per_group if not item["accuracy"]["num_samples"]]
    if empty:
        warnings.append(f"Empty groups are left out of the worst group: {', '.join(empty[:5])}")
    untrained = [item["group"] for item in per_group if item.get("num_train") == 0 and item["accuracy"]["num_samples"]]
    if untrained and evaluated.twin_logits is None:
        warnings.append(f"Not in the training data at all: {', '.join(untrained[:5])}")
    if len(evaluated.label) < 100:
        warnings.append(f"Only {counted(len(evaluated.label), 'sample')}: the intervals are wide")
    return warnings
