"""Dynamics of a training by `transformers.Trainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback  # type: ignore[attr-defined,unused-ignore]

from spurcli.callbacks.passes import record_pass, recorder_of, require_full_weights
from spurcli.callbacks.recorder import DynamicsRecorder


class DynamicsCallback(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Writes dynamics.h5: the logits of all training samples in a pass in eval mode after each epoch.

        trainer = Trainer(model, args, train_dataset=train, callbacks=[DynamicsCallback("dynamics.h5", ids=train["id"])])

    The samples are numbered in the order of `train_dataset`. The pass takes about a third of the training's time; the first
    process does it while others wait. The callback does not change the weights, bit for bit, unless the data set draws random
    numbers for each sample. A training that resumes from a checkpoint continues the file. For sequence classification and
    other models whose logits are [m, classes].

    Args:
        path: The file that is written after each epoch.
        ids: An id for each training sample, in the order of the data set.
        class_names: The classes in the order of the logits' columns; by default the names in the model's configuration.
        batch_size: Batch size of the pass (default: the Trainer's for evaluation).
    """

    def __init__(
        self,
        path: str | Path = "dynamics.h5",
        *,
        ids: Sequence[Any] | None = None,
        class_names: Sequence[str] = (),
        batch_size: int | None = None,
    ) -> None:
        self._path, self._ids, self._class_names, self._batch_size = path, ids, class_names, batch_size
        self._recorder: DynamicsRecorder | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002
        require_full_weights(parts["model"])
        if state.is_world_process_zero:
            names = self._class_names or _class_names(parts["model"])
            self._recorder = recorder_of(parts["train_dataloader"], self._path, self._ids, names)
            self._recorder.resume(int(state.epoch or 0))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:  # noqa: ARG002
        if self._recorder is None:
            return
        label = (args.label_names or ["labels"])[0]

        def outputs(model: Any, batch: Any) -> tuple[Any, Any]:
            found = model(**batch)
            return found["logits"] if isinstance(found, Mapping) else found[1], batch[label]

        record_pass(
            self._recorder,
            parts["train_dataloader"],
            parts["model"],
            outputs,
            batch_size=self._batch_size or args.per_device_eval_batch_size,
            move=lambda batch: {name: value.to(args.device) for name, value in batch.items()},
        )


def _class_names(model: Any) -> tuple[str, ...]:
    """The names of the classes in the model's configuration, unless they are only numbers (LABEL_0, …)."""
    names = getattr(getattr(model, "config", None), "id2label", None) or {}
    found = tuple(str(names[number]) for number in sorted(names))
    return () if found == tuple(f"LABEL_{number}" for number in range(len(found))) else found
