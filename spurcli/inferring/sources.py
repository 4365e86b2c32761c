"""Where outputs for the samples come from: predictions.h5, a checkpoint, or models trained for the purpose."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.catalogue import CHECKPOINT, PREDICTIONS, require_kind
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.class_check import confusion
from spurcli.artifacts.logit_checks import are_constant, constant_line
from spurcli.artifacts.model_folder import weights_file
from spurcli.artifacts.predictions import Predictions, holds_predictions, read_predictions
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.saved_accuracy import NotedAccuracy
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.evaluation.doubts import warn_if_doubtful
from spurcli.inferring.evidence import TRAIN, Ranks, Twins
from spurcli.inferring.own_trainings import rank_by_bias, train_twins
from spurcli.progress import Turn
from spurcli.randomness import generator
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import embed, predict_logits
from spurcli.training.early_training import early_epoch, train_early

_HINT = "Name model.safetensors or predictions.h5 of the training split, or leave it out to train an early model."


def is_predictions(path: Path) -> bool:
    """Whether `path` holds predictions, in HDF5, rather than a checkpoint; InputError for another artefact."""
    path = weights_file(path)
    require_kind(path, CHECKPOINT, _HINT, PREDICTIONS)
    return holds_predictions(path)


def read_source_provenance(path: Path, *, required: bool = True) -> Provenance:
    """How a checkpoint or predictions were made; {} for a foreign checkpoint, which is refused if `required`."""
    if is_predictions(path):
        return read_predictions(path).provenance
    found: Provenance = read_checkpoint_metadata(path, required=required).get("provenance", {})
    return found


class FromPredictions:
    """Logits that were computed before."""

    def __init__(self, predictions: Predictions, path: Path) -> None:
        self._predictions, self._path = predictions, path

    def logits(self, split: str = TRAIN) -> NDArray[np.float32]:
        assert split == TRAIN
        return self._predictions.logits

    def embedding(self, split: str = TRAIN) -> NDArray[np.float32]:
        assert split == TRAIN
        raise InputError(
            f"{self._path} holds logits, and this way needs embeddings",
            "Name the checkpoint instead, or leave it out to train an early model.",
        )

    def held_out_logits(self, split: str = TRAIN) -> NDArray[np.float32]:
        assert split == TRAIN
        raise _trains_its_own(self._path)

    def twins(self, num_tries: int) -> list[Twins]:  # noqa: ARG002
        raise _trains_its_own(self._path)

    def ranks(self) -> Ranks:
        raise _trains_its_own(self._path, "a model")


class FromModels:
    """One pass of a checkpoint, or of models that are trained for the recipe's `scoring.epoch` full passes."""

    def __init__(
        self, context: RunContext, checkpoint: Path | None, state_folder: Path, *, replace_other: bool
    ) -> None:
        self._bench, self._checkpoint = context, checkpoint
        self._state_folder, self._replace_other = state_folder, replace_other
        self._noted: tuple[NotedAccuracy, ...] | None = None  # of a model that another program trained
        self._embedded: dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    @cached_property
    def _feed(self) -> Feed:
        return self._feed_of(TRAIN)

    def _feed_of(self, split: str) -> Feed:
        return self._bench.feed(self._bench.dataset.splits[split].inputs)

    @cached_property
    def _model(self) -> nn.Module:
        if self._checkpoint is None:
            return self._trained(0, None, "training")
        is_ours = bool(read_checkpoint_metadata(self._checkpoint, required=False))
        model, restored = self._bench.restored(self._checkpoint, is_ours=is_ours)
        self._noted = None if is_ours else restored.accuracies
        return model

    def logits(self, split: str = TRAIN) -> NDArray[np.float32]:
        one_pass = split in self._embedded  # it gives both
        logits = _finite(self._embedded[split][1]) if one_pass else self._predicted(self._model, split)
        if not self._bench.world.is_first or split != TRAIN:
            return logits
        if are_constant(logits):
            warnings.warn(constant_line(len(logits)), SpurWarning, stacklevel=2)
        if self._noted is not None:
            counts = confusion(logits, self._bench.dataset.splits["train"].label)
            warn_if_doubtful(
                counts, self._bench.dataset.class_names, str(self._checkpoint), self._noted, self._bench.pixels
            )
        return logits

    def embedding(self, split: str = TRAIN) -> NDArray[np.float32]:
        if split not in self._embedded:
            feed = self._feed if split == TRAIN else self._feed_of(split)
            self._embedded[split] = embed(self._model, feed, self._bench.preprocess(), **self._pass(split))
        return _finite(self._embedded[split][0])

    @cached_property
    def _twins(self) -> tuple[nn.Module, nn.Module]:
        """Two models, each trained on one half."""
        if self._checkpoint is not None:
            raise _trains_its_own(self._checkpoint)
        half = random_halves(self._bench.dataset.splits[TRAIN].label, self._bench.settings.seed)
        first, second = (
            self._trained(number, np.flatnonzero(half == number), f"training model {number + 1} of 2")
            for number in (0, 1)
        )
        return first, second

    def held_out_logits(self, split: str = TRAIN) -> NDArray[np.float32]:
        """Of samples of a further split, which neither model has seen, each is judged by one of them, as in training."""
        samples = self._bench.dataset.splits[split]
        half = random_halves(samples.label, self._bench.settings.seed)
        logits = np.empty((len(samples), len(self._bench.dataset.class_names)), dtype=np.float32)
        for number, model in enumerate(self._twins):
            logits[half != number] = self._predicted(model, split)[half != number]
        return logits

    def twins(self, num_tries: int) -> list[Twins]:
        if self._checkpoint is not None:
            raise _trains_its_own(self._checkpoint)
        return train_twins(
            self._bench, self._all_feeds(), num_tries, self._state_folder, replace_other=self._replace_other
        )

    def ranks(self) -> Ranks:
        if self._checkpoint is not None:
            raise _trains_its_own(self._checkpoint, "a model")
        labels = {name: split.label for name, split in self._bench.dataset.splits.items()}
        return rank_by_bias(
            self._bench, self._all_feeds(), labels, self._state_folder / "ranking", replace_other=self._replace_other
        )

    def _all_feeds(self) -> dict[str, Feed]:
        return {split: self._feed if split == TRAIN else self._feed_of(split) for split in self._bench.dataset.splits}

    def _trained(self, number: int, kept: NDArray[np.int64] | None, what: str) -> nn.Module:
        """An early model with its own seed and state."""
        settings, context = self._bench.settings, self._bench
        if kept is not None:  # one of two
            context = replace(context, progress=Turn(context.progress, number, 2))
        return train_early(
            context,
            self._feed,
            settings.seed + number,
            early_epoch(settings),
            self._state_folder / f"model{number}",
            what,
            kept=kept,
            replace_other=self._replace_other,
        )

    def _predicted(self, model: nn.Module, split: str) -> NDArray[np.float32]:
        num_classes = len(self._bench.dataset.class_names)
        feed = self._feed if split == TRAIN else self._feed_of(split)
        preprocess = self._bench.preprocess()
        return _finite(predict_logits(model, feed, preprocess, num_classes=num_classes, **self._pass(split)))

    def _pass(self, split: str) -> dict[str, Any]:
        scoring = self._bench.settings.scoring
        return {
            "num_samples": len(self._bench.dataset.splits[split]),
            "batch_size": scoring.batch_size,
            "precision": scoring.precision,
            "progress": self._bench.progress,
            "world": self._bench.world,
        }


def random_halves(label: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """0 or 1 for each sample, int64 [n]: a random half of each class, the odd one of a class to the smaller half so far."""
    half = np.empty(len(label), dtype=np.int64)
    numbers, surplus = generator("cross-mistakes", seed), 0
    for y in np.unique(label):
        members = numbers.permutation(np.flatnonzero(label == y))
        half[members] = (np.arange(len(members)) + surplus) % 2
        surplus = (surplus + len(members)) % 2
    return half


def _trains_its_own(path: Path, what: str = "two models") -> UsageError:
    return UsageError(f"This way trains {what} itself and cannot use {path}", "Leave the file out; add --epoch N.")


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise InputError("The model gives NaN or infinity for some samples", "Use a model that has not diverged.")
    return values
