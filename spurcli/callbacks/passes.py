"""A pass over all samples of the loader's data set, in eval mode and in the data set's order, after an epoch of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spurcli.callbacks.recorder import DynamicsRecorder
from spurcli.errors import UsageError

Outputs = Callable[[Any, Any], tuple[Any, Any]]  # (model, batch) → logits [m, classes], labels [m]


def recorder_of(
    loader: Any, path: str | Path, ids: Sequence[Any] | None, class_names: Sequence[str]
) -> DynamicsRecorder:
    """A recorder for the data set of a training's loader. UsageError for a data set without a length or an order."""
    dataset: Any = getattr(loader, "dataset", None)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise UsageError(
            "Dynamics need a training set with a length and positions", "Use a map-style data set, not an iterable one."
        )
    return DynamicsRecorder(path, len(dataset), ids=ids, class_names=class_names, view="eval")


def require_full_weights(model: Any) -> None:
    """UsageError if the model's weights are divided between processes: a pass in one process would wait for the others for ever."""
    # by names: torch 2.4 has DTensor elsewhere, and DeepSpeed marks its parameters with `ds_id`
    parts = [*model.modules(), *model.parameters()]
    if any(type(part).__name__ in ("FullyShardedDataParallel", "DTensor") or hasattr(part, "ds_id") for part in parts):
        raise UsageError(
            "Dynamics of a model with sharded weights (FSDP, DeepSpeed stage 3) cannot be recorded", "Train with DDP."
        )


def record_pass(
    recorder: DynamicsRecorder,
    loader: Any,
    model: Any,
    outputs: Outputs,
    *,
    batch_size: int,
    move: Callable[[Any], Any],
) -> None:
    """Record all samples, and close the epoch. `move` puts a batch on the model's device."""
    import torch
    from torch.utils.data import DataLoader

    from spurcli.runtime.forward import evaluation_mode

    # a separate generator: a loader that used torch's would change how the training shuffles
    batches = DataLoader(
        loader.dataset,
        batch_size=batch_size,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        generator=torch.Generator(),
    )
    begin = 0
    with evaluation_mode(model):
        for batch in batches:
            logits, labels = outputs(model, move(batch))
            recorder.update(torch.arange(begin, begin + len(labels)), logits, labels)
            begin += len(labels)
    recorder.end_epoch()
