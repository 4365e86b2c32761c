"""One pass of a model over inputs in eval mode; each block of batches is on disk before the next is begun."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.datasets import ArrayImages, Inputs, Texts, Vectors
from spurcli.embedding.layers import Read, reader
from spurcli.embedding.partial import Partial
from spurcli.errors import InputError
from spurcli.runtime.context import RunContext
from spurcli.runtime.device import autocast, memory_advice
from spurcli.runtime.feed import Feed, ImageFeed
from spurcli.runtime.forward import window

_ROWS = 1024  # approximate number of samples between two writes


def width_of(context: RunContext, model: nn.Module, layer: str) -> int:
    """The number of dimensions d, determined from the first training sample, before the long pass."""
    feed = streaming(context, context.dataset.splits["train"].inputs)
    _, samples = next(iter(feed.batches(np.zeros(1, dtype=np.int64), 1)))
    with reader(model, layer) as read:
        return int(read(context.preprocess().evaluation(samples)).shape[1])


def embed_part(
    context: RunContext, model: nn.Module, layer: str, inputs: Inputs, part: str, partial: Partial | None
) -> None:
    """Write the embeddings of `inputs` as `part`, from where an earlier run stopped.

    The batches are dealt to the processes in turn, each as one process would run it: the same numbers bit for bit on the
    same kind of device. Only the first process has a `partial`.
    """
    world, size = context.world, context.settings.scoring.batch_size
    done = world.first(lambda: partial.done[part] if partial else 0)
    (width,) = world.agree(partial.width if partial else 0)
    report = context.progress
    report.start(f"embedding {part}", len(inputs))
    report.advance(done)
    if done == len(inputs):
        return
    feed = streaming(context, inputs)
    order = order_of(feed, len(inputs), size)[done:]
    block = max(1, _ROWS // size) * size * world.size
    with reader(model, layer) as read:
        batches = embedded_batches(context, feed, read, order, size)
        for begin in range(0, len(order), block):
            places = order[begin : begin + block]
            rows = torch.zeros((len(places), width))
            for start in range(world.rank * size, len(places), size * world.size):
                found = next(batches)
                rows[start : start + len(found)] = found
            rows = world.collected(rows)
            if partial:
                partial.write(part, places, rows.numpy())
            report.advance(len(places))


def embedded_batches(
    context: RunContext, feed: Feed, read: Read, order: NDArray[np.int64], size: int
) -> Iterator[torch.Tensor]:
    """The embeddings of this process's batches of `order`, one after another."""
    world, scoring, preprocess = context.world, context.settings.scoring, context.preprocess()
    own = [order[start : start + size] for start in range(world.rank * size, len(order), size * world.size)]
    if not own:
        return
    for index, samples in feed.batches(np.concatenate(own), size):
        with memory_advice("scoring.batch_size", size), autocast(context.device, scoring.precision):
            found = read(preprocess.evaluation(samples)).cpu()
        if not torch.isfinite(found).all():
            bad = int(index[int((~torch.isfinite(found)).any(1).nonzero()[0])])
            raise InputError(
                f"The embedding of sample {bad:,} holds NaN or infinity",
                "Use another model, or --set scoring.precision=float32.",
            )
        yield found


def order_of(feed: Feed, num_samples: int, size: int) -> NDArray[np.int64]:
    """All positions in the order that is read fastest: texts of one length together."""
    step = window(size)
    return np.concatenate(
        [feed.reading_order(start, min(start + step, num_samples)) for start in range(0, num_samples, step)]
    )


def streaming(context: RunContext, inputs: Inputs) -> Feed:
    """A feed that holds only a few batches in memory, because each sample is read once."""
    if isinstance(inputs, ArrayImages | Texts | Vectors):
        return context.feed(inputs)
    return ImageFeed(inputs, context.device, context.settings.num_workers)
