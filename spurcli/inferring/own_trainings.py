"""Trainings that a way of inferring needs for itself: XRM's twins and Sebra's ranking. They are applied to all splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from spurcli.errors import SpurError
from spurcli.inferring.bias_ranking import BiasRanking, label_confidence
from spurcli.inferring.evidence import TRAIN, Ranks, Twins
from spurcli.inferring.twin_training import CrossRisk, TwinNets
from spurcli.progress import Turn
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import predict_logits
from spurcli.training.early_training import early_epoch, early_trainer, training_samples
from spurcli.training.loop import Diverged, fit

# Learning rates that XRM tries, as factors of the recipe's, in this order.
FACTORS = (1.0, 0.1, 10.0, 0.3, 3.0, 0.03, 30.0)


def train_twins(
    context: RunContext, feeds: dict[str, Feed], num_tries: int, folder: Path, *, replace_other: bool
) -> list[Twins]:
    """XRM's twins with each of the first `num_tries` of FACTORS; those that diverged are left out.

    Raises the error of the last one if none is left.
    """
    found, failed = [], None
    for number, factor in enumerate(FACTORS[:num_tries]):
        training = context.settings.training
        training = replace(training, learning_rate=training.learning_rate * factor)
        turn = replace(
            context,
            settings=replace(context.settings, training=training),
            progress=Turn(context.progress, number, num_tries),
        )
        what = f"training twins {number + 1} of {num_tries}"
        try:
            found.append(_twins(turn, feeds, folder / f"twins{number}", what, replace_other=replace_other))
        except Diverged as error:
            failed = error
    if not found:
        assert failed
        raise SpurError(failed.problem, failed.hint) from failed
    return found


def _twins(context: RunContext, feeds: dict[str, Feed], folder: Path, what: str, *, replace_other: bool) -> Twins:
    settings, num_classes = context.settings, len(context.dataset.class_names)
    seed, epoch = settings.seed, early_epoch(settings)
    method = CrossRisk(training_samples(context), seed, is_alone=context.world.is_alone)
    model = TwinNets(context.model(seed), context.model(seed + 1))
    trainer = early_trainer(
        context,
        feeds[TRAIN],
        model,
        method,
        seed,
        epoch,
        folder,
        what,
        {"twins": "xrm"},
        replace_other,
        2 * num_classes,
    )
    fit(trainer, until_epoch=epoch)
    logits = {}
    for split, feed in feeds.items():
        both = _predicted(context, model, feed, 2 * num_classes)
        logits[split] = both[:, :num_classes], both[:, num_classes:]
    rate = settings.training.learning_rate
    return Twins(logits, method.learns_first.cpu().numpy(), method.flip_rate, rate)


def rank_by_bias(
    context: RunContext,
    feeds: dict[str, Feed],
    labels: dict[str, NDArray[np.int64]],
    folder: Path,
    *,
    replace_other: bool,
) -> Ranks:
    """The epoch in which Sebra's network has learned each sample of each split; `labels` are those of all splits."""
    settings, num_classes = context.settings, len(context.dataset.class_names)
    seed, epochs = settings.seed, early_epoch(settings)
    others = [split for split in feeds if split != TRAIN]
    method = BiasRanking(training_samples(context), {split: len(labels[split]) for split in others})

    def rank(model: nn.Module, epoch: int) -> None:
        for split, feed in feeds.items():
            logits = _predicted(context, model, feed, num_classes)
            method.rank_confident(epoch, label_confidence(logits, labels[split]), split)

    identity = {"ranking": "sebra", "others": others}
    trainer = early_trainer(
        context, feeds[TRAIN], context.model(seed), method, seed, epochs, folder, "ranking", identity, replace_other
    )
    trainer.after_epoch = rank
    fit(trainer, until_epoch=epochs)
    return Ranks({TRAIN: method.rank, **method.others}, epochs)


def _predicted(context: RunContext, model: nn.Module, feed: Feed, num_outputs: int) -> NDArray[np.float32]:
    scoring = context.settings.scoring
    return predict_logits(
        model,
        feed,
        context.preprocess(),
        num_samples=len(feed.inputs),
        num_classes=num_outputs,
        batch_size=scoring.batch_size,
        precision=scoring.precision,
        progress=context.progress,
        world=context.world,
    )
