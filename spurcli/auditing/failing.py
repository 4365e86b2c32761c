"""Groups that fail: samples of a class with one value of a column that are predicted correctly far less often than the rest of the class.

Such a group is not a suspect, because the model need not lean on the column: often the group is only harder, or rare in training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.candidates import MOST_CLASSES, Candidate, of_texts
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.statistics import carries
from spurcli.auditing.suspect import NOT_SUPPORTED, Suspect
from spurcli.auditing.values import apart
from spurcli.evaluation.intervals import wilson
from spurcli.reporting.claims import LEVEL, holm

_LEAST = 20  # samples of the half that confirms, in the group and in the rest of its class
_FAR = 0.1  # a smaller difference of the accuracies is not reported, however many samples there are


@dataclass(frozen=True)
class Counts:
    """Of some samples, how many there are and how many are predicted correctly."""

    num_samples: int
    num_right: int

    @property
    def accuracy(self) -> float:
        return self.num_right / self.num_samples

    def to_json(self) -> JsonObject:
        return {
            "value": self.accuracy,
            "num_samples": self.num_samples,
            "interval": list(wilson(self.num_right, self.num_samples)),
        }


@dataclass(frozen=True)
class FailingGroup:
    """Samples of class `label` with a value of a column. `group` and `others`, the rest of the class, are counted over all held-out samples."""

    column: str
    value: str
    label: str
    group: Counts
    others: Counts
    p_adjusted: float

    @property
    def name(self) -> str:
        """As `evaluate` calls the group of a value; a range of numbers with its column."""
        plain = self.value.removeprefix("= ")
        return f"{self.label}/{plain if plain != self.value else f'{self.column} {plain}'}"

    def to_json(self, suspects: Sequence[Suspect], command: str) -> JsonObject:
        """The entry of audit.json; `suspects` are those of the audit."""
        ranks = [
            suspect.rank
            for suspect in suspects
            if suspect.finding.shown.get("column") == self.column and suspect.status != NOT_SUPPORTED
        ]
        shown = self.group.to_json()
        low, high = (f"{100 * end:.0f}" for end in shown["interval"])
        which = f"{self.name} ({self.column} {self.value})"
        begin = f"{which}, see suspect {ranks[0]}" if ranks else f"No shortcut, but {which}"
        return {
            "name": self.name,
            "column": self.column,
            "value": self.value,
            "class": self.label,
            "statement": f"{begin}: {_percent(self.group.accuracy)} ({low} to {high}) correct, "
            f"the other samples of {self.label}: {_percent(self.others.accuracy)}",
            "accuracy": shown,
            "others": self.others.to_json(),
            "p_adjusted": self.p_adjusted,
            "suspects": ranks,
            "next": [command] if command else [],
        }


def failing_groups(evidence: Evidence, columns: Sequence[str]) -> list[FailingGroup]:
    """The failing groups among all values of `columns` and classes, those with the most additional errors first.

    Tested on the held-out samples of half 1: the accuracy of the group is at least `_FAR` below that of the rest of its class, by
    Fisher's exact test, adjusted over all groups with enough samples (Holm).
    """
    split = evidence.held_out
    known = evidence.columns.get(split, {})
    tried = [
        one
        for column in columns
        if column in known
        for candidate in apart(of_texts(column, {split: known[column]}, split, lambda _: None))
        for one in _groups_of(evidence, candidate)
    ]
    adjusted = holm([p for _, p in tried])
    found = [
        FailingGroup(each.column, each.value, each.label, each.group, each.others, p)
        for (each, _), p in zip(tried, adjusted, strict=True)
        if p <= LEVEL
    ]
    return sorted(found, key=lambda each: (each.group.accuracy - each.others.accuracy) * each.group.num_samples)


def _groups_of(evidence: Evidence, candidate: Candidate) -> Iterator[tuple[FailingGroup, float]]:
    """The group of each class with enough samples, and its unadjusted p-value: 1 if its accuracy is not far below the rest."""
    split = evidence.held_out
    label, presence = evidence.label(split), candidate.presence[split]
    right = evidence.logits(split).argmax(axis=1) == label
    mine, is_known, confirms = carries(presence), ~np.isnan(presence), evidence.half(split) == 1
    for y in evidence.classes(MOST_CLASSES):
        parts = [is_known & (label == y) & side for side in (mine, ~mine)]
        tested = [Counts(int((part & confirms).sum()), int((part & confirms & right).sum())) for part in parts]
        if min(part.num_samples for part in tested) < _LEAST:
            continue
        group, others = (Counts(int(part.sum()), int((part & right).sum())) for part in parts)
        is_far = tested[0].accuracy <= tested[1].accuracy - _FAR
        yield (
            FailingGroup(candidate.column, candidate.value, evidence.class_names[y], group, others, math.nan),
            _p_below(*tested) if is_far else 1.0,
        )


def _p_below(group: Counts, others: Counts) -> float:
    """One-sided p-value of Fisher's exact test: the accuracy of the group is not below that of the others."""
    from scipy.stats import hypergeom

    total, right = group.num_samples + others.num_samples, group.num_right + others.num_right
    return float(hypergeom.cdf(group.num_right, total, right, group.num_samples))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
