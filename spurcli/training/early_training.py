"""The short training before scoring and inferring: the first epochs of the full recipe, on its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.artifacts.indices import indices_sha256
from spurcli.datasets.content import content_hashes
from spurcli.errors import UsageError
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.settings import Settings
from spurcli.training.loop import Trainer, fit
from spurcli.training.method import Method, TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.state import StateFile
from spurcli.words import counted


def early_epoch(settings: Settings) -> int:
    """After how many full passes the early model is taken; UsageError unless the recipe or a flag says, and is that long."""
    epoch, epochs = settings.scoring.epoch, settings.training.epochs
    if epoch is None:
        raise UsageError("The number of epochs is not set", "Add --epoch N, or set scoring.epoch in the recipe.")
    if epoch > epochs:
        raise UsageError(
            f"Stopping after {counted(epoch, 'epoch')} is beyond the recipe's {epochs}",
            f"Use an earlier epoch: --set scoring.epoch=N, at most {epochs}, or make the recipe longer: --set training.epochs=N.",
        )
    return epoch


def train_early(
    context: RunContext,
    feed: Feed,
    seed: int,
    epoch: int,
    state_folder: Path,
    what: str = "training",
    *,
    kept: NDArray[np.int64] | None = None,
    replace_other: bool = False,
) -> nn.Module:
    """The model of `seed` after `epoch` full passes of plain ERM over the training split, or over `kept` int64 of it.

    `feed` reads that split; several runs and the scoring after them share it, so that images are decoded once.
    An interrupted call goes on from `state_folder`; another run's state there is an error unless `replace_other`.
    """
    identity = {} if kept is None else {"keep_sha256": indices_sha256(kept)}
    method = ERM(training_samples(context, kept))
    trainer = early_trainer(
        context, feed, context.model(seed), method, seed, epoch, state_folder, what, identity, replace_other
    )
    fit(trainer, until_epoch=epoch)
    return trainer.model


def training_samples(context: RunContext, kept: NDArray[np.int64] | None = None) -> TrainingSamples:
    """The information that a method gets about the training split, or about `kept` int64 of it."""
    train, num_classes = context.dataset.splits["train"], len(context.dataset.class_names)
    if kept is None:
        kept = np.arange(len(train), dtype=np.int64)
    return TrainingSamples(kept, train.label[kept], num_classes, context.settings.training.batch_size)


def early_trainer(
    context: RunContext,
    feed: Feed,
    model: nn.Module,
    method: Method,
    seed: int,
    epoch: int,
    state_folder: Path,
    what: str,
    identity: Mapping[str, object],
    replace_other: bool,
    num_outputs: int | None = None,
) -> Trainer:
    """A trainer of `model` by `method`; `identity` distinguishes its state from others with these settings and this seed."""
    train, settings = context.dataset.splits["train"], context.settings.to_json()
    tables = {name: settings[name] for name in ("dataset", "model", "preprocessing", "training")}
    known = {**tables, "seed": seed, "until_epoch": epoch, "fingerprint": train.fingerprint.to_json(), **identity}
    known |= content_hashes(context.dataset, context.settings.dataset.name, groups=False)
    return Trainer(
        model=model,
        method=method,
        feed=feed,
        preprocess=context.preprocess(),
        label=torch.from_numpy(train.label).to(context.device),
        num_classes=num_outputs or len(context.dataset.class_names),
        settings=context.settings.training,
        seed=seed,
        state_file=StateFile(state_folder, known, context.device.type, replace_other, context.world.size),
        progress=context.progress,
        what=what,
        world=context.world,
        called=context.model_called,
    )
