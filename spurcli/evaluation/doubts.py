"""Whether predictions contradict what is known about the model: another order of classes, a much higher recorded accuracy, or hardly better than chance."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.class_check import ORDER_ADVICE, warn_if_reordered
from spurcli.artifacts.history import history_path, read_history
from spurcli.artifacts.saved_accuracy import NotedAccuracy
from spurcli.errors import SpurError, SpurWarning
from spurcli.evaluation.intervals import wilson
from spurcli.words import counted

_LEAST_GAP = 0.1
_FEWEST = 20  # samples, of a class or all, to call their accuracy poor
_SHOWN = 3
_BEYOND_CHANCE = 0.25  # of the way from chance to perfect, that a usable model goes at least


def warn_if_doubtful(
    counts: NDArray[np.int64],
    class_names: Sequence[str],
    where: str,
    noted: Sequence[NotedAccuracy],
    used: str = "",
) -> None:
    """At most one SpurWarning on a foreign model's predictions, counted in `counts` [true, predicted].

    A better order of the classes comes first: it explains an accuracy that is too low. `used` is the preprocessing as text.
    """
    if warn_if_reordered(counts, class_names, where, ORDER_ADVICE) or warn_if_contradicted(noted, counts, where):
        return
    warn_if_poor(counts, class_names, where, used)


def warn_if_poor(counts: NDArray[np.int64], class_names: Sequence[str], where: str, used: str) -> None:
    """One SpurWarning if predictions are hardly better than chance, or a class is right less than half as often as by chance.

    The first by the mean over classes, the second even at the upper end of the 95 % interval.
    """
    size, right = counts.sum(axis=1), np.diag(counts)
    here = np.flatnonzero(size)
    if size.sum() < _FEWEST or len(here) < 2:
        return
    chance = 1 / len(here)
    recall = right[here] / size[here]
    poor = [y for y in here.tolist() if size[y] >= _FEWEST and wilson(int(right[y]), int(size[y]))[1] < chance / 2]
    if not poor and recall.mean() >= chance + _BEYOND_CHANCE * (1 - chance):
        return
    worst = sorted(poor, key=lambda y: right[y] / size[y])[:_SHOWN]
    classes = "".join(f", {class_names[y]} {right[y] / size[y]:.1%}" for y in worst)
    message = (
        f"{where}: only {right.sum() / size.sum():.1%} of {counted(int(size.sum()), 'sample')} are right{classes}. "
        f"Are preprocessing and class order those of its training?{f' Used: {used}' if used else ''}"
    )
    warnings.warn(message, SpurWarning, stacklevel=2)


def warn_if_contradicted(noted: Sequence[NotedAccuracy], counts: NDArray[np.int64], where: str) -> bool:
    """One SpurWarning, and True, if every recorded accuracy is more than a tenth above the 95 % interval of that of `counts`.

    A recorded accuracy far below means nothing: it may come from an earlier epoch or harder data.
    """
    num_correct, num_samples = int(np.trace(counts)), int(counts.sum())
    if not noted or not num_samples:
        return False
    lowest = min(noted, key=lambda each: each.share)
    if lowest.share <= wilson(num_correct, num_samples)[1] + _LEAST_GAP:
        return False
    message = (
        f"{where}: its recorded accuracy is {lowest.share:.1%} ({lowest.key}); here it is {num_correct / num_samples:.1%} of "
        f"{counted(num_samples, 'sample')}. If both should be the same, check preprocessing, labels and the order of the classes."
    )
    warnings.warn(message, SpurWarning, stacklevel=2)
    return True


def accuracies_in_history(path: Path, split: str, weights_sha256: str, epoch: Any) -> list[NotedAccuracy]:
    """The accuracy on `split` in the history.json next to a spurcli model, after its epoch; nothing if it belongs to another model."""
    with contextlib.suppress(SpurError):
        history = read_history(history_path(path))
        records = [record for record in history["epochs"] if record.get("epoch") == epoch]
        if history.get("weights_sha256") == weights_sha256 and records:
            evaluations = records[0].get("evaluations")
            found: Any = evaluations.get(split) if isinstance(evaluations, Mapping) else None
            if split == "train" and not isinstance(found, Mapping):
                found = records[0]
            value = found.get("accuracy") if isinstance(found, Mapping) else None
            if isinstance(value, float) and 0 <= value <= 1:
                return [NotedAccuracy(f"history.json, epoch {epoch}", value)]
    return []
