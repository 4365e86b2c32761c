"""Whether predictions of a foreign model agree with the labels better if its classes are read in another order.

Names of classes are matched earlier, in `spurcli.models.class_order`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import SpurWarning

_BLOCK = 1 << 16
_FEWEST, _GAIN, _AGREED = 20, 0.1, 0.5
_SHOWN = 3
ORDER_ADVICE = "If this is not intended, name the order of the model's outputs: --set model.options.class_order=…"


def confusion(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many samples of each class (rows) were predicted as each (columns), int64 [classes, classes]."""
    num_classes = logits.shape[1]
    counts = np.zeros(num_classes * num_classes, dtype=np.int64)
    for start in range(0, len(logits), _BLOCK):
        predicted = np.asarray(logits[start : start + _BLOCK]).argmax(axis=1)
        counts += np.bincount(label[start : start + _BLOCK] * num_classes + predicted, minlength=len(counts))
    return counts.reshape(num_classes, num_classes)


def better_order(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], float, float] | None:
    """The output that agrees best with each class, and the mean recall in the given order and in that order.

    None unless the other order is clearly better. Recalls are averaged over classes, so for a model that always predicts
    one class no order is better. The assignment is optimal (scipy's linear_sum_assignment).
    """
    size = counts.sum(axis=1)
    here = np.flatnonzero(size)
    if size.sum() < _FEWEST or len(here) < 2:
        return None
    from scipy.optimize import linear_sum_assignment

    recall = counts[here] / size[here, None]
    _, columns = linear_sum_assignment(recall, maximize=True)
    rows = np.arange(len(here))
    is_moved = columns != here
    moved = rows[is_moved]
    as_is, best = float(recall[rows, here].mean()), float(recall[rows, columns].mean())
    if not len(moved) or best - as_is < _GAIN:
        return None
    agreed = float(recall[moved, columns[moved]].mean())
    if agreed < _AGREED or float(recall[moved, here[moved]].mean()) > agreed / 2:
        return None
    order = np.arange(len(size))
    order[here] = columns
    return order, as_is, best


def warn_if_reordered(counts: NDArray[np.int64], class_names: Sequence[str], where: str, advice: str) -> bool:
    """One SpurWarning if the predictions counted in `counts` [classes, classes] fit the labels better in another order.

    Returns whether it was given.
    """
    found = better_order(counts)
    if found is None:
        return False
    order, as_is, best = found
    moved = [row for row in range(len(order)) if order[row] != row]
    shown = ", ".join(f"{class_names[row]} as {class_names[order[row]]}" for row in moved[:_SHOWN])
    more = ", …" if len(moved) > _SHOWN else ""
    message = (
        f"{where}: predictions agree with the labels better in another class order ({best:.0%} of each class instead of "
        f"{as_is:.0%}): {shown}{more}. {advice}"
    )
    warnings.warn(SpurWarning(message), stacklevel=2)
    return True
