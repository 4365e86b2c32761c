"""SPARE: after one early epoch the network's outputs inside a class form clusters, the largest of which has the feature."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.inferring.evidence import Attribute, Evidence
from spurcli.randomness import generator

_NUM_STARTS, _MOST, _SAMPLE = 10, 5, 5000


def spare(evidence: Evidence, *, num_clusters: int | None = None) -> Attribute:
    """k-means of the softmax inside each class, its clusters named c0, c1, … from the largest; of every split.

    Yang et al., "Identifying Spurious Biases Early in Training through the Lens of Simplicity Bias", AISTATS 2024. Without
    `num_clusters` each class uses the number from 2 to 5 with the highest silhouette. Samples of other splits belong to
    the nearest centre of their class.
    """
    probability = softmax(evidence.logits)
    others = {split: softmax(logits) for split, logits in evidence.other_logits.items()}
    value = np.zeros(len(evidence.label), dtype=np.int64)
    found = {split: np.zeros(len(label), dtype=np.int64) for split, label in evidence.other_labels.items()}
    most, chosen = 1, {}
    for y, name in enumerate(evidence.class_names):
        members = np.flatnonzero(evidence.label == y)
        if not len(members):
            continue
        points = probability[members]
        centres = _centres(points, num_clusters, name, int(generator("spare", evidence.seed, y).integers(2**31)))
        value[members] = nearest(points, centres)
        for split, label in evidence.other_labels.items():
            mine = np.flatnonzero(label == y)
            found[split][mine] = nearest(others[split][mine], centres)
        most, chosen[name] = max(most, len(centres)), len(centres)
    evidence.chosen["num_clusters"] = chosen
    return Attribute(value, tuple(f"c{number}" for number in range(most)), within_class=True, others=found)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities float64 [n, classes]."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def nearest(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.int64]:
    """The nearest centre of each point; the first one in a tie."""
    distance = np.stack([np.square(points - centre).sum(axis=1) for centre in centres], axis=1)
    return np.asarray(distance.argmin(axis=1), dtype=np.int64)


def _centres(points: NDArray[np.float64], num_clusters: int | None, name: str, seed: int) -> NDArray[np.float64]:
    """The centres of the chosen number of clusters, from the largest cluster to the smallest."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import silhouette_score

    num_distinct = len(np.unique(points, axis=0))
    if num_distinct < (num_clusters or 2):
        raise InputError(
            f"SPARE needs {num_clusters or 2} different outputs in class {name!r}, which has {num_distinct}",
            "Use a smaller --num-clusters, or train for another number of epochs (--epoch N).",
        )
    best, best_score = None, -2.0
    part = generator("silhouette", seed).permutation(len(points))[:_SAMPLE]  # it takes the square of their number
    for number in [num_clusters] if num_clusters else range(2, min(_MOST, num_distinct - 1) + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = KMeans(number, n_init=_NUM_STARTS, random_state=seed).fit(points)
        if num_clusters:
            best = fitted
            continue
        label = fitted.labels_[part]
        score = silhouette_score(points[part], label) if 1 < len(np.unique(label)) < len(part) else -1.0
        if score > best_score:
            best, best_score = fitted, score
    if best is None:  # two points
        return np.unique(points, axis=0)
    label = nearest(points, best.cluster_centers_)
    counts = np.bincount(label, minlength=len(best.cluster_centers_))
    return np.asarray(best.cluster_centers_[np.argsort(-counts, kind="stable")])
