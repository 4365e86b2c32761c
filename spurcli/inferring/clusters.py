"""As in GEORGE: subclasses are clusters of a model's embeddings inside each class."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.inferring.evidence import Attribute, Evidence
from spurcli.randomness import generator
from spurcli.words import counted

_NUM_STARTS = 10


def clusters(evidence: Evidence, *, num_clusters: int = 2) -> Attribute:
    """k-means inside each class, its clusters named c0, c1, … from the largest; in a tie the first one.

    Sohoni et al., "No Subclass Left Behind", NeurIPS 2020, Algorithm 1, stage 1, with a given number of clusters.
    Embeddings are not standardised: this would give directions in which a class hardly varies, which
    are mostly noise, the same weight as those that separate its subclasses. Samples of further splits belong to the
    nearest centre of their class; those of a class without training samples are in c0.
    """
    value = np.zeros(len(evidence.label), dtype=np.int64)
    embedding = evidence.embedding
    others = {split: np.zeros(len(label), dtype=np.int64) for split, label in evidence.other_labels.items()}
    for y, name in enumerate(evidence.class_names):
        members = np.flatnonzero(evidence.label == y)
        if 0 < len(members) < num_clusters:
            raise InputError(
                f"Class {name!r} has {counted(len(members), 'training sample')} for {counted(num_clusters, 'cluster')}",
                "Use a smaller --num-clusters.",
            )
        if len(members):
            value[members] = _by_size(_k_means(embedding[members], num_clusters, evidence.seed, y))
            centres = [embedding[members][value[members] == code].mean(axis=0) for code in np.unique(value[members])]
            for split, label in evidence.other_labels.items():
                mine = np.flatnonzero(label == y)
                others[split][mine] = _nearest(evidence.other_embeddings[split][mine], np.stack(centres))
    names = tuple(f"c{number}" for number in range(num_clusters))
    return Attribute(value, names, within_class=True, others=others)


def _nearest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.int64]:
    """The nearest centre int64 [m] of each point; the first one in a tie."""
    distance = np.stack([np.square(points - centre).sum(axis=1) for centre in centres], axis=1)
    return np.asarray(distance.argmin(axis=1), dtype=np.int64)


def _k_means(points: NDArray[np.float32], num_clusters: int, seed: int, label: int) -> NDArray[np.int64]:
    """Cluster int64 [m] of each point: the best of several starts, which depend on the seed and the class."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    start = int(generator("clusters", seed, label).integers(2**31))
    k_means = KMeans(num_clusters, n_init=_NUM_STARTS, random_state=start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: some stay empty
        return np.asarray(k_means.fit_predict(points), dtype=np.int64)


def _by_size(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same clusters, numbered from the largest; in a tie the one whose first member comes first."""
    codes, first, counts = np.unique(found, return_index=True, return_counts=True)
    number = np.empty(int(codes.max()) + 1, dtype=np.int64)
    number[codes[np.lexsort((first, -counts))]] = np.arange(len(codes))
    return number[found]
