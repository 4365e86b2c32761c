"""Dynamics of a training by Lightning (`lightning` or `pytorch_lightning`)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spurcli.callbacks.passes import Outputs, record_pass, recorder_of, require_full_weights
from spurcli.callbacks.recorder import DynamicsRecorder
from spurcli.errors import MissingExtraError, SpurError


def _callback_class() -> Any:
    """The callback class of the package that the program imports; both packages may be installed."""
    names = ["lightning.pytorch", "pytorch_lightning"]
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(name).Callback
        except ModuleNotFoundError as error:
            if error.name not in ("lightning", name):
                raise
    raise MissingExtraError("DynamicsCallback needs Lightning", "Install it: pip install lightning")


class DynamicsCallback(_callback_class()):  # type: ignore[misc]
    """Writes dynamics.h5: the logits of all training samples in a pass in eval mode after each epoch.

        trainer = Trainer(max_epochs=10, callbacks=[DynamicsCallback("dynamics.h5")])

    The samples are numbered in the order of the training loader's data set. The pass takes about a third of the training's
    time; the first process does it while others wait. The callback does not change the weights, bit for bit, unless the data set
    draws random numbers for each sample. A training that resumes from a checkpoint continues the file.

    Args:
        path: The file that is written after each epoch.
        ids: An id for each training sample, in the order of the data set.
        class_names: The classes in the order of the logits' columns.
        outputs: `(module, batch) -> (logits [m, classes], labels [m])`; without it the batch is (inputs, labels), and
            `module(inputs)` returns the logits.
        batch_size: Batch size of the pass (default: that of the training).
    """

    def __init__(
        self,
        path: str | Path = "dynamics.h5",
        *,
        ids: Sequence[Any] | None = None,
        class_names: Sequence[str] = (),
        outputs: Outputs | None = None,
        batch_size: int | None = None,
    ) -> None:
        self._path, self._ids, self._class_names = path, ids, class_names
        self._outputs, self._batch_size = outputs or _of_pair, batch_size
        self._recorder: DynamicsRecorder | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        require_full_weights(trainer.strategy.model or pl_module)
        problem = None
        if trainer.is_global_zero:  # a new recorder for each training, also where several share the callback
            try:
                self._recorder = recorder_of(trainer.train_dataloader, self._path, self._ids, self._class_names)
                self._recorder.resume(trainer.current_epoch)
            except SpurError as error:
                problem = error
        # all processes raise it: the others would wait for the first, and end with an error of their connection
        if problem := trainer.strategy.broadcast(problem):
            raise problem

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._recorder is None:
            return
        loader = trainer.train_dataloader
        record_pass(
            self._recorder,
            loader,
            pl_module,
            self._outputs,
            batch_size=self._batch_size or loader.batch_size or 64,
            move=trainer.strategy.batch_to_device,
        )


def _of_pair(module: Any, batch: Any) -> tuple[Any, Any]:
    inputs, labels = batch
    return module(inputs), labels
