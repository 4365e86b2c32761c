"""One forward pass over the training split in eval mode, all scores from it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spurcli.artifacts.logit_checks import constant_line
from spurcli.artifacts.saved_accuracy import NotedAccuracy
from spurcli.artifacts.scores import ScoresWriter
from spurcli.errors import SpurWarning
from spurcli.evaluation.doubts import warn_if_doubtful
from spurcli.models import last_linear
from spurcli.models.trial import require_logits
from spurcli.runtime.context import RunContext
from spurcli.runtime.feed import Feed
from spurcli.runtime.forward import (
    embedding_hook,
    evaluation_mode,
    forward_windows,
    require_embedding,
    window,
)
from spurcli.scoring import formulas
from spurcli.scoring.batches import Block
from spurcli.scoring.requested import RequestedScore


@dataclass(frozen=True)
class ScoredRun:
    """One run of a scoring: its model, its seed, how many epochs it was trained (None if unknown).

    `file` names a model that another program trained, whose classes may be in another order; `accuracies` are those that the file records.
    """

    model: nn.Module
    seed: int
    epoch: int | None
    weights_sha256: str
    file: str = ""
    accuracies: tuple[NotedAccuracy, ...] = ()


def require_embeddings(context: RunContext, feed: Feed, model: nn.Module) -> None:
    """Raise InputError unless the model has one embedding per sample; checked on one sample before the long pass."""
    with evaluation_mode(model), embedding_hook(model) as embedding:
        model(_first(context, feed))
        require_embedding(embedding, 1)


def ends_in_linear(context: RunContext, feed: Feed, model: nn.Module) -> bool:
    """Whether the model's logits are its last linear layer's output, checked on one sample: grand_last requires this."""
    layer = last_linear(model)
    if layer is None:
        return False
    with evaluation_mode(model), embedding_hook(model) as embedding:
        logits = model(_first(context, feed))
        if not embedding or embedding[0].ndim != 2:
            return False
        expected = functional.linear(embedding[0], layer.weight, layer.bias)
        return expected.shape == logits.shape and torch.allclose(expected, logits, rtol=1e-4, atol=1e-4)


def _first(context: RunContext, feed: Feed) -> Any:
    """The first training sample, as the model takes it."""
    _, samples = next(iter(feed.batches(np.zeros(1, dtype=np.int64), 1)))
    return context.preprocess().evaluation(samples)


def score_run(
    context: RunContext,
    feed: Feed,
    run: ScoredRun,
    number: int,
    scores: Sequence[RequestedScore],
    writer: ScoresWriter | None,
) -> None:
    """Write all `scores` of run `number`, in the order of the training split, a window at a time.

    With several processes, only the first has a `writer`; the others send it their values.
    """
    settings, train, world = context.settings.scoring, context.dataset.splits["train"], context.world
    label = torch.from_numpy(train.label).to(context.device)
    computed = {score.name: score.compute for score in scores if score.compute is not None}
    of_split = {score.name: score.compute_split for score in scores if score.compute_split is not None}
    place = context.device if context.device.type == "cuda" else torch.device("cpu")  # MPS has no float64
    # values stay on the device until the window is full: one wait per window instead of one per batch
    buffer = torch.empty((len(computed), window(settings.batch_size)), device=context.device)
    layer = last_linear(run.model)
    has_bias = layer is not None and layer.bias is not None
    width = layer.in_features if layer and of_split else 0
    embeddings = torch.zeros((len(train) if writer else 0, width), device=place)
    num_classes = len(context.dataset.class_names)
    block = Block(label, num_classes, has_bias=has_bias)
    counts = torch.zeros(num_classes**2 if run.file else 0, dtype=torch.int64, device=context.device)
    with evaluation_mode(run.model), embedding_hook(run.model) as embedding:
        for begin, end, batches in forward_windows(
            run.model,
            feed,
            context.preprocess(),
            num_samples=len(train),
            batch_size=settings.batch_size,
            precision=settings.precision,
            augment=(run.seed, run.epoch or 0) if settings.view == "augmented" else None,
            what="scoring",
            progress=context.progress,
            world=world,
        ):
            buffer.zero_()
            rows = embeddings[begin:end] if writer else torch.zeros((end - begin, width), device=place)
            for index, logits in batches:
                block.add(index, logits, embedding[0] if embedding and "grand_last" in computed else None)
                if run.file:
                    pairs = label[index] * num_classes + require_logits(logits, num_classes).argmax(1)
                    counts += torch.bincount(pairs, minlength=len(counts))
                if of_split:
                    found = require_embedding(embedding, len(index))
                    rows.index_copy_(0, (index - begin).to(place), found.to(place, torch.float32))
                embedding.clear()  # its memory is reused for the next batch
                if block.is_full:
                    block.score(computed, buffer, begin)
            block.score(computed, buffer, begin)
            values = world.collected(buffer[:, : end - begin]).cpu()
            if of_split and not world.is_alone:
                rows.copy_(world.collected(rows))
            if writer:
                for row, name in zip(values.numpy(), computed, strict=True):
                    writer.write(name, number, begin, row)
    counts = world.collected(counts) if run.file else counts
    varies = world.collected(block.varies)
    if writer is None:
        return
    if not int(varies) and len(train) > 1:
        what = f"The logits of {run.file or f'the model of seed {run.seed}'}"
        warnings.warn(constant_line(len(train), what), SpurWarning, stacklevel=2)
    if run.file:
        table = counts.cpu().numpy().reshape(num_classes, num_classes)
        warn_if_doubtful(table, context.dataset.class_names, run.file, run.accuracies, context.pixels)
    for name, compute_split in of_split.items():
        values = compute_split(embeddings, label.to(place), context.progress)
        writer.write(name, number, 0, values.cpu().numpy())
    if any(score.name == "random" for score in scores):
        writer.write("random", number, 0, formulas.random(len(train), run.seed))
