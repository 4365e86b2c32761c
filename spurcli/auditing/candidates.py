"""Candidate features from a column of values (one value, or a range of numbers), and the search for the promising ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.groups import push_of_groups
from spurcli.auditing.statistics import carries
from spurcli.names import NUMBER, canonical
from spurcli.words import counted

MOST_CLASSES = 20
_MOST_VALUES = 50  # values of a column that are examined
_LEAST = 10  # training samples with a value
_NUMBERS = 10  # more different numbers than this are ranges
_LEVELS = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)
PROMISING = 2.0  # minimum z of the association on half 0 for a candidate


@dataclass(frozen=True)
class Candidate:
    """One value or range of a column; `presence` as of a Finding."""

    column: str
    value: str
    presence: Mapping[str, NDArray[np.float32]]
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Hit:
    """A candidate for a class: z of its association in training and of its push on held-out samples, half 0 of both.

    `harm` is the expected harm where the push was measured by changing samples (`spurcli.auditing.changing`).
    """

    candidate: Candidate
    label_index: int
    association: float
    push: float | None
    harm: float | None = None

    @property
    def strength(self) -> float:
        return min(self.association, self.push if self.push is not None else 0.0)


def of_texts(
    column: str, values: Mapping[str, Sequence[str]], source: str, say: Callable[[str], None]
) -> list[Candidate]:
    """The candidates of a column of texts, by split, counted in `source`; `say` gets a line if not all values are examined."""
    clean = {split: [canonical(value) for value in part] for split, part in values.items()}
    counts = Counter(clean[source])
    filled = [value for value in counts if value]
    if len(counts) < 2:
        return []
    if len(filled) > _NUMBERS and all(NUMBER.fullmatch(value) for value in filled):
        numbers = {
            split: np.array([float(value) if value else math.nan for value in part], dtype=np.float64)
            for split, part in clean.items()
        }
        found = of_numbers(column, numbers, source)
        return [*found, *_empty(column, clean, counts)]
    if 2 * len(counts) > len(clean[source]):
        say(
            f"{column}: {counted(len(counts), 'different value')} in {counted(len(clean[source]), 'row')} look like ids; not examined"
        )
        return []
    frequent = [value for value, count in counts.most_common() if count >= _LEAST and value]
    if len(frequent) > _MOST_VALUES:
        say(f"{column}: the {_MOST_VALUES} most frequent of {len(filled):,} values are examined")
    found = []
    for value in frequent[:_MOST_VALUES]:
        presence = {
            split: np.array([each == value if each else math.nan for each in part], dtype=np.float32)
            for split, part in clean.items()
        }
        found.append(Candidate(column, f"= {value}", presence))
    return [*found, *_empty(column, clean, counts)]


def _empty(column: str, clean: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> list[Candidate]:
    if counts.get("", 0) < _LEAST:
        return []
    presence = {split: np.array([not value for value in part], dtype=np.float32) for split, part in clean.items()}
    return [Candidate(column, "empty", presence)]


def of_numbers(column: str, values: Mapping[str, NDArray[np.float64]], source: str) -> list[Candidate]:
    """Ranges of a number: fifths of the training samples and both tails; NaN if the number is not known."""
    train = values[source][np.isfinite(values[source])]
    if len(train) < 2 * _LEAST:
        return []
    edges = np.unique(np.quantile(train, _LEVELS, method="lower"))
    edges = edges[edges < train.max()]
    if not len(edges):
        return []
    bounds = [(-math.inf, float(edges[0]))]
    bounds += [(low, high) for low, high in pairwise(edges.tolist())]
    bounds += [(float(edge), math.inf) for edge in edges[-2:]]
    bounds += [(-math.inf, float(edges[1]))] if len(edges) > 2 else []
    found = []
    for low, high in dict.fromkeys(bounds):
        presence = {}
        for split, part in values.items():
            inside = (part > low) & (part <= high)
            presence[split] = np.where(np.isfinite(part), inside, np.nan).astype(np.float32)
        if np.nansum(presence[source]) >= _LEAST:
            found.append(Candidate(column, _range(low, high), presence, low, high))
    return found


def _range(low: float, high: float) -> str:
    if math.isinf(low):
        return f"≤ {high:.4g}"
    return f"> {low:.4g}" if math.isinf(high) else f"> {low:.4g}, ≤ {high:.4g}"


def search(evidence: Evidence, candidates: Iterable[Candidate], most: int) -> list[Hit]:
    """The `most` promising candidates by half 0, each column and class once, the strongest first.

    Promising: the class has more carriers than the others have, and carriers are predicted as the class more often than the others
    (`spurcli.auditing.groups`).
    """
    classes = evidence.classes(MOST_CLASSES)
    best: dict[tuple[str, int], Hit] = {}
    for candidate in candidates:
        for y, association in associated(evidence, candidate, classes):
            push = _push(evidence, candidate, y)
            hit = Hit(candidate, y, association, push)
            old = best.get((candidate.column, y))
            if old is None or hit.strength > old.strength:
                best[candidate.column, y] = hit
    found = sorted(best.values(), key=lambda hit: -hit.strength)
    return [hit for hit in found if hit.strength > PROMISING][:most]


def associated(evidence: Evidence, candidate: Candidate, classes: Sequence[int]) -> list[tuple[int, float]]:
    """Classes that have more carriers than the others, with z, among the training samples of half 0."""
    split = evidence.source
    presence = candidate.presence[split]
    chosen = ~np.isnan(presence) & (evidence.half(split) == 0)
    label, num_classes = evidence.label(split)[chosen], len(evidence.class_names)
    size = np.bincount(label, minlength=num_classes).astype(np.float64)
    with_it = np.bincount(label[presence[chosen] > 0.5], minlength=num_classes).astype(np.float64)
    total, every = size.sum(), with_it.sum()
    if not 0 < every < total:
        return []
    found = []
    for y in classes:
        rest = total - size[y]
        if not size[y] or not rest:
            continue
        share = every / total
        error = math.sqrt(share * (1 - share) * (1 / size[y] + 1 / rest))
        z = (with_it[y] / size[y] - (every - with_it[y]) / rest) / error
        if z > PROMISING:
            found.append((y, float(z)))
    return found


def _push(evidence: Evidence, candidate: Candidate, y: int) -> float | None:
    split = evidence.held_out
    presence = candidate.presence.get(split)
    if presence is None:
        return None
    chosen = (evidence.half(split) == 0) & ~np.isnan(presence)
    return push_of_groups(evidence.logits(split), evidence.label(split), carries(presence), chosen, y).z
