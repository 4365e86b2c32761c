"""The input and the result of a function that infers groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError

TRAIN = "train"


@dataclass(frozen=True)
class Attribute:
    """Attribute int64 [n] of each training sample, and the names of its values; groups are class/attribute.

    `within_class` is true if a value has a different meaning in each class (right and wrong, clusters); its frequency in
    different classes then has no meaning. `aligned` is the value that goes with the class's spurious feature in every class,
    if the way can say so: `prune --group auto` takes its groups. `others` has the attribute of the samples of further
    splits, if it can be inferred. `probability` float32 [n] of splits is the probability of the attribute called `probability_of`.
    """

    value: NDArray[np.int64]
    names: tuple[str, ...]
    within_class: bool = False
    aligned: str | None = None
    others: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    probability: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    probability_of: str | None = None


@dataclass(frozen=True)
class Twins:
    """XRM's two networks: `logits` float32 [n, classes] of both for each split, and which samples the first learned from.

    `flip_rate` is the share of training samples whose label was flipped in the end, under `learning_rate`.
    """

    logits: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    learns_first: NDArray[np.bool_]
    flip_rate: float
    learning_rate: float


@dataclass(frozen=True)
class Ranks:
    """Sebra's ranks int64 [n] of the samples of each split: the epoch in which a sample left, 0 if in none of `num_epochs`."""

    rank: Mapping[str, NDArray[np.int64]]
    num_epochs: int


class Source(Protocol):
    """Where the outputs for a split come from; all in eval mode, in the order of the split."""

    def logits(self, split: str = TRAIN) -> NDArray[np.float32]: ...

    def embedding(self, split: str = TRAIN) -> NDArray[np.float32]: ...

    def held_out_logits(self, split: str = TRAIN) -> NDArray[np.float32]: ...

    def twins(self, num_tries: int) -> Sequence[Twins]: ...

    def ranks(self) -> Ranks: ...


class Evidence:
    """Labels int64 [n] and the models' outputs for the training samples. Outputs are computed on first access.

    `other_labels` are the labels of the further splits for which model outputs are available: none for predictions, which
    cover only the training split. `sample_id` [n] are the ids of the training samples, if they have any. The function
    stores settings that it chose by itself in `chosen`: names and JSON values.
    """

    def __init__(
        self,
        label: NDArray[np.int64],
        class_names: tuple[str, ...],
        seed: int,
        source: Source,
        other_labels: Mapping[str, NDArray[np.int64]] | None = None,
        sample_id: Sequence[str] | None = None,
    ) -> None:
        self.label, self.class_names, self.seed = label, class_names, seed
        self.other_labels = dict(other_labels or {})
        self.sample_id = sample_id
        self.chosen: dict[str, Any] = {}
        self._source = source

    @cached_property
    def logits(self) -> NDArray[np.float32]:
        """Logits float32 [n, classes] of one model."""
        return self._source.logits()

    @property
    def prediction(self) -> NDArray[np.int64]:
        """The predicted class int64 [n]."""
        return _predicted(self.logits)

    @property
    def errors(self) -> NDArray[np.int64]:
        """Positions that the model misclassifies, ascending; InputError if there are none."""
        return self._errors(self.prediction)

    @cached_property
    def other_logits(self) -> dict[str, NDArray[np.float32]]:
        """The same model's logits for the samples of each further split."""
        return {split: self._source.logits(split) for split in self.other_labels}

    @property
    def other_predictions(self) -> dict[str, NDArray[np.int64]]:
        """The predicted class of the samples of each further split."""
        return {split: _predicted(logits) for split, logits in self.other_logits.items()}

    @cached_property
    def embedding(self) -> NDArray[np.float32]:
        """The input float32 [n, d] of its last linear layer."""
        return self._source.embedding()

    @cached_property
    def other_embeddings(self) -> dict[str, NDArray[np.float32]]:
        """The same for the samples of each further split."""
        return {split: self._source.embedding(split) for split in self.other_labels}

    @cached_property
    def held_out_logits(self) -> NDArray[np.float32]:
        """Logits float32 [n, classes]: for each sample, those of the model (of two) that was not trained on it."""
        return self._source.held_out_logits()

    @cached_property
    def other_held_out_predictions(self) -> dict[str, NDArray[np.int64]]:
        """The class that one of the two models, drawn for each sample, predicts for the samples of each further split."""
        return {split: _predicted(self._source.held_out_logits(split)) for split in self.other_labels}

    def twins(self, num_tries: int) -> Sequence[Twins]:
        """XRM's networks under each of the first `num_tries` learning rates, except those that diverged."""
        return self._source.twins(num_tries)

    @cached_property
    def ranks(self) -> Ranks:
        """Sebra's ranks of the samples of all splits."""
        return self._source.ranks()

    @property
    def held_out_errors(self) -> NDArray[np.int64]:
        """Positions misclassified by the model that was not trained on them, ascending; InputError if there are none."""
        return self._errors(_predicted(self.held_out_logits))

    def right_or_wrong(
        self, errors: NDArray[np.int64], other_predictions: Mapping[str, NDArray[np.int64]]
    ) -> Attribute:
        """The attribute of an error set of the training samples, and of predictions for the further splits."""
        value = np.zeros(len(self.label), dtype=np.int64)
        value[errors] = 1
        others = {
            split: (predicted != self.other_labels[split]).astype(np.int64)
            for split, predicted in other_predictions.items()
        }
        return Attribute(value, ("right", "wrong"), within_class=True, others=others)

    def _errors(self, prediction: NDArray[np.int64]) -> NDArray[np.int64]:
        wrong = np.flatnonzero(prediction != self.label).astype(np.int64)
        if not len(wrong):
            raise InputError(
                "The model classifies every training sample correctly, so it has no mistakes to use",
                "Use an earlier model (a smaller --epoch) or a more strongly regularised model (--set "
                "training.weight_decay=1.0 and a smaller learning rate, as JTT does).",
            )
        return wrong


Way = Callable[..., Attribute]


def _predicted(logits: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.asarray(logits.argmax(axis=1), dtype=np.int64)
