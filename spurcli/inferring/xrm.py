"""XRM: environments are the mistakes of twin networks that flip each other's labels while they train."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError
from spurcli.inferring.evidence import TRAIN, Attribute, Evidence, Twins


def xrm(evidence: Evidence, *, num_tries: int = 3) -> Attribute:
    """right or wrong: whether either twin predicts another class than the sample's original label; of every split.

    Pezeshki et al., "Discovering Environments with XRM", ICML 2024. Of `num_tries` learning rates the one with the highest
    flip rate is used, which needs no groups; one under which a class has no environment of its own does not count.
    """
    labels = {TRAIN: evidence.label, **evidence.other_labels}
    tried = evidence.twins(num_tries)
    empty = [_class_without(twins, labels, len(evidence.class_names)) for twins in tried]
    usable = [twins for twins, missing in zip(tried, empty, strict=True) if missing is None]
    if not usable:
        split, label, name = empty[0] or (TRAIN, 0, "wrong")
        raise InputError(
            f"XRM finds no environments: no sample of class {evidence.class_names[label]!r} in {split} is {name}",
            "Try more learning rates (--num-tries 5), or train for another number of epochs (--epoch N).",
        )
    best = max(usable, key=lambda twins: twins.flip_rate)  # of equal ones the first
    evidence.chosen |= {"learning_rate": best.learning_rate, "flip_rate": round(best.flip_rate, 4)}
    value = {split: environments(*best.logits[split], label).astype(np.int64) for split, label in labels.items()}
    return Attribute(value.pop(TRAIN), ("right", "wrong"), within_class=True, others=value)


def environments(
    first: NDArray[np.float32], second: NDArray[np.float32], label: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether either twin is wrong, bool [n], from the logits [n, classes] of both."""
    return np.asarray((first.argmax(axis=1) != label) | (second.argmax(axis=1) != label))


def _class_without(twins: Twins, labels: dict[str, NDArray[np.int64]], num_classes: int) -> tuple[str, int, str] | None:
    """A class all of whose samples in train or val are in one environment: split, class, the one that is empty."""
    for split in (TRAIN, "val"):
        if split not in labels:
            continue
        wrong = environments(*twins.logits[split], labels[split])
        for y in range(num_classes):
            mine = wrong[labels[split] == y]
            if len(mine) and (mine.all() or not mine.any()):
                return split, y, "right" if mine.all() else "wrong"
    return None
