"""What limits an audit before any search: a model that may only guess, and few held-out samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.class_check import confusion
from spurcli.auditing.evidence import Evidence
from spurcli.evaluation.intervals import wilson
from spurcli.evaluation.reliance import Metric
from spurcli.words import counted

_FEW = 200  # held-out samples, of which half are for the confirmation


def accuracy(evidence: Evidence) -> Metric:
    """The share of held-out samples that are predicted correctly, with Wilson's 95 % interval."""
    label = evidence.label(evidence.held_out)
    num_right = int((evidence.logits(evidence.held_out).argmax(axis=1) == label).sum())
    if not len(label):
        return {"value": None, "num_samples": 0, "reason": "no held-out samples"}
    return {
        "value": num_right / len(label),
        "interval": list(wilson(num_right, len(label))),
        "num_samples": len(label),
    }


def say_limits(evidence: Evidence, *, is_doubted: bool = False) -> None:
    """Warn of a model that may only guess, unless its predictions were doubted already (`is_doubted`), and note that few held-out samples confirm only large effects."""
    split = evidence.held_out
    counts = confusion(evidence.logits(split), evidence.label(split))
    if _may_guess(counts) and not is_doubted:
        line = (
            f"The model may be no better than chance: {np.trace(counts) / counts.sum():.1%} of "
            f"{counted(int(counts.sum()), 'sample')} of {split} are right. Then its suspects mean little"
        )
        evidence.warn(line)
        evidence.progress.say(f"Warning: {line}")
    if counts.sum() < _FEW:
        sizes = {name: len(label) for name, label in evidence.labels.items() if name not in (split, evidence.source)}
        larger = max(sizes, key=lambda name: sizes[name], default=split)
        more = f": --held-out {larger} has {sizes[larger]:,}" if sizes.get(larger, 0) > counts.sum() else ""
        line = f"{split} has {counted(int(counts.sum()), 'sample')}, so only large effects can be confirmed{more}"
        evidence.note(line)


def _may_guess(counts: NDArray[np.int64]) -> bool:
    """Whether the mean accuracy over classes, of `counts` [true, predicted], is not significantly above chance (95 % interval)."""
    size, right = counts.sum(axis=1), np.diag(counts)
    here = np.flatnonzero(size)
    if len(here) < 2:
        return False
    recall = right[here] / size[here]
    error = np.sqrt((recall * (1 - recall) / size[here]).sum()) / len(here)
    return bool(recall.mean() - 1.96 * error <= 1 / len(here))
