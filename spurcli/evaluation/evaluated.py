"""The predictions for a split, from which all metrics are computed. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.predictions import Predictions
from spurcli.datasets import Dataset
from spurcli.groups import is_grid

if TYPE_CHECKING:
    from spurcli.evaluation.features import Feature


@dataclass(frozen=True)
class Evaluated:
    """The predictions for a split, and for its injected twin if it has one.

    `logits` float32 [n, classes], `label` int64 [n]; `group` int64 [n] = label · attributes + attribute. The twin
    has copies of the samples `twin_index` [m] of the split, all with the feature of class `feature_of`.
    `train_group_counts` int64 [groups] gives the weights of the adjusted mean and determines the conflict groups.
    `confusion` = (true, predicted): for a data set without attributes, the pair of classes whose confusion is measured.
    `features` are the measured features with their thresholds; None = determined from the injection or the training counts.
    """

    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    class_names: Sequence[str]
    group: NDArray[np.int64] | None = None
    group_names: Sequence[str] = ()
    train_group_counts: NDArray[np.int64] | None = None
    twin_index: NDArray[np.int64] | None = None
    twin_logits: NDArray[np.float32] | None = None
    feature_of: int | None = None
    twin_class: int | None = None
    confusion: tuple[int, int] | None = None
    features: tuple[Feature, ...] | None = None


def evaluated_split(dataset: Dataset, split: str, logits: NDArray[np.float32]) -> Evaluated:
    """Logits of a split joined with what the data set knows about it; the twin's logits are added by the caller."""
    injection: Mapping[str, Any] = dataset.injection or {}
    train_group = dataset.group("train")
    num_groups = len(dataset.group_names)
    return Evaluated(
        logits=logits,
        label=dataset.split(split).label,
        class_names=dataset.class_names,
        group=dataset.group(split),
        group_names=dataset.group_names,
        train_group_counts=np.bincount(train_group, minlength=num_groups) if train_group is not None else None,
        feature_of=injection.get("feature_of"),
        twin_class=injection.get("twin_class"),
        confusion=dataset.confusion,
    )


def evaluated_from(predictions: Predictions, where: str = "predictions.h5") -> Evaluated:
    """The input of `compute`, from predictions.h5 alone (`where` names the file in errors), to recompute every metric."""
    from spurcli.evaluation.features import Feature

    class_names = predictions.class_names or tuple(map(str, range(predictions.logits.shape[1])))
    counts = predictions.train_group_counts
    width = len(predictions.group_names) // len(class_names)
    features = None
    if predictions.features is not None:
        features = tuple(Feature.from_json(item, len(class_names), width, where) for item in predictions.features)
    return Evaluated(
        logits=predictions.logits,
        label=predictions.label,
        class_names=class_names,
        group=predictions.group,
        group_names=predictions.group_names,
        train_group_counts=counts if is_grid(predictions.group_names, class_names) else None,
        twin_index=predictions.twin_index,
        twin_logits=predictions.twin_logits,
        feature_of=predictions.feature_of,
        twin_class=predictions.twin_class,
        confusion=predictions.confusion,
        features=features,
    )
