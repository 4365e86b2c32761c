"""Directions of frozen embeddings: what a backbone separates, independent of the classes, and a head uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.candidates import Candidate, Hit, search
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Finding, short_name

_DOUBT = "a direction of the embedding may be the class itself: look at the samples"
_MOST = 5000  # samples of which the directions are computed
_DIRECTIONS = 16
_TAIL = 0.25  # of the training samples on each side
_CLUSTERS = (8, 16)
_DIMENSIONS = 32
_SECONDS = 10.0


def find(evidence: Evidence, *, most: int = 6) -> list[Finding]:
    """The `most` suspicious directions: the ends of the first principal components of all classes together, and clusters.

    The embeddings come from a backbone that was not trained on these classes, so the head did not make them. A head is meant to
    use directions, so this may be legitimate: no direction is confirmed.
    """
    if "vectors" not in evidence.kinds:
        return []
    candidates = _candidates(evidence)
    return [_finding(evidence, hit) for hit in search(evidence, candidates, most)]


def seconds(evidence: Evidence) -> float:
    """Approximate seconds of `find`: k-means of some thousand samples takes seconds."""
    return _SECONDS * min(1.0, len(evidence.label(evidence.source)) / (2 * _MOST))


def _candidates(evidence: Evidence) -> list[Candidate]:
    from sklearn.cluster import KMeans

    source = evidence.source
    vectors = {split: _embedding(evidence, split) for split in evidence.splits}
    chosen = np.flatnonzero(evidence.half(source) == 0)[:_MOST]
    own = vectors[source][chosen]
    centre, spread = own.mean(axis=0), own.std(axis=0) + 1e-6
    _, _, axes = np.linalg.svd((own - centre) / spread, full_matrices=False)
    places = {split: (part - centre) / spread @ axes[:_DIMENSIONS].T for split, part in vectors.items()}
    evidence.progress.start("directions", _DIRECTIONS + sum(_CLUSTERS))
    found = []
    for number in range(min(_DIRECTIONS, len(axes))):
        low, high = np.quantile(places[source][chosen, number], (_TAIL, 1 - _TAIL))
        for name, edge, sign in (("low", low, -1), ("high", high, 1)):
            presence = {
                split: (sign * (part[:, number] - edge) > 0).astype(np.float32) for split, part in places.items()
            }
            found.append(Candidate(f"direction {number + 1} {name}", name, presence))
        evidence.progress.advance(1)
    for count in _CLUSTERS:
        if len(chosen) < 10 * count:
            continue
        fitted = KMeans(n_clusters=count, n_init=3, random_state=evidence.seed).fit(places[source][chosen])
        cluster = {split: fitted.predict(part) for split, part in places.items()}
        for number in range(count):
            presence = {split: (part == number).astype(np.float32) for split, part in cluster.items()}
            found.append(Candidate(f"cluster {number + 1} of {count}", "in it", presence))
        evidence.progress.advance(count)
    return found


def _embedding(evidence: Evidence, split: str) -> NDArray[np.float64]:
    found = evidence.embedding(split)
    assert found is not None
    return found.astype(np.float64)


def _finding(evidence: Evidence, hit: Hit) -> Finding:
    label, name = evidence.class_names[hit.label_index], hit.candidate.column
    return Finding(
        name=short_name(name),
        finder="directions",
        label_index=hit.label_index,
        presence=hit.candidate.presence,
        statement=f"Samples at one end of the embedding ({name}) are predicted {label} more often",
        details={
            "z_association": round(hit.association, 2),
            "z_push": None if hit.push is None else round(hit.push, 2),
        },
        doubt=_DOUBT,
    )
