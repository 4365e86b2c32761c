"""The rules that choose an epoch, or one of several trained models: the one table that settings, training, reports and help read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spurcli.artifacts.records import EpochRecord

LAST = "last"
# The values of the validation split in an epoch's row: recall and number of samples of each class, and the same after class
# biases were fitted on the other half of it.
RECALLS, FITTED = "class_recalls", "class_recalls_fitted"
INFERRED = "inferred_worst_group_accuracy"

Values = Mapping[str, Any]  # of the validation split


@dataclass(frozen=True)
class Standing:
    """The standing of a candidate: among those admitted, the highest `value` wins, the first one in a tie.

    A candidate is admitted if its `gate` is within `tolerance` of the highest gate; the tolerance is that of the highest gate. Of
    equal values the smaller `spread` wins. `most_tolerance` bounds the tolerance of any candidate of the same samples.
    """

    value: float
    gate: float = 0.0
    tolerance: float = 0.0
    most_tolerance: float = 0.0
    spread: float = 0.0


@dataclass(frozen=True)
class EpochRule:
    """A rule: `value` of a finished epoch's row; the epoch with the highest is chosen, the first one in a tie.

    A value of None is never chosen. `metric` names what the rule looks at, and `reads_labels`, `reads_groups`, `reads_inferred`
    say which annotations of the validation split it uses. `standing`, if given, also says who may be chosen at all.
    `fitted` is the value after class biases were fitted: given for rules whose value changes if only the threshold moves.
    """

    label: str
    summary: str
    value: Callable[[EpochRecord], float | None]
    metric: str = ""
    reads_labels: bool = False
    reads_groups: bool = False
    reads_inferred: bool = False
    standing: Callable[[EpochRecord], Standing | None] | None = None
    fitted: Callable[[EpochRecord], Standing | None] | None = None

    def stands(self, row: EpochRecord) -> Standing | None:
        """The standing of an epoch; None if it is never chosen."""
        if self.standing:
            return self.standing(row)
        value = self.value(row)
        return None if value is None else Standing(value)


def chosen(standings: Sequence[Standing | None]) -> int | None:
    """The position of the candidate that wins; None if there is none."""
    known = [(number, each) for number, each in enumerate(standings) if each is not None]
    if not known:
        return None
    highest = max(each.gate for _, each in known)
    tolerance = max(each.tolerance for _, each in known if each.gate == highest)
    admitted = [(number, each) for number, each in known if each.gate >= highest - tolerance]
    return max(admitted, key=lambda item: (item[1].value, -item[1].spread, -item[0]))[0]


def can_win(standings: Sequence[Standing]) -> list[int]:
    """Positions of the candidates that may still be chosen when later ones are added."""
    highest = max((each.gate for each in standings), default=0.0)
    return [
        number
        for number, each in enumerate(standings)
        if each.gate >= highest - each.most_tolerance
        and not any(
            _makes_needless(other, each, earlier=place < number)
            for place, other in enumerate(standings)
            if place != number
        )
    ]


def _makes_needless(one: Standing, other: Standing, *, earlier: bool) -> bool:
    """Whether `one` is admitted and wins whenever `other` is admitted, and admits as many candidates."""
    admitted = one.gate > other.gate or (one.gate == other.gate and one.tolerance >= other.tolerance)
    mine, theirs = (one.value, -one.spread), (other.value, -other.spread)
    return admitted and (mine > theirs or (mine == theirs and earlier))


def _of_val(metric: str, sign: int = 1) -> Callable[[EpochRecord], float | None]:
    """A metric of the validation split; `sign` −1 where lower is better."""

    def value(row: EpochRecord) -> float | None:
        found = val_of(row).get(metric)
        return None if found is None else sign * float(found)

    return value


def val_of(row: EpochRecord) -> Values:
    """What an epoch's row says of the validation split."""
    evaluations: Any = row.get("evaluations") or {}
    return evaluations.get("val") or {}


def recalls_in(values: Values, key: str = RECALLS) -> list[tuple[float, int]]:
    """Recall and number of samples of each class that has samples; [] where they are not known."""
    found = values.get(key)
    return [(float(recall), int(size)) for recall, size in found or () if recall is not None and size]


def worst_class(recalls: Sequence[tuple[float, int]]) -> Standing | None:
    """The lowest recall, among candidates whose balanced accuracy is within one standard error of the highest."""
    if not recalls:
        return None
    values, count = [recall for recall, _ in recalls], len(recalls)
    error = math.sqrt(sum(recall * (1 - recall) / size for recall, size in recalls)) / count
    most = math.sqrt(sum(0.25 / size for _, size in recalls)) / count
    return Standing(min(values), sum(values) / count, error, most, max(values) - min(values))


def class_difference(recalls: Sequence[tuple[float, int]]) -> Standing | None:
    """Minus the mean |difference| of the recalls over all pairs of classes."""
    values = [recall for recall, _ in recalls]
    pairs = [abs(one - other) for one, other in itertools.combinations(values, 2)]
    return Standing(-sum(pairs) / len(pairs)) if pairs else None


def _of_recalls(
    measure: Callable[[Sequence[tuple[float, int]]], Standing | None], key: str = RECALLS
) -> Callable[[EpochRecord], Standing | None]:
    return lambda row: measure(recalls_in(val_of(row), key))


def _value_of(standing: Callable[[EpochRecord], Standing | None]) -> Callable[[EpochRecord], float | None]:
    def value(row: EpochRecord) -> float | None:
        found = standing(row)
        return None if found is None else found.value

    return value


def _by_recalls(label: str, summary: str, measure: Any, metric: str) -> EpochRule:
    standing = _of_recalls(measure)
    return EpochRule(
        label,
        summary,
        _value_of(standing),
        metric=metric,
        reads_labels=True,
        standing=standing,
        fitted=_of_recalls(measure, FITTED),
    )


# In the order of a report.
RULES: dict[str, EpochRule] = {
    LAST: EpochRule("last epoch", "The last epoch", lambda row: row["epoch"]),
    "best-val-mean": EpochRule(
        "best val mean",
        "The highest accuracy on the validation split",
        _of_val("accuracy"),
        metric="accuracy",
        reads_labels=True,
    ),
    "best-val-worst-class": _by_recalls(
        "best val worst class",
        "The highest recall of the worst class on the validation split, where the mean recall is within one standard error of the best",
        worst_class,
        "worst_class_recall",
    ),
    "best-val-class-difference": _by_recalls(
        "best val class difference",
        "The smallest mean difference between the classes' recalls on the validation split",
        class_difference,
        "class_difference",
    ),
    "best-val-inferred-worst-group": EpochRule(
        "best val inferred worst group",
        "The highest accuracy of the worst inferred group of the validation split (train --group-labels)",
        _of_val(INFERRED),
        metric=INFERRED,
        reads_labels=True,
        reads_inferred=True,
    ),
    "best-val-worst-group": EpochRule(
        "best val worst group",
        "The highest worst-group accuracy on the validation split",
        _of_val("worst_group_accuracy"),
        metric="worst_group_accuracy",
        reads_labels=True,
        reads_groups=True,
    ),
}


def disagreement(rule: str, rows: Sequence[EpochRecord]) -> tuple[int, int] | None:
    """The epochs that a rule chooses without and with fitted class biases, if they differ; else None."""
    known = RULES[rule]
    if known.fitted is None:
        return None
    plain, fitted = chosen([known.stands(row) for row in rows]), chosen([known.fitted(row) for row in rows])
    if plain is None or fitted is None or plain == fitted:
        return None
    return rows[plain]["epoch"], rows[fitted]["epoch"]
