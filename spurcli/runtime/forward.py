"""Forward passes in eval mode over inputs in their own order; results never depend on batch size or workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spurcli.errors import InputError
from spurcli.models import last_linear
from spurcli.progress import Progress, Silent
from spurcli.runtime.device import autocast, memory_advice
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
    """A list that holds, after each forward pass, the input h [m, features] of the last linear layer, if `wanted`."""
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
    """What `embedding_hook` caught, if that is one embedding a sample [m, features]."""
    if not caught or caught[0].ndim != 2 or len(caught[0]) != num_samples:
        raise InputError(
            "The model has no last linear layer with one embedding a sample", "Use a model that ends in one."
        )
    return caught[0]


def require_logits(output: Any, num_classes: int | None = None) -> torch.Tensor:
    """What a model returned, if that is logits [m, num_classes] (any number of classes without it)."""
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        found = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(f"The model returned {found} for a batch", "It must return logits [n, classes].")
    if num_classes is not None and output.shape[1] != num_classes:
        raise InputError(
            f"The model has {output.shape[1]} outputs, the data set {num_classes} classes",
            "Use a model made for this data set: a factory is given num_classes.",
        )
    return output


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
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (positions int64 [m], logits float32 [m, classes]) over all of 0 … num_samples − 1.

    Within each WINDOW of positions they come in the order that is read fastest, and no batch lies in two of them. Call
    inside `evaluation_mode`. `augment` = (seed, epoch) scores the augmented view instead of the plain one.
    """
    report = progress or Silent()
    report.start(what, num_samples)
    size = window(batch_size)
    orders = [feed.reading_order(begin, min(begin + size, num_samples)) for begin in range(0, num_samples, size)]
    for index, samples in feed.batches(np.concatenate(orders), batch_size):
        with memory_advice("scoring.batch_size", batch_size), autocast(feed.device, precision):
            inputs = preprocess.training(samples, index, *augment) if augment else preprocess.evaluation(samples)
            logits = model(inputs)
        yield index, require_logits(logits).float()
        report.advance(len(index))


def window(batch_size: int) -> int:
    """How many positions `forward_batches` may mix: a whole number of batches."""
    return max(WINDOW // batch_size, 1) * batch_size


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
) -> NDArray[np.float32]:
    """Logits float32 [num_samples, num_classes] in eval mode, in the order of the inputs."""
    # filled on the device: one copy to the host at the end instead of one wait per batch
    result = torch.empty((num_samples, num_classes), dtype=torch.float32, device=feed.device)
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
        ):
            result.index_copy_(0, index, require_logits(logits, num_classes))
    return result.cpu().numpy()


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
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings h float32 [num_samples, features] (inputs of the last linear layer) and logits, in eval mode.

    All of them are held in memory: 4 · num_samples · features bytes. Raises InputError for a model without such a layer.
    """
    embedding: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None
    with evaluation_mode(model), embedding_hook(model) as caught:
        for index, output in forward_batches(
            model,
            feed,
            preprocess,
            num_samples=num_samples,
            batch_size=batch_size,
            precision=precision,
            what=what,
            progress=progress,
        ):
            h = require_embedding(caught, len(index))
            if embedding is None or logits is None:
                embedding = np.empty((num_samples, h.shape[1]), dtype=np.float32)
                logits = np.empty((num_samples, output.shape[1]), dtype=np.float32)
            places = index.cpu().numpy()
            embedding[places], logits[places] = h.float().cpu().numpy(), output.cpu().numpy()
    assert embedding is not None
    assert logits is not None
    return embedding, logits
