"""Forward passes in eval mode over inputs in their own order; results never depend on batch size or workers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.errors import InputError
from spurcli.models import last_linear
from spurcli.models.trial import require_logits
from spurcli.progress import Progress, Silent
from spurcli.runtime.device import autocast, memory_advice
from spurcli.runtime.distributed import ALONE, World
from spurcli.runtime.feed import Feed
from spurcli.runtime.preprocess import Preprocess

WINDOW = 1 << 16


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; each module's own mode is restored afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def embedding_hook(model: nn.Module, *, wanted: bool = True) -> Iterator[list[torch.Tensor]]:
    """A list that holds, after each forward pass, the input h [m, d] of the last linear layer, if `wanted`."""
    caught: list[torch.Tensor] = []
    layer = last_linear(model)
    if layer is None or not wanted:
        yield caught
        return

    def catch(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        caught[:] = [arguments[0]]

    handle = layer.register_forward_pre_hook(catch)
    try:
        yield caught
    finally:
        handle.remove()


def require_embedding(caught: list[torch.Tensor], num_samples: int) -> torch.Tensor:
    """The result of `embedding_hook`, if it is one embedding per sample [m, d]."""
    if not caught or caught[0].ndim != 2 or len(caught[0]) != num_samples:
        raise InputError(
            "The model has no last linear layer with one embedding a sample", "Use a model that ends in one."
        )
    return caught[0]


def forward_batches(
    model: nn.Module,
    feed: Feed,
    preprocess: Preprocess,
    *,
    num_samples: int,
    batch_size: int,
    precision: str = "float32",
    augment: tuple[int, int] | None = None,
    what: str = "evaluating",
    progress: Progress | None = None,
    world: World = ALONE,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (positions int64 [m], logits float32 [m, classes]) over all of 0 … num_samples − 1.

    Within each WINDOW of positions they come in the fastest order to read, and no batch is in two windows. Call
    inside `evaluation_mode`. `augment` = (seed, epoch) scores the augmented view instead of the plain one.

    The processes of `world` take the batches in turn: each batch is the same as with one process, so the logits are
    the same bit for bit on the same kind of device, and no sample occurs twice.
    """
    report = progress or Silent()
    report.start(what, num_samples)
    size, num_left = window(batch_size), num_samples
    orders = [
        _dealt(feed.reading_order(begin, min(begin + size, num_samples)), begin, batch_size, world)
        for begin in range(0, num_samples, size)
    ]
    for index, samples in feed.batches(np.concatenate(orders), batch_size):
        with memory_advice("scoring.batch_size", batch_size), autocast(feed.device, precision):
            inputs = preprocess.training(samples, index, *augment) if augment else preprocess.evaluation(samples)
            logits = model(inputs)
        yield index, require_logits(logits).float()
        num_done = min(batch_size * world.size, num_left)
        num_left -= num_done
        report.advance(num_done)


def forward_windows(
    model: nn.Module,
    feed: Feed,
    preprocess: Preprocess,
    *,
    num_samples: int,
    batch_size: int,
    world: World,
    **options: Any,
) -> Iterator[tuple[int, int, Iterator[tuple[torch.Tensor, torch.Tensor]]]]:
    """Yield (begin, end, batches) for windows of positions: what `forward_batches` gives for begin … end − 1, here.

    Each window's batches must be taken before the next window; in a process of several there may be none.
    """
    batches = forward_batches(
        model, feed, preprocess, num_samples=num_samples, batch_size=batch_size, world=world, **options
    )
    for begin in range(0, num_samples, size := window(batch_size)):
        end = min(begin + size, num_samples)
        yield begin, end, itertools.islice(batches, len(_turns(begin, end - begin, batch_size, world)))
    assert next(batches, None) is None  # and the last batch is counted as done


def window(batch_size: int) -> int:
    """How many positions `forward_batches` may mix: a whole number of batches."""
    return max(WINDOW // batch_size, 1) * batch_size


def _turns(begin: int, count: int, batch_size: int, world: World) -> range:
    """Which of the batches of positions begin … begin + count − 1 are this process's, counted within them."""
    return range((world.rank - begin // batch_size) % world.size, -(-count // batch_size), world.size)


def _dealt(order: NDArray[np.int64], begin: int, batch_size: int, world: World) -> NDArray[np.int64]:
    """What this process reads of the window that starts at `begin`."""
    turns = _turns(begin, len(order), batch_size, world)
    own = [order[turn * batch_size : (turn + 1) * batch_size] for turn in turns]
    return np.concatenate(own) if len(own) > 1 else own[0] if own else order[:0]


def predict_logits(
    model: nn.Module,
    feed: Feed,
    preprocess: Preprocess,
    *,
    num_samples: int,
    num_classes: int,
    batch_size: int = 512,
    precision: str = "float32",
    what: str = "evaluating",
    progress: Progress | None = None,
    world: World = ALONE,
) -> NDArray[np.float32]:
    """Logits float32 [num_samples, num_classes] in eval mode, in the order of the inputs; in every process all."""
    # filled on the device: one copy to the host at the end instead of one wait per batch
    result = torch.zeros((num_samples, num_classes), dtype=torch.float32, device=feed.device)
    with evaluation_mode(model):
        for index, logits in forward_batches(
            model,
            feed,
            preprocess,
            num_samples=num_samples,
            batch_size=batch_size,
            precision=precision,
            what=what,
            progress=progress,
            world=world,
        ):
            result.index_copy_(0, index, require_logits(logits, num_classes))
    return world.total(result).cpu().numpy()


def embed(
    model: nn.Module,
    feed: Feed,
    preprocess: Preprocess,
    *,
    num_samples: int,
    batch_size: int = 512,
    precision: str = "float32",
    what: str = "reading features",
    progress: Progress | None = None,
    world: World = ALONE,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings h float32 [num_samples, d] (inputs of the last linear layer) and logits, in eval mode.

    All of them are held in memory, of every process: 4 · num_samples · d bytes. Raises InputError for a model
    without such a layer.
    """
    layer = last_linear(model)
    width = layer.in_features if layer else 0
    embedding = np.zeros((num_samples, width), dtype=np.float32)
    logits: NDArray[np.float32] | None = None
    with evaluation_mode(model), embedding_hook(model) as caught:
        for begin, end, batches in forward_windows(
            model,
            feed,
            preprocess,
            num_samples=num_samples,
            batch_size=batch_size,
            precision=precision,
            what=what,
            progress=progress,
            world=world,
        ):
            here: NDArray[np.float32] = np.zeros((end - begin, 0), dtype=np.float32)
            for index, output in batches:
                h = require_embedding(caught, len(index))
                if not here.shape[1]:
                    here = np.zeros((end - begin, output.shape[1]), dtype=np.float32)
                places = index.cpu().numpy()
                embedding[places], here[places - begin] = h.float().cpu().numpy(), output.cpu().numpy()
            if not world.is_alone:
                here, embedding[begin:end] = _gathered(world, here, embedding[begin:end])
            if logits is None:
                logits = np.empty((num_samples, here.shape[1]), dtype=np.float32)
            logits[begin:end] = here
    assert logits is not None
    return embedding, logits


def _gathered(
    world: World, logits: NDArray[np.float32], embedding: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of one window, what all processes have; a process without a batch does not know the number of classes."""
    (num_classes,) = world.agree(logits.shape[1])
    if not logits.shape[1]:
        logits = np.zeros((len(logits), num_classes), dtype=np.float32)
    return world.total(torch.from_numpy(logits)).numpy(), world.total(torch.from_numpy(embedding)).numpy()
