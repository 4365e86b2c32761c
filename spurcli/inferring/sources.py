"""Where outputs for the training split come from: predictions.h5, a checkpoint, or models trained for the purpose."""

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
from spurcli.progress import Turn
from spurcli.randomness import generator
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import embed, predict_logits
from spurcli.training.early_training import early_epoch, train_early

_HINT = "Name model.safetensors or predictions.h5 of the training split, or nothing to train an early model."


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

    def logits(self) -> NDArray[np.float32]:
        return self._predictions.logits

    def embedding(self) -> NDArray[np.float32]:
        raise InputError(
            f"{self._path} holds logits, and this way needs embeddings",
            "Name the checkpoint instead, or nothing to train an early model.",
        )

    def held_out_logits(self) -> NDArray[np.float32]:
        raise _trains_its_own(self._path)


class FromModels:
    """One pass of a checkpoint, or of models that are trained for the recipe's `scoring.epoch` full passes."""

    def __init__(
        self, context: RunContext, checkpoint: Path | None, state_folder: Path, *, replace_other: bool
    ) -> None:
        self._bench, self._checkpoint = context, checkpoint
        self._state_folder, self._replace_other = state_folder, replace_other
        self._noted: tuple[NotedAccuracy, ...] | None = None  # of a model that another program trained

    @cached_property
    def _feed(self) -> Feed:
        return self._bench.feed(self._bench.dataset.splits["train"].inputs)

    @cached_property
    def _model(self) -> nn.Module:
        if self._checkpoint is None:
            return self._trained(0, None, "training")
        is_ours = bool(read_checkpoint_metadata(self._checkpoint, required=False))
        model, restored = self._bench.restored(self._checkpoint, is_ours=is_ours)
        self._noted = None if is_ours else restored.accuracies
        return model

    @cached_property
    def _embedded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return embed(self._model, self._feed, self._bench.preprocess(), **self._pass())

    def logits(self) -> NDArray[np.float32]:
        one_pass = "_embedded" in self.__dict__  # it gives both
        logits = _finite(self._embedded[1]) if one_pass else self._predicted(self._model)
        if not self._bench.world.is_first:
            return logits
        if are_constant(logits):
            warnings.warn(constant_line(len(logits)), SpurWarning, stacklevel=2)
        if self._noted is not None:
            counts = confusion(logits, self._bench.dataset.splits["train"].label)
            warn_if_doubtful(counts, self._bench.dataset.class_names, str(self._checkpoint), self._noted)
        return logits

    def embedding(self) -> NDArray[np.float32]:
        return _finite(self._embedded[0])

    def held_out_logits(self) -> NDArray[np.float32]:
        if self._checkpoint is not None:
            raise _trains_its_own(self._checkpoint)
        train = self._bench.dataset.splits["train"]
        half = random_halves(train.label, self._bench.settings.seed)
        logits = np.empty((len(train), len(self._bench.dataset.class_names)), dtype=np.float32)
        for number in (0, 1):
            kept = np.flatnonzero(half == number).astype(np.int64)
            model = self._trained(number, kept, f"training model {number + 1} of 2")
            logits[half != number] = self._predicted(model)[half != number]
        return logits

    def _trained(self, number: int, kept: NDArray[np.int64] | None, what: str) -> nn.Module:
        """An early model of its own seed and state."""
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

    def _predicted(self, model: nn.Module) -> NDArray[np.float32]:
        num_classes = len(self._bench.dataset.class_names)
        preprocess = self._bench.preprocess()
        return _finite(predict_logits(model, self._feed, preprocess, num_classes=num_classes, **self._pass()))

    def _pass(self) -> dict[str, Any]:
        scoring = self._bench.settings.scoring
        return {
            "num_samples": len(self._bench.dataset.splits["train"]),
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


def _trains_its_own(path: Path) -> UsageError:
    return UsageError(
        f"This way trains two models of its own and cannot use {path}", "Leave the file out; say --epoch N."
    )


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise InputError(
            "The model gives NaN or infinity for some training samples", "Use a model that has not diverged."
        )
    return values
