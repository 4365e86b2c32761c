"""Recording a training's dynamics: from a pass in eval mode after each epoch, or from the training pass itself.

Each finished epoch is a file of its own in the run's state folder, so that a kill loses none; they become dynamics.h5 at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import load_tensors, save_tensors
from spurcli.artifacts.dynamics import VIEWS, DynamicsFacts, EpochDynamics, write_dynamics
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.scores import ScoresHeader
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import evaluation_mode, forward_windows
from spurcli.scoring.formulas import FROM_LOGITS, Prediction

EVAL, IN_TRAINING = VIEWS
_NUM_VALUES = 3
BYTES_A_SAMPLE = 4 * _NUM_VALUES + 9  # per epoch, in the state folder and in the file


@dataclass
class Recorder:
    """Takes the dynamics of one run. `mode` is EVAL or IN_TRAINING; of several processes the first one writes."""

    context: RunContext
    feed: Feed
    folder: Path
    mode: str
    seconds: float = 0.0
    _rows: torch.Tensor = field(init=False)
    _visits: torch.Tensor = field(init=False)
    _label: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        label = torch.from_numpy(self.context.dataset.splits["train"].label)
        self._label = label.to(self.context.device)
        size = len(label) if self.mode == IN_TRAINING else 0
        self._rows = torch.zeros((_NUM_VALUES, size), device=self.context.device)
        self._visits = torch.zeros(size, dtype=torch.int64, device=self.context.device)

    def watch(self, index: torch.Tensor, logits: torch.Tensor) -> None:
        """Take the output of the training pass for a batch; each sample is visited once per epoch."""
        if len(index):
            self._rows.index_copy_(1, index, _measured(Prediction(logits.detach().float(), self._label[index])))
            self._visits.index_add_(0, index, torch.ones_like(index))

    def close_epoch(self, model: nn.Module, epoch: int) -> None:
        """Write the finished epoch."""
        began = time.monotonic()
        rows = self._after_pass(model) if self.mode == EVAL else self._of_training()
        if self.context.world.is_first:
            save_tensors(self._path(epoch), {"dynamics": rows.cpu()}, {})
        self.seconds += time.monotonic() - began

    def _after_pass(self, model: nn.Module) -> torch.Tensor:
        """Values [3, n] of all samples, in eval mode, a window at a time."""
        scoring, world = self.context.settings.scoring, self.context.world
        found = torch.zeros((_NUM_VALUES, len(self._label)))
        with evaluation_mode(model):
            for begin, end, batches in forward_windows(
                model,
                self.feed,
                self.context.preprocess(),
                num_samples=len(self._label),
                batch_size=scoring.batch_size,
                precision=scoring.precision,
                what="dynamics",
                progress=self.context.progress,
                world=world,
            ):
                part = torch.zeros((_NUM_VALUES, end - begin), device=self.context.device)
                for index, logits in batches:
                    part.index_copy_(1, index - begin, _measured(Prediction(logits, self._label[index])))
                part = world.total(part)
                _require_finite(part)
                found[:, begin:end] = part.cpu()
        return found

    def _of_training(self) -> torch.Tensor:
        """Values [3, n] of the epoch, NaN where a sample was not visited."""
        rows, visits = (self.context.world.total(part) for part in (self._rows, self._visits))
        if int(visits.max()) > 1:
            raise UsageError(
                "--dynamics in-training needs a method that visits each sample once per epoch",
                "Use --dynamics eval, which measures after each epoch.",
            )
        rows = rows.clone()
        _require_finite(rows)
        rows[:2, visits == 0] = torch.nan
        self._rows.zero_()
        self._visits.zero_()
        return rows

    def tensors(self) -> dict[str, torch.Tensor]:
        """The values of the unfinished epoch so far in this process, by sample."""
        index = torch.nonzero(self._visits)[:, 0]
        return {"index": index, "rows": self._rows[:, index].T.contiguous(), "visits": self._visits[index]}

    def load(self, tensors: Mapping[str, torch.Tensor], _facts: Any) -> None:
        """Put it back; only the first process keeps what all of them had."""
        self._rows.zero_()
        self._visits.zero_()
        if self.context.world.is_first and len(tensors["index"]):
            index = tensors["index"].to(self._rows.device)
            self._rows[:, index] = tensors["rows"].T.to(self._rows.device)
            self._visits.index_add_(0, index, tensors["visits"].to(index.device))

    def epochs(self, num_epochs: int) -> Iterator[EpochDynamics]:
        """The finished epochs, in order, one in memory."""
        for epoch in range(1, num_epochs + 1):
            rows = load_tensors(self._path(epoch))["dynamics"].numpy()
            yield EpochDynamics(rows[0], rows[1], rows[2].astype(np.bool_))

    def write(self, path: Path, num_epochs: int, made: Provenance, digest: str) -> None:
        """Write dynamics.h5, in the first process."""
        if not self.context.world.is_first:
            return
        dataset, train = self.context.dataset, self.context.dataset.splits["train"]
        group = dataset.group("train")
        names = dataset.group_names if group is not None else ()
        header = ScoresHeader(dataset.subject("train"), dataset.class_names, names, made)
        scoring, training = self.context.settings.scoring, self.context.settings.training
        precision = scoring.precision if self.mode == EVAL else training.precision
        facts = DynamicsFacts(self.mode, precision, self.context.settings.seed, digest)
        epochs = self.epochs(num_epochs)
        write_dynamics(path, header, facts, num_epochs, epochs, train.label, sample_id=train.sample_id, group=group)

    def require_earlier(self, num_epochs: int) -> None:
        """Raise SpurError if a finished epoch is missing, because it cannot be recorded again."""
        gone = [path for epoch in range(1, num_epochs + 1) if not (path := self._path(epoch)).exists()]
        if gone:
            raise SpurError(f"{gone[0]} is missing, but the saved training state needs it", "Start over with --force.")

    def _path(self, epoch: int) -> Path:
        return self.folder / f"dynamics-{epoch:06}.safetensors"


def _require_finite(values: torch.Tensor) -> None:
    if not bool(torch.isfinite(values).all()):
        raise InputError("A logit is NaN or infinite", "The model diverged: lower the learning rate.")


def _measured(prediction: Prediction) -> torch.Tensor:
    """log p_y, the logit margin, and whether the label is the class with the highest logit, float32 [3, m]."""
    right = (prediction.logits.argmax(1) == prediction.label).float()
    return torch.stack([-FROM_LOGITS["loss"](prediction), prediction.margin_logit, right])
