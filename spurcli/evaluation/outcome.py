"""The input of every metric: predictions, and the accuracies of classes and groups. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.errors import InputError
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.intervals import wilson
from spurcli.evaluation.judged import Judged, judge
from spurcli.evaluation.metric import Need, Values
from spurcli.words import counted


def share(num_correct: int, num_samples: int, **more: Any) -> Values:
    """A share with its number of samples and Wilson interval; the value is None where there is no sample."""
    low, high = wilson(num_correct, num_samples)
    value = num_correct / num_samples if num_samples else None
    return {"value": value, "num_samples": num_samples, "interval": [low, high], **more}


@dataclass(frozen=True)
class Outcome:
    """An evaluated split with what was predicted for it: `predicted` and `correct` are [n], as `evaluated.label`."""

    evaluated: Evaluated

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.evaluated.logits.argmax(axis=1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.evaluated.label)

    @cached_property
    def twin_predicted(self) -> NDArray[np.int64]:
        assert self.evaluated.twin_logits is not None
        return np.asarray(self.evaluated.twin_logits.argmax(axis=1))

    @cached_property
    def twin_label(self) -> NDArray[np.int64]:
        return self.evaluated.label[self.evaluated.twin_index]

    @cached_property
    def per_class(self) -> list[JsonObject]:
        """Accuracy of each class, and how often it is predicted."""
        found = []
        for number, name in enumerate(self.evaluated.class_names):
            mine = self.evaluated.label == number
            found.append(
                {
                    "class": name,
                    "accuracy": share(int(self.correct[mine].sum()), int(mine.sum())),
                    "predicted_share": float((self.predicted == number).mean()),
                }
            )
        return found

    @cached_property
    def per_group(self) -> list[JsonObject]:
        """Accuracy of each group; [] where groups are not known.

        The evaluation splits of an injected data set contain no carriers. Their twin, the same samples with
        the feature in all of them, fills the groups that carry it; so each sample counts once in a group without and
        once in one with the feature, worst group and conflict accuracy look at both, and the adjusted mean weights them
        as in training. `accuracy` and the class accuracies are of the split without its twin.
        """
        evaluated = self.evaluated
        if evaluated.group is None:
            return []
        group, correct = evaluated.group, self.correct
        if evaluated.twin_logits is not None and evaluated.twin_index is not None:
            # the injected data set has two attributes: without (0) and with (1) the feature
            group = np.concatenate([group, self.twin_label * 2 + 1])
            correct = np.concatenate([correct, self.twin_predicted == self.twin_label])
        counts = np.bincount(group, minlength=len(evaluated.group_names))
        rights = np.bincount(group[correct], minlength=len(evaluated.group_names))
        train = evaluated.train_group_counts
        return [
            {
                "group": name,
                "accuracy": share(int(rights[number]), int(counts[number])),
                "num_train": int(train[number]) if train is not None else None,
            }
            for number, name in enumerate(evaluated.group_names)
        ]

    @cached_property
    def filled_groups(self) -> dict[str, Values]:
        """The accuracies of the groups that have samples."""
        return {item["group"]: item["accuracy"] for item in self.per_group if item["accuracy"]["num_samples"]}

    @cached_property
    def judged(self) -> Judged:
        """Reliance of the model on each known feature."""
        return judge(self.evaluated)

    def has(self, need: Need) -> bool:
        """Whether what a metric needs is there."""
        evaluated = self.evaluated
        is_twin = evaluated.feature_of is not None and evaluated.twin_logits is not None
        return {
            "groups": lambda: bool(self.filled_groups),
            "training groups": lambda: bool(self.filled_groups) and evaluated.train_group_counts is not None,
            "twin": lambda: is_twin,
            "twin class": lambda: is_twin and evaluated.twin_class is not None,
            "confusion": lambda: evaluated.confusion is not None and not is_twin,
            "feature": lambda: bool(self.judged.records),
        }[need]()


def require_finite(evaluated: Evaluated) -> None:
    """Raise InputError if a logit is NaN or infinite: an argmax over NaN would look like a prediction."""
    for what, logits in (("", evaluated.logits), (" with the feature", evaluated.twin_logits)):
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1)) if logits is not None else np.empty(0, np.int64)
        if len(bad):
            raise InputError(
                f"NaN or infinite logits in {counted(len(bad), 'sample')}{what}, first in sample {int(bad[0]):,}",
                "The model diverged or overflows: train it at a lower learning rate, or evaluate in float32.",
            )
