"""Sebra: samples that a network learns early, when it favours easy features, are likely to carry the feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.inferring.evidence import TRAIN, Attribute, Evidence


def sebra(evidence: Evidence) -> Attribute:
    """early or late: whether a sample's rank is up to the cut of its class that gives the two tightest groups of ranks.

    Kappiyath et al., "Sebra: Debiasing through Self-Guided Bias Ranking", ICLR 2025, stage 1. Their stage 2 uses the ranks
    themselves; the cut is added here, to define groups. Samples without a rank come last. What the network learns early
    is easy to learn by the feature, if there is a strong one: so early is the aligned value.
    """
    found = evidence.ranks
    rank = {split: np.where(each == 0, found.num_epochs + 1, each) for split, each in found.rank.items()}
    value = {split: np.zeros(len(each), dtype=np.int64) for split, each in rank.items()}
    labels = {TRAIN: evidence.label, **evidence.other_labels}
    for y, name in enumerate(evidence.class_names):
        of_class = rank[TRAIN][evidence.label == y]
        if not len(of_class):
            continue
        if (cut := tightest_cut(of_class)) is None:
            raise InputError(
                f"Sebra ranks all samples of class {name!r} in one epoch",
                "Train for more epochs (--epoch N) or with another learning rate (--set training.learning_rate=…).",
            )
        for split, each in rank.items():
            value[split][(labels[split] == y) & (each > cut)] = 1
    return Attribute(value.pop(TRAIN), ("early", "late"), within_class=True, aligned="early", others=value)


def tightest_cut(rank: NDArray[np.int64]) -> int | None:
    """The rank up to which samples are early: the smallest sum of squares within both groups; None if all are equal."""
    values, counts = np.unique(rank, return_counts=True)
    if len(values) < 2:
        return None
    size, total = np.cumsum(counts)[:-1], np.cumsum(counts * values)[:-1]
    between = total**2 / size + (rank.sum() - total) ** 2 / (len(rank) - size)
    return int(values[between.argmax()])
