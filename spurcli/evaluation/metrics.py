"""The metrics of accuracy, and all metrics of an evaluation. NumPy only, so that notebooks and `report` can use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.logit_checks import are_constant, constant_line
from spurcli.evaluation import leaning, spurious
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.intervals import lowest_share_interval
from spurcli.evaluation.metric import METRICS, Values, metric
from spurcli.evaluation.outcome import Outcome, require_finite, share
from spurcli.groups import conflict_groups, marked_attribute, named
from spurcli.words import counted

__all__ = ["METRICS", "compute", "leaning", "spurious"]

# With this many groups, each below this size, the lowest accuracy depends more on chance than on the worst group.
_MANY_GROUPS, _FEW = 10, 50


def compute(evaluated: Evaluated) -> JsonObject:
    """`metrics`, `per_class`, `per_group`, `features` and `warnings` of an evaluation (see docs/formats.md).

    Raises InputError if a logit is NaN or infinite.
    """
    require_finite(evaluated)
    outcome = Outcome(evaluated)
    metrics: dict[str, Values] = {}
    for name, registered in METRICS.items():
        found = registered.compute(outcome) if all(map(outcome.has, registered.needs)) else None
        if found is not None:
            metrics[name] = {**found, **registered.description.to_json()}
    return {
        "metrics": metrics,
        "per_class": outcome.per_class,
        "per_group": outcome.per_group,
        "features": outcome.judged.records,
        "no_features": outcome.judged.reason,
        "warnings": degenerate(evaluated, outcome.predicted, outcome.per_group),
    }


@metric(
    "worst_group_accuracy",
    "Worst-group accuracy",
    "Lowest accuracy of a group that has samples",
    needs=("groups",),
    source="Sagawa et al., ICLR 2020",
    first=4,
    column=3,
)
def worst_group_accuracy(outcome: Outcome) -> Values:
    return _worst(outcome.filled_groups)


@metric(
    "conflict_accuracy",
    "Conflict accuracy",
    "Accuracy on all conflict groups together: the paper's worst-group accuracy",
    needs=("training groups",),
    first=3,
    first_unless="worst_conflict_accuracy",  # with several conflict groups the largest one dominates, so the worst group comes first
    column=4,
)
def conflict_accuracy(outcome: Outcome) -> Values | None:
    """The samples of all conflict groups (`spurcli.groups`) pooled; None where they have no samples."""
    present = _conflict(outcome)
    if not present:
        return None
    pooled = np.sum(list(_outcomes(present).values()), axis=0)
    return share(int(pooled[0]), int(pooled[1]), groups=list(present))


@metric(
    "worst_conflict_accuracy",
    "Conflict accuracy, worst group",
    "Lowest accuracy of a conflict group, where there are several",
    needs=("training groups",),
    column=None,
)
def worst_conflict_accuracy(outcome: Outcome) -> Values | None:
    present = _conflict(outcome)
    return _worst(present) if len(present) > 1 else None


@metric(
    "adjusted_mean_accuracy",
    "Adjusted mean accuracy",
    "Mean of group accuracies weighted by the groups' sizes in training, as in WILDS; SubpopBench's is unweighted",
    needs=("training groups",),
    source="Sagawa et al., ICLR 2020; Koh et al., ICML 2021 (WILDS)",
    column=5,
)
def adjusted_mean_accuracy(outcome: Outcome) -> Values | None:
    """Groups with no sample in training have weight zero and are reported.

    SubpopBench's `adjusted_accuracy` is the unweighted mean over groups: up to 4.7 points apart.
    """
    train = outcome.evaluated.train_group_counts
    assert train is not None
    per_group = outcome.per_group
    weights = [int(train[n]) if item["accuracy"]["num_samples"] else 0 for n, item in enumerate(per_group)]
    if not sum(weights):
        return None
    values = [item["accuracy"]["value"] or 0.0 for item in per_group]
    return {
        "value": float(np.average(values, weights=weights)),
        "num_samples": sum(item["num_samples"] for item in outcome.filled_groups.values()),
        "interval": None,
        "zero_weight_groups": [item["group"] for n, item in enumerate(per_group) if not weights[n]],
    }


@metric("accuracy", "Accuracy", "Share of the split that is predicted correctly", first=5, column=6)
def accuracy(outcome: Outcome) -> Values:
    return share(int(outcome.correct.sum()), len(outcome.correct))


@metric(
    "class_mean_accuracy",
    "Mean of class accuracies",
    "Mean of the accuracies of the classes that have samples",
    column=None,
)
def class_mean_accuracy(outcome: Outcome) -> Values:
    values = [item["accuracy"]["value"] for item in outcome.per_class if item["accuracy"]["num_samples"]]
    return {"value": float(np.mean(values)), "num_samples": len(outcome.correct), "interval": None}


def _conflict(outcome: Outcome) -> dict[str, Values]:
    """The accuracies of the conflict groups that have samples."""
    evaluated = outcome.evaluated
    assert evaluated.train_group_counts is not None
    chosen = conflict_groups(evaluated.train_group_counts, len(evaluated.class_names))
    names = named(chosen, evaluated.group_names)
    return {name: outcome.filled_groups[name] for name in names if name in outcome.filled_groups}


def _outcomes(accuracies: Mapping[str, Values]) -> dict[str, tuple[int, int]]:
    """(number correct, number of samples) of each group."""
    return {
        name: (round(item["value"] * item["num_samples"]), item["num_samples"]) for name, item in accuracies.items()
    }


def _worst(accuracies: Mapping[str, Values]) -> Values:
    """The lowest of some groups' accuracies, with the interval of the lowest true accuracy."""
    worst = min(accuracies, key=lambda name: float(accuracies[name]["value"]))
    return {
        "value": accuracies[worst]["value"],
        "num_samples": accuracies[worst]["num_samples"],
        "interval": list(lowest_share_interval(_outcomes(accuracies).values())),
        "group": worst,
    }


