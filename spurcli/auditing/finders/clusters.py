"""Clusters of a model's embeddings within each class: compact and easy ones may share a feature, error-prone ones are blind spots."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.candidates import MOST_CLASSES
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Finding, short_name
from spurcli.evaluation.reliance import margin

_DOUBT = "from the model's own embeddings: look at the samples"
_LARGEST = 8  # clusters of a class, before similar ones are merged
_MOST = 4000  # samples of a class that are clustered
_LEAST = 30  # minimum samples of a class for clustering
_SILHOUETTE = 600  # samples for the silhouette
_SMALLEST_SILHOUETTE = 0.1
_DIMENSIONS = 32
_SECONDS = 5.0  # for _MOST samples of a class
_EASY, _HARD = 1.0, -1.0  # standard deviations of the class's margin


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` clusters that are unusually compact and easy, or unusually hard; a probe finds the carriers in other classes.

    As in GEORGE (Sohoni et al., NeurIPS 2020): the number of clusters is that of the best silhouette, up to 8 a class.
    """
    if evidence.embedding(evidence.source) is None:
        return []
    classes = evidence.classes(MOST_CLASSES)
    evidence.progress.start("clusters", len(classes))
    found: list[tuple[float, Finding]] = []
    for y in classes:
        if evidence.left() <= 0:
            evidence.warn("The budget is used up: not all classes were clustered")
            break
        found += _of_class(evidence, y)
        evidence.progress.advance(1)
    found.sort(key=lambda pair: -pair[0])
    return [finding for _, finding in found[:most]]


def seconds(evidence: Evidence) -> float:
    """Approximate seconds of `find`: k-means of some thousand samples takes seconds."""
    counts = np.bincount(evidence.label(evidence.source))
    return float(sum(_SECONDS * min(size, _MOST) / _MOST for size in counts.tolist()))


def _of_class(evidence: Evidence, y: int) -> list[tuple[float, Finding]]:
    """Suspicious clusters of one class, each with how unusual it is."""
    split = evidence.source
    embedding = evidence.embedding(split)
    assert embedding is not None
    rows = np.flatnonzero(evidence.label(split) == y)
    if len(rows) < _LEAST:
        return []
    reduced, project = _reduced(embedding[rows].astype(np.float64))
    chosen = np.flatnonzero(evidence.half(split)[rows] == 0)[:_MOST]
    if len(chosen) < _LEAST // 2:
        return []
    centres, silhouette = _clustered(reduced[chosen], evidence.seed)
    if len(centres) < 2 or silhouette < _SMALLEST_SILHOUETTE:
        return []
    low = margin(evidence.logits(split), [y])[rows]
    centred = (low - np.median(low)) / max(float(low.std()), 1e-9)
    cluster = _nearest(reduced, centres)
    found: list[tuple[float, float, Finding]] = []
    for number in range(len(centres)):
        mine = cluster == number
        if mine.sum() < 10 or (~mine).sum() < 10:
            continue
        ease = float(np.median(centred[mine]) - np.median(centred[~mine]))
        spread = float(reduced[mine].std(axis=0).mean() / max(float(reduced.std(axis=0).mean()), 1e-9))
        kind = "easy" if ease > _EASY else "hard" if ease < _HARD else ""
        unusual = abs(ease) + max(0.0, 1 - spread)
        if kind or spread < 0.7:
            presence = _presence(evidence, y, rows, mine, centres, number, project)
            found.append((ease, unusual, _finding(evidence, y, number, presence, kind, ease, spread, silhouette)))
    if len(centres) == 2:  # both clusters are one split of the class: the easy side may be what the model leans on
        found = sorted(found, key=lambda one: -one[0])[:1]
    return [(unusual, finding) for _, unusual, finding in found]


def _reduced(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """The first principal components of a class, and the function that gives those of other samples."""
    centre = x.mean(axis=0)
    _, _, axes = np.linalg.svd((x - centre)[: 2 * _MOST], full_matrices=False)
    axes = axes[:_DIMENSIONS].T

    def project(new: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray((new.astype(np.float64) - centre) @ axes)

    return project(x), project


def _clustered(x: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], float]:
    """Centres of the k-means of the best silhouette, and that silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    best, centres = -1.0, np.zeros((0, x.shape[1]))
    some = np.random.RandomState(seed).permutation(len(x))[:_SILHOUETTE]
    for k in range(2, min(_LARGEST, len(x) // 10) + 1):
        fitted = KMeans(n_clusters=k, n_init=3, random_state=seed).fit(x)
        labels = fitted.labels_[some]
        if len(set(labels.tolist())) < 2:  # an outlier alone in its cluster is easily not among some
            continue
        score = float(silhouette_score(x[some], labels))
        if score > best:
            best, centres = score, np.asarray(fitted.cluster_centers_)
    return centres, best


def _nearest(x: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    distance = (x**2).sum(axis=1)[:, None] - 2 * x @ centres.T + (centres**2).sum(axis=1)
    return np.asarray(distance.argmin(axis=1), dtype=np.int64)


def _presence(
    evidence: Evidence,
    y: int,
    rows: NDArray[np.int64],
    mine: NDArray[np.bool_],
    centres: NDArray[np.float64],
    number: int,
    project: Any,
) -> dict[str, NDArray[np.float32]]:
    """Members of the cluster in the class's own samples; of other classes it is not known."""
    presence = {}
    for split in evidence.splits:
        values = np.full(len(evidence.label(split)), np.nan, dtype=np.float32)
        embedding = evidence.embedding(split)
        own = np.flatnonzero(evidence.label(split) == y)
        if split == evidence.source:
            values[rows] = mine
        elif embedding is not None and len(own):
            values[own] = _nearest(project(embedding[own]), centres) == number
        presence[split] = values
    return presence


def _finding(
    evidence: Evidence,
    y: int,
    number: int,
    presence: dict[str, NDArray[np.float32]],
    kind: str,
    ease: float,
    spread: float,
    silhouette: float,
) -> Finding:
    label = evidence.class_names[y]
    what = f"unusually {kind}" if kind else "unusually compact"
    return Finding(
        name=short_name("cluster", label, f"c{number}"),
        finder="clusters",
        label_index=y,
        presence=presence,
        statement=f"A cluster of {label} is {what}: its samples may share a feature",
        details={"ease": round(ease, 2), "spread": round(spread, 2), "silhouette": round(silhouette, 3)},
        doubt=_DOUBT,
        inferred=True,
    )
