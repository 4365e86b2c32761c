"""Whether values given as logits are something else: probabilities, percentages, sigmoid outputs, decisions. NumPy only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import SpurWarning
from spurcli.words import counted

_BLOCK = 1 << 16
# How far from its total a row of rounded shares may be, and the mean of all rows: 100 classes at 4 decimals stay below.
_ROW, _MEAN = 0.05, 0.01
# Number of samples from which an accuracy distinguishes a trained model from guessing.
_SAMPLES = 100
# Number of values from which it is not by chance that all are between 0 and 1.
_ENOUGH = 20
# Logits that differ by less, relative to their size, are the same but for rounding in batches of another size.
TOLERANCE = 1e-6


def warn_unless_logits(logits: NDArray[Any], where: str, *, of_model: bool = False, stacklevel: int = 2) -> bool:
    """One SpurWarning if `logits` float [n, classes] look like probabilities or the like; returns whether it was given.

    `where` names the file, or with `of_model` the model, whose last layer is then what must change. Log-probabilities
    are logits. Integers are looked at too. Values are read in blocks, and only while they look like that.
    """
    found = what_instead(logits)
    if found is None:
        return False
    what, remedy = found
    if of_model:
        remedy = "Return the model's values before its last softmax or sigmoid, or the logarithm of its output."
    warnings.warn(SpurWarning(f"{where}: {what}, not logits. {remedy}"), stacklevel=stacklevel + 1)
    return True


def are_constant(logits: NDArray[Any]) -> bool:
    """Whether all rows of `logits` float [n, classes] are the same; false for a single one."""
    if len(logits) < 2:
        return False
    first = np.asarray(logits[0], dtype=np.float64)
    allowed = TOLERANCE * (1 + np.abs(first))
    return all(bool((np.abs(block - first) <= allowed).all()) for block in _blocks(logits))


def constant_line(num_samples: int, what: str = "The logits") -> str:
    """The message for logits that are the same for all samples."""
    return f"{what} are the same for all {counted(num_samples, 'sample')}: the model has collapsed, or all its inputs are the same"


def warn_unless_fitting(logits: NDArray[Any], label: NDArray[np.int64], where: str, *, stacklevel: int = 2) -> None:
    """One SpurWarning if `logits` float [n, classes] are no better than guessing of `label` int64 [n], or if their columns fit the
    labels better in another order. No warning for fewer than 100 samples.
    """
    num_classes = logits.shape[1]
    table = np.zeros((num_classes, num_classes), dtype=np.int64)  # labels × predicted
    for start in range(0, len(logits), _BLOCK):
        predicted = np.argmax(logits[start : start + _BLOCK], axis=1)
        np.add.at(table, (label[start : start + _BLOCK], predicted), 1)
    counts = table.sum(axis=1)
    there = np.flatnonzero(counts)
    if len(label) < _SAMPLES or len(there) < 2 or are_constant(logits):  # which has its own message
        return
    shares = table[there] / counts[there, None]
    column = shares.argmax(axis=1)
    recall, best = float(shares[np.arange(len(there)), there].mean()), float(shares.max(axis=1).mean())
    chance = 1 / num_classes
    error = float(np.sqrt((chance * (1 - chance) / counts[there]).sum())) / len(there)
    if len(set(column.tolist())) == len(there) and best > max(0.5, recall + 0.2):
        pairs = zip(there.tolist(), column.tolist(), strict=True)
        moved = [f"{number} by column {other}" for number, other in pairs if number != other]
        more = ", …" if len(moved) > 3 else ""
        said = f"the columns fit the labels better in another order: class {', '.join(moved[:3])}{more}"
        advice = "Reorder the columns, or store class_names with the logits"
    elif recall < chance + 3 * error:
        said = f"the largest logit matches the label in {recall:.0%} of the samples (mean over classes), which is no better than guessing"
        advice = "Are rows and labels in the same order?"
    else:
        return
    warnings.warn(SpurWarning(f"{where}: {said}. {advice}"), stacklevel=stacklevel + 1)


def what_instead(logits: NDArray[Any]) -> tuple[str, str] | None:
    """What the values are, with the line that converts them to logits; None if they may be logits."""
    if not logits.size or not np.isfinite(logits[0]).all():
        return None
    lowest, highest, positive = np.inf, -np.inf, np.inf
    # of which every row so far has the sum: shares, percentages, or as many votes as in the first row
    totals = dict.fromkeys((1.0, 100.0, max(1.0, float(np.asarray(logits[0], dtype=np.float64).sum()))), True)
    errors = dict.fromkeys(totals, 0.0)
    is_whole, is_mixed, odds_are_one = True, False, True
    for block in _blocks(logits):
        if not np.isfinite(block).all() or block.min() < 0:
            return None
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        positive = min(positive, float(block[block > 0].min(initial=np.inf)))
        is_mixed = is_mixed or bool(((block > 0).sum(axis=1) > 1).any())
        is_whole = is_whole and bool((block == np.rint(block)).all())
        for total in totals:
            error = np.abs(block.sum(axis=1) / total - 1)
            totals[total] = totals[total] and bool(error.max() <= _ROW)
            errors[total] += float(error.sum())
        odds_are_one = odds_are_one and bool(np.abs(np.exp(-block).sum(axis=1) - 1).max() <= _MEAN)
        if highest > 1 and not odds_are_one and not any(totals.values()):
            return None
    rows = len(logits)
    for total in totals:
        if not totals[total] or errors[total] / rows > _MEAN:
            continue
        name = {1.0: "probabilities", 100.0: "percentages"}.get(total, "votes")
        if name == "votes" and not (is_whole and is_mixed and logits.size >= _ENOUGH):
            continue
        if is_whole and not is_mixed:
            return (
                "every row is one-hot: these are predicted classes",
                "Write the model's output before its argmax.",
            )
        share = "p" if total == 1 else f"p / {total:g}"
        if lowest > 0:
            return (
                f"every row is ≥ 0 and sums to {total:g}: these look like {name}",
                f"Write their logarithm, np.log({share}).",
            )
        # half the smallest value above 0, for values that were rounded to 0
        return (
            f"every row is ≥ 0 and sums to {total:g}, with zeros: these look like {name}",
            f"Write their logarithm, np.log({share if total == 1 else f'({share})'}.clip({positive / total / 2:.0e})), or better the model's values before its softmax, because all zeros are ties.",
        )
    if odds_are_one:
        return "exp(−z) of every row sums to 1: these look like negative log-probabilities", "Write their negative, -z."
    if highest <= 1 and highest > 0 and logits.size >= _ENOUGH:
        if is_whole:
            return "all values are 0 or 1: these look like decisions", "Write the model's values before its decision."
        return (
            "all values are between 0 and 1: these look like the outputs of a sigmoid, or similarities",
            "Write np.log(p / (1 - p)) of sigmoid outputs; divide similarities by the temperature they were trained with.",
        )
    return None


def _blocks(logits: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(logits), _BLOCK):
        yield np.asarray(logits[start : start + _BLOCK], dtype=np.float64)
