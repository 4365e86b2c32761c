"""Scores of logits that another program made, in the order of the training split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spurcli.artifacts.arrays import read_labels, read_logits
from spurcli.artifacts.fingerprint import Fingerprint, require_same
from spurcli.artifacts.scores import ScoresWriter
from spurcli.datasets import Dataset
from spurcli.errors import InputError, UsageError
from spurcli.scoring.chosen import ChosenScore
from spurcli.scoring.formulas import Prediction

_BLOCK = 1 << 16


def read_foreign(
    logits_path: Path, labels_path: Path | None, dataset: Dataset | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits [n, classes] and labels int64 [n]: from the file, from `dataset`, or from both if they agree."""
    logits = read_logits(logits_path)
    num_samples, num_classes = logits.shape
    label = None if labels_path is None else read_labels(labels_path, num_samples, num_classes)
    if dataset is None:
        if label is None:
            raise UsageError("Logits alone say nothing about what is right", "Add --labels FILE or --dataset NAME.")
        return logits, label
    train = dataset.splits["train"]
    mine = Fingerprint(num_samples) if label is None else Fingerprint.of(label)
    require_same(mine, str(labels_path or logits_path), train.fingerprint, f"data set {dataset.name!r}")
    if num_classes != len(dataset.class_names):
        raise InputError(
            f"{logits_path} has {num_classes} columns, data set {dataset.name!r} {len(dataset.class_names)} classes",
            "Use logits of a model for this data set.",
        )
    return logits, train.label


def score_logits(
    logits: NDArray[np.float32], label: NDArray[np.int64], scores: Sequence[ChosenScore], writer: ScoresWriter
) -> None:
    """Write all `scores`, a block at a time; copies, because files are mapped read-only."""
    for start in range(0, len(logits), _BLOCK):
        block = slice(start, start + _BLOCK)
        prediction = Prediction(torch.from_numpy(np.array(logits[block])), torch.from_numpy(np.array(label[block])))
        for score in scores:
            assert score.compute is not None
            writer.write(score.name, 0, start, score.compute(prediction).numpy())
