"""All values of a column, not only the suspected one: how many samples of each class have it, and how often the model is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.candidates import MOST_CLASSES, Candidate
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.statistics import carries

_OTHERS = "other values"
_MOST = 20  # values; the others are one row


def value_rows(evidence: Evidence, candidates: Sequence[Candidate], column: str) -> list[JsonObject]:
    """A row for each value or range of `column`, ranges in order, then one of all other samples.

    For each class in training: the number and share of samples with it. For the held-out samples with it: their number, and
    how many the model predicts correctly.
    """
    classes, source, held_out = evidence.classes(MOST_CLASSES), evidence.source, evidence.held_out
    if held_out not in evidence.splits or not candidates:
        return []
    right = evidence.logits(held_out).argmax(axis=1) == evidence.label(held_out)
    rest = {split: np.ones(len(evidence.label(split)), dtype=bool) for split in (source, held_out)}
    rows: list[JsonObject] = []

    def add(value: str, has: Mapping[str, NDArray[np.bool_]]) -> None:
        label = evidence.label(source)
        rows.append(
            {
                "value": value,
                "classes": [
                    {
                        "class": evidence.class_names[y],
                        "num_samples": int((has[source] & (label == y)).sum()),
                        "share": float(has[source][label == y].mean()) if (label == y).any() else None,
                    }
                    for y in classes
                ],
                "num_held_out": int(has[held_out].sum()),
                "num_right": int((has[held_out] & right).sum()),
            }
        )

    for each in apart([each for each in candidates if each.column == column])[:_MOST]:
        if held_out not in each.presence:
            continue
        has = {split: carries(each.presence[split]) for split in rest}
        add(each.value.removeprefix("= "), has)
        for split in rest:
            rest[split] &= ~has[split]
    if rows and any(mask.any() for mask in rest.values()):
        add(_OTHERS, rest)
    return rows


def apart(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Values unchanged; ranges that do not contain another range, in order."""
    ranges = [each for each in candidates if not math.isinf(each.low) or not math.isinf(each.high)]
    values = [each for each in candidates if math.isinf(each.low) and math.isinf(each.high)]

    def holds(one: Candidate, other: Candidate) -> bool:
        return one is not other and one.low <= other.low and other.high <= one.high

    smallest = [one for one in ranges if not any(holds(one, other) for other in ranges)]
    return [*sorted(smallest, key=lambda each: each.low), *values]
