"""Scores of a whole training, from the model's output for each sample after each epoch. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.dynamics import DynamicsReader, EpochDynamics
from spurcli.scoring.formulas import FROM_LOGITS, Prediction

Values = NDArray[np.float64]
WINDOW = 10
_BLOCK = 1 << 15


def aum(taken: EpochDynamics) -> Values:
    """The mean over epochs of the logit margin (Pleiss et al. 2020, Eq. 2): of logits, over all epochs."""
    return np.asarray(taken.margin.mean(axis=0, dtype=np.float64))


def forgetting(taken: EpochDynamics) -> Values:
    """How often a sample goes from right to wrong; the number of epochs if it was never right (Toneva et al. 2019)."""
    events = (taken.correct[:-1] & ~taken.correct[1:]).sum(axis=0)
    return np.where(taken.correct.any(axis=0), events, len(taken.correct)).astype(np.float64)


def first_learned(taken: EpochDynamics) -> Values:
    """The first epoch, from 1 on, after which a sample stays right; the number of epochs plus 1 if it is wrong at the end."""
    num_epochs = len(taken.correct)
    last_wrong = num_epochs - np.argmax(~taken.correct[::-1], axis=0)  # counted from 1; where it is wrong at all
    return np.where(taken.correct.all(axis=0), 1, last_wrong + 1).astype(np.float64)


def correctness(taken: EpochDynamics) -> Values:
    """The share of epochs in which a sample is right (Swayamdipta et al. 2020)."""
    return np.asarray(taken.correct.mean(axis=0, dtype=np.float64))


def confidence(taken: EpochDynamics) -> Values:
    """The mean over epochs of p_y (Swayamdipta et al. 2020)."""
    return np.asarray(_probability(taken).mean(axis=0))


def variability(taken: EpochDynamics) -> Values:
    """The population standard deviation over epochs of p_y (Swayamdipta et al. 2020)."""
    return np.asarray(_probability(taken).std(axis=0))


def dynamic_uncertainty(taken: EpochDynamics) -> Values:
    """The mean over windows of 10 epochs of the sample standard deviation of p_y (He et al. 2023)."""
    return np.asarray(np.mean([part.std(axis=0, ddof=1) for part in _windows(taken)], axis=0))


def dual(taken: EpochDynamics) -> Values:
    """The mean over windows of 10 epochs of the sample standard deviation of p_y times one minus its mean (Cho et al. 2025)."""
    each = [part.std(axis=0, ddof=1) * (1 - part.mean(axis=0)) for part in _windows(taken)]
    return np.asarray(np.mean(each, axis=0))


def needed_epochs(name: str) -> int:
    """How many epochs a score needs at least: a sample standard deviation needs two."""
    return 2 if name in ("forgetting", "variability", "dynamic_uncertainty", "dual") else 1


def measured(logits: NDArray[np.float32], label: NDArray[np.int64]) -> EpochDynamics:
    """The recorded values of the samples with `label` int64 [m], from logits float32 [m, classes] after one epoch."""
    prediction = Prediction(np.array(logits, order="F"), label)
    with np.errstate(
        all="ignore"
    ):  # the formulas are finite for finite logits; intermediate values that underflow are 0
        loss = np.asarray(FROM_LOGITS["loss"](prediction))
        return EpochDynamics(-loss, np.asarray(prediction.margin_logit), logits.argmax(axis=1) == label)


def blocks(reader: DynamicsReader, num_epochs: int) -> Iterator[tuple[int, EpochDynamics]]:
    """The first `num_epochs` epochs of all samples, some samples at a time: position of the first, and the values."""
    for start in range(0, reader.header.num_samples, _BLOCK):
        yield start, reader.values(start, min(start + _BLOCK, reader.header.num_samples), num_epochs)


def _probability(taken: EpochDynamics) -> Values:
    return np.exp(taken.log_p.astype(np.float64))


def _windows(taken: EpochDynamics) -> Iterator[Values]:
    """All windows of 10 consecutive epochs, or one of all epochs if there are fewer."""
    probability = _probability(taken)
    size = min(WINDOW, len(probability))
    for start in range(len(probability) - size + 1):
        yield probability[start : start + size]
