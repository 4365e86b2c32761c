"""The recorder that every callback uses: takes logits, writes dynamics.h5 after each epoch. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spurcli.artifacts.dynamics import VIEWS, DynamicsFacts, EpochDynamics, open_dynamics, write_dynamics
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.artifacts.provenance import provenance
from spurcli.artifacts.scores import ScoresHeader
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, UsageError
from spurcli.in_memory.values import array_of, label_codes, logits_of, require_length
from spurcli.scoring.dynamics import measured
from spurcli.words import counted

_NOTHING = -1  # the label of a sample that has not occurred yet


class DynamicsRecorder:
    """Records the model's output for each sample during training, and writes dynamics.h5 after each epoch.

        recorder = spurcli.DynamicsRecorder("dynamics.h5", len(train_set))
        for epoch in range(10):
            for index, inputs, labels in loader:
                logits = model(inputs)
                ...
                recorder.update(index, logits, labels)
            recorder.end_epoch()

    Then `spurcli score --dynamics dynamics.h5` computes AUM, forgetting and the other scores of a whole training. Each sample
    must occur in every epoch: no `drop_last`, no sampler that leaves samples out. Memory: 9 bytes per sample and epoch.

    Args:
        path: The file. An older one is replaced after the first epoch.
        num_samples: How many samples the training set has; their indices are 0 … num_samples − 1.
        ids: An id for each sample, in the order of the indices.
        class_names: The classes in the order of the logits' columns.
        view: "in-training" for logits of the training pass, "eval" for those of a pass in eval mode after the epoch.
        seed: The seed of the training, stored in the file.
    """

    def __init__(
        self,
        path: str | Path,
        num_samples: int,
        *,
        ids: Sequence[Any] | None = None,
        class_names: Sequence[str] = (),
        view: str = "in-training",
        seed: int | None = None,
    ) -> None:
        if view not in VIEWS:
            raise UsageError(f"view={view!r} is unknown", f"One of: {', '.join(VIEWS)}.")
        if num_samples < 1:
            raise InputError("The training set has no samples", "Name a data set with samples.")
        self.path = Path(path)
        self._ids = None if ids is None else tuple(str(each) for each in array_of(ids).tolist())
        if self._ids is not None:
            require_length(self._ids, "ids", num_samples)
            if len(set(self._ids)) < num_samples:
                raise InputError("ids: an id occurs twice", "Name a column in which each sample has a different id.")
        self._class_names = tuple(class_names)
        self._facts = DynamicsFacts(view, "unknown", seed, "")
        self._label = np.full(num_samples, _NOTHING, dtype=np.int64)
        self._num_classes = 0
        self._epochs: list[EpochDynamics] = []
        self._begin()

    @property
    def num_epochs(self) -> int:
        """How many epochs are recorded."""
        return len(self._epochs)

    def update(self, index: ArrayLike, logits: ArrayLike, labels: ArrayLike) -> None:
        """Take one batch.

        Args:
            index: The positions of the samples in the training set, integers [m].
            logits: Numbers [m, classes]: the model's output before the softmax.
            labels: The column of each sample's class, integers [m].

        Raises:
            InputError: Shapes that do not fit, a logit that is not finite, or a sample whose label has changed.
        """
        places, num_samples = array_of(index), len(self._label)
        if places.ndim != 1 or places.dtype.kind not in "iu":
            raise InputError(f"The index has the shape {list(places.shape)}", "Integers [m] are required.")
        if not len(places):
            return
        if places.min() < 0 or places.max() >= num_samples:
            raise InputError(
                f"The index {places[(places < 0) | (places >= num_samples)][0]} is not one of {counted(num_samples, 'sample')}",
                "Count from 0.",
            )
        values = logits_of(logits, probabilities=False, warns=False)
        label = label_codes(labels, None, values.shape[1])
        require_length(values, "Logits", len(places))
        require_length(label, "Labels", len(places))
        earlier = self._label[places]
        if (other := (earlier != _NOTHING) & (earlier != label)).any():
            row = int(other.argmax())
            raise InputError(
                f"Sample {places[row]} has the label {label[row]}, and had {earlier[row]} before",
                "The index must be the position in the training set, the same in every epoch.",
            )
        if self._num_classes not in (0, values.shape[1]) or (
            self._class_names and len(self._class_names) != values.shape[1]
        ):
            raise InputError(
                f"Logits of {counted(values.shape[1], 'class')}, and of {self._num_classes or len(self._class_names)} before",
                "One column for each class is required.",
            )
        if not self._num_classes:
            warn_unless_logits(values, "The logits", of_model=True)
        self._num_classes = values.shape[1]
        self._label[places] = label
        taken = measured(values, label)
        self._log_p[places], self._margin[places], self._correct[places] = taken.log_p, taken.margin, taken.correct

    def end_epoch(self) -> None:
        """Close the epoch and write the file. Raises InputError if a sample was not used in this epoch."""
        missing = np.flatnonzero(np.isnan(self._log_p))
        if len(missing):
            raise InputError(
                f"{counted(len(missing), 'sample')} of {len(self._label):,} had no logits in epoch {self.num_epochs + 1}, "
                f"first sample {missing[0]}",
                "Use all samples in each epoch (drop_last=False), or record a pass over all of them after each epoch.",
            )
        self._epochs.append(EpochDynamics(self._log_p, self._margin, self._correct))
        self._begin()
        self._write()

    def resume(self, num_epochs: int) -> None:
        """Take the first `num_epochs` epochs from the file, for a training that resumes from a checkpoint.

        InputError where the file has fewer, or is about other samples.
        """
        if not num_epochs:
            return
        with open_dynamics(self.path) as reader:
            if reader.num_epochs < num_epochs:
                raise InputError(
                    f"{self.path} has {counted(reader.num_epochs, 'epoch')}, and the training continues after epoch {num_epochs}",
                    "Name the file of this training, resume from an earlier checkpoint, or train from the start.",
                )
            label, ids = reader.labels(), reader.sample_ids()
            if len(label) != len(self._label) or (ids and self._ids and ids != self._ids):
                raise InputError(f"{self.path} is about other samples", "Name the file of this training.")
            self._label = label
            found = reader.values(0, len(label), num_epochs)
        self._epochs = [EpochDynamics(*rows) for rows in zip(found.log_p, found.margin, found.correct, strict=True)]

    def _begin(self) -> None:
        size = len(self._label)
        self._log_p: NDArray[np.float32] = np.full(size, np.nan, dtype=np.float32)
        self._margin: NDArray[np.float32] = np.full(size, np.nan, dtype=np.float32)
        self._correct: NDArray[np.bool_] = np.zeros(size, dtype=bool)

    def _write(self) -> None:
        made = provenance("record", command="spurcli.DynamicsRecorder(...)  # called from Python")
        subject = Subject(Fingerprint.of(self._label, self._ids))
        header = ScoresHeader(subject, self._class_names, (), made)
        write_dynamics(self.path, header, self._facts, self.num_epochs, self._epochs, self._label, sample_id=self._ids)
