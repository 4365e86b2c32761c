"""The search for properties that can be changed in a sample: how far does the change move the model towards a class?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.candidates import MOST_CLASSES, PROMISING, Candidate, Hit, associated
from spurcli.auditing.evidence import Evidence
from spurcli.evaluation.reliance import margin
from spurcli.evaluation.trimmed import degrees_left, trimmed_mean, trimmed_spread

MOST_TRIED = 200  # held-out samples that are changed for each candidate
_LEAST = 10  # of them in other classes
_SMALLEST = 0.05  # push as a share of the class distance: half of the smallest effect that can be confirmed
Logits = NDArray[np.float32]


def search_by_change(
    evidence: Evidence,
    candidates: Iterable[Candidate],
    answers: Callable[[Candidate, str, NDArray[np.int64]], Logits],
    most: int,
) -> list[Hit]:
    """The `most` promising candidates by half 0, each column and class once, the most harmful first.

    `answers` gives the logits [m, classes] of the samples `index` int64 [m] of a split changed to the candidate. Promising: the class has more
    carriers than the others have, and samples of other classes move towards it when they are changed: held-out ones, and training samples if the held-out ones are few. The
    harm is this push, as a share of the class distance, times the number of carriers that the class has beyond the share of the others.
    Unlike a comparison of carriers with others, this needs no carriers among the held-out samples.
    """
    classes, split = evidence.classes(MOST_CLASSES), evidence.held_out
    label, half = evidence.label(split), evidence.half(split)
    held_low = {y: margin(evidence.logits(split), [y]) for y in classes}
    distance = {y: _distance(held_low[y], label == y, half == 0) for y in classes}
    best: dict[tuple[str, int], Hit] = {}
    for candidate in candidates:
        linked = [(y, z) for y, z in associated(evidence, candidate, classes) if distance[y] > 0]
        if not linked:
            continue
        tried = [
            (evidence.label(name)[index], evidence.logits(name)[index], answers(candidate, name, index))
            for name, index in _tried(evidence, candidate).items()
        ]
        if not tried:
            continue
        label_tried, before, changed = (np.concatenate(parts) for parts in zip(*tried, strict=True))
        for y, association in linked:
            others = label_tried != y
            moved = (margin(changed[others], [y]) - margin(before[others], [y])) / distance[y]
            if degrees_left(len(moved)) + 1 < _LEAST:
                continue
            push, error = trimmed_mean(moved), math.sqrt(float((trimmed_spread(moved) ** 2).sum()))
            if push < _SMALLEST or push <= PROMISING * error:
                continue
            hit = Hit(
                candidate,
                y,
                association,
                push / error if error else math.inf,
                harm=push * _beyond(evidence, candidate, y),
            )
            old = best.get((candidate.column, y))
            if old is None or (hit.harm or 0) > (old.harm or 0):
                best[candidate.column, y] = hit
    return sorted(best.values(), key=lambda hit: -(hit.harm or 0))[:most]


def _tried(evidence: Evidence, candidate: Candidate) -> dict[str, NDArray[np.int64]]:
    """The samples of half 0 without the candidate that are changed, by split: held-out ones, filled up with training samples."""
    found: dict[str, NDArray[np.int64]] = {}
    for split in dict.fromkeys((evidence.held_out, evidence.source)):
        without = np.flatnonzero((evidence.half(split) == 0) & (candidate.presence[split] < 0.5))
        index = spaced(without, MOST_TRIED - sum(map(len, found.values())))
        if len(index):
            found[split] = index
    return found


def _distance(low: NDArray[np.float64], mine: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> float:
    """How far L of the class is above that of the others; 0 where one of them has no sample."""
    inside, outside = low[mine & chosen], low[~mine & chosen]
    return trimmed_mean(inside) - trimmed_mean(outside) if len(inside) and len(outside) else 0.0


def spaced(index: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most `most` of the positions, evenly spaced: a split may be sorted by class."""
    if len(index) <= most:
        return index
    return index[np.linspace(0, len(index) - 1, most).round().astype(np.int64)]


def _beyond(evidence: Evidence, candidate: Candidate, y: int) -> float:
    """The training samples of half 0 in the class that carry the feature, beyond the share of the other classes."""
    split = evidence.source
    presence = candidate.presence[split]
    chosen = ~np.isnan(presence) & (evidence.half(split) == 0)
    mine = evidence.label(split)[chosen] == y
    has = presence[chosen] > 0.5
    return float(mine.sum() * (has[mine].mean() - has[~mine].mean()))