def _carried_by_all(evaluated: Evaluated) -> str | None:
    """The spurious feature that marks a class, if all samples of the split carry it."""
    train, num_classes = evaluated.train_group_counts, len(evaluated.class_names)
    if evaluated.group is None or train is None:
        return None
    attributes = np.unique(evaluated.group % (len(evaluated.group_names) // num_classes))
    if len(attributes) > 1 or attributes[0] != marked_attribute(train, num_classes):
        return None
    return str(evaluated.group_names[attributes[0]]).removeprefix(f"{evaluated.class_names[0]}/")


def degenerate(evaluated: Evaluated, predicted: NDArray[np.int64], per_group: Sequence[Mapping[str, Any]]) -> list[str]:
    """The reasons to doubt the numbers, as sentences."""
    warnings = []
    classes = np.unique(predicted)
    if are_constant(evaluated.logits):
        warnings.append(constant_line(len(evaluated.logits)))
    elif len(classes) == 1 and len(np.unique(evaluated.label)) > 1:
        carried = _carried_by_all(evaluated)
        warnings.append(
            f"Every sample is predicted {evaluated.class_names[classes[0]]!r}"
            + (
                f", and every sample carries {carried!r}: only samples without it show whether the model follows it or has collapsed"
                if carried
                else ": the model has collapsed"
            )
        )
    missing = [name for number, name in enumerate(evaluated.class_names) if not (evaluated.label == number).any()]
    if missing:
        warnings.append(f"No sample of: {', '.join(missing[:5])}; their accuracy is undefined")
    empty = [item["group"] for item in per_group if not item["accuracy"]["num_samples"]]
    if empty:
        warnings.append(f"Empty groups are left out of the worst group: {', '.join(empty[:5])}")
    untrained = [item["group"] for item in per_group if item.get("num_train") == 0 and item["accuracy"]["num_samples"]]
    if untrained and evaluated.twin_logits is None:
        warnings.append(f"Groups without training samples: {', '.join(untrained[:5])}")
    small = [item for item in per_group if 0 < item["accuracy"]["num_samples"] < _FEW]
    if len(small) >= _MANY_GROUPS:
        warnings.append(
            f"{counted(len(small), 'group')} with fewer than {_FEW} samples: "
            "the lowest of many uncertain accuracies is biased low"
        )
    if len(evaluated.label) < 100:
        warnings.append(f"Only {counted(len(evaluated.label), 'sample')}: the intervals are wide")
    return warnings
