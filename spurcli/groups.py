"""Groups (class × attribute): which attribute is a class's spurious feature, which groups conflict with it.

From training counts alone, int64 [classes · attributes] with group = label · attributes + attribute.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def spurious_attributes(train_counts: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """The spurious feature of each class y: argmax over attributes a of P(a|y) / P(a), int64 [classes].

    −1 for a class without training samples. Lift, not the majority group, which is wrong on MultiNLI and CelebA hair.
    """
    counts = train_counts.reshape(num_classes, -1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (counts / counts.sum(axis=1, keepdims=True)) / (counts.sum(axis=0) / counts.sum())
    lift = np.nan_to_num(lift, nan=-1.0)
    return np.where(counts.sum(axis=1) > 0, lift.argmax(axis=1), -1)


def marked_attribute(train_counts: NDArray[np.int64], num_classes: int) -> int | None:
    """Of the classes' spurious features the one that fewest training samples carry: glasses rather than no glasses."""
    totals = train_counts.reshape(num_classes, -1).sum(axis=0)
    attributes = {int(a) for a in spurious_attributes(train_counts, num_classes) if a >= 0 and totals[a]}
    if len(attributes) < 2:  # every class leans to the same attribute: nothing marks a class
        return None
    return min(attributes, key=lambda attribute: (totals[attribute], -attribute))


def carrier_groups(train_counts: NDArray[np.int64], num_classes: int) -> list[int]:
    """Groups of the classes whose spurious feature is the marked attribute, carrying it."""
    marked, attributes = marked_attribute(train_counts, num_classes), spurious_attributes(train_counts, num_classes)
    width = len(train_counts) // num_classes
    return [] if marked is None else [y * width + marked for y in range(num_classes) if attributes[y] == marked]


def conflict_groups(train_counts: NDArray[np.int64], num_classes: int) -> list[int]:
    """Groups of the other classes carrying the marked attribute: where a model that leans on it goes wrong."""
    marked, attributes = marked_attribute(train_counts, num_classes), spurious_attributes(train_counts, num_classes)
    width = len(train_counts) // num_classes
    return [] if marked is None else [y * width + marked for y in range(num_classes) if attributes[y] != marked]


def named(groups: Sequence[int], names: Sequence[str]) -> list[str]:
    return [names[group] for group in groups]
