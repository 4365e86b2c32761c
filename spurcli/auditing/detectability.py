"""Whether a feature can be read from the embeddings at all: a cross-validated probe within its class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Finding
from spurcli.evaluation.reliance import Metric, undefined
from spurcli.randomness import generator

_FOLDS, _MOST, _LEAST = 5, 2000, 10
_RIDGE = 1.0


def detectability(evidence: Evidence, finding: Finding) -> Metric:
    """AUROC of a linear probe for the feature among training samples of its class, cross-validated; 0.5 is chance."""
    split = evidence.source
    presence = finding.presence[split]
    known = ~np.isnan(presence)
    if finding.label_index is not None:
        known &= evidence.label(split) == finding.label_index
    rows = np.flatnonzero(known)
    target = presence[rows] > 0.5
    fewest = int(min(target.sum(), (~target).sum()))
    if fewest < _LEAST:
        return undefined(f"{fewest} samples of its class with it, or without it, are too few for a probe", len(rows))
    embedding = evidence.embedding(split)
    if embedding is None:
        return undefined("there are no embeddings", len(rows))
    numbers = generator("audit probe", evidence.seed)
    if len(rows) > _MOST:  # carriers and others in their shares, at least a tenth of each
        rows = _stratified(rows, target, numbers)
        target = presence[rows] > 0.5
    score = _cross_validated(embedding[rows].astype(np.float64), target, numbers)
    return {"value": _auroc(score, target), "num_samples": len(rows), "interval": None}


def _stratified(rows: NDArray[np.int64], target: NDArray[np.bool_], numbers: np.random.Generator) -> NDArray[np.int64]:
    share = min(max(float(target.mean()), 0.1), 0.9)
    sizes = (round(_MOST * share), round(_MOST * (1 - share)))
    parts = [numbers.permutation(rows[side])[:size] for side, size in zip((target, ~target), sizes, strict=True)]
    return np.sort(np.concatenate(parts))


def _cross_validated(x: NDArray[np.float64], target: NDArray[np.bool_], numbers: np.random.Generator) -> NDArray[Any]:
    """Scores of a ridge regression on ±1 balanced between the two sides, each sample's from the folds without it."""
    fold = np.empty(len(x), dtype=np.int64)
    for side in (target, ~target):
        rows = numbers.permutation(np.flatnonzero(side))
        fold[rows] = np.arange(len(rows)) % _FOLDS
    score = np.empty(len(x))
    for number in range(_FOLDS):
        inside = fold != number
        score[~inside] = ridge(x[inside], target[inside])(x[~inside])
    return score


def ridge(x: NDArray[np.float64], target: NDArray[np.bool_]) -> Any:
    """A function that scores embeddings [m, d]: ridge regression on ±1, both sides of equal weight, standardised columns."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread < 1e-12] = np.inf  # a constant column has no information
    weight = np.where(target, 0.5 / max(1, target.sum()), 0.5 / max(1, (~target).sum()))[:, None]
    z = (x - centre) / spread
    middle = (weight * z).sum(axis=0)
    z = z - middle
    y = np.where(target, 1.0, -1.0)
    strength = _RIDGE * max(1.0, z.shape[1] / len(z))
    gram = z.T @ (weight * z) + np.eye(z.shape[1]) * strength / np.sqrt(len(z))
    beta = np.linalg.solve(gram, z.T @ (weight[:, 0] * y))
    return lambda new: ((new - centre) / spread - middle) @ beta


def _auroc(score: NDArray[Any], target: NDArray[np.bool_]) -> float:
    from spurcli.evaluation.auroc import Side, area_between

    return float(area_between(Side(score[target]), Side(score[~target])).value)
