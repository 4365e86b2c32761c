"""Before the first step: one forward and backward pass, so that unsuitable inputs are reported before any work.

The passes run on a copy of the model. Weights, batch norm's averages and random state stay as they are.
"""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.models.trial import FAILURES, explained, require_logits
from spurcli.runtime.device import autocast, memory_advice
from spurcli.runtime.feed import ImageFeed, batch_bounds, own_part
from spurcli.runtime.tokens import TextFeed

if TYPE_CHECKING:
    from spurcli.training.loop import Trainer

_LONE = "more than 1 value per channel"


def needs_company(trainer: Trainer) -> bool:
    """Whether the model's batch norm cannot train on one sample. A trial pass shows this: one large image has enough positions for a variance."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in trainer.model.modules()):
        return False
    try:
        _run(trainer, 1, backward=False)
    except ValueError as error:
        return _LONE in str(error)
    except Exception:  # `try_out` says what is wrong
        return False
    return False


def try_out(trainer: Trainer, share: slice, *, joins_lone: bool) -> None:
    """Run the batches of the largest and the last size once, forward and backward.

    On the CPU two samples stand for a batch of a library's model: what fails there does not depend on the number. Raises
    InputError that names the model, the size and the setting to change; what a user's own model raises is passed on.
    Warns of a model that learns nothing.
    """
    order, size = trainer.method.order(trainer.seed, 0), trainer.settings.batch_size
    if not len(order):
        return
    if joins_lone and min(size, len(order)) == 1:
        problem = "a batch of one sample" if size == 1 else "the one sample that the list keeps"
        raise UsageError(
            f"The model's batch norm cannot train on {problem}",
            "Use --set training.batch_size=2 or more." if size == 1 else "Keep two samples or more.",
        )
    parts = [
        own_part(*bounds, share, joins_lone=joins_lone)
        for bounds in batch_bounds(len(order), size, joins_lone=joins_lone)
    ]
    sizes = {end - begin for begin, end in (parts[0], parts[-1])} - {0}
    if trainer.feed.device.type == "cpu" and trainer.called:
        sizes = {min(number, 2) for number in sizes}
    for number in sorted(sizes, reverse=True):
        try:
            with memory_advice("training.batch_size", size):
                ran = _run(trainer, number, backward=True)
        except FAILURES as error:
            if not trainer.called or isinstance(error, torch.OutOfMemoryError | InputError):
                raise
            raise explained(trainer.called, trainer.model, error, _inputs(trainer, number)) from error
        if ran is None or number != max(sizes) or not trainer.world.is_first:
            continue
        logits, learns = ran
        if len(logits) > 1:
            warn_unless_logits(logits.numpy(), f"The model {trainer.called}".strip(), of_model=True)
        if not learns:
            frozen = not any(parameter.requires_grad for parameter in trainer.model.parameters())
            reason = (
                "requires_grad is false for all of them"
                if frozen
                else "its forward runs without gradients (torch.no_grad, detach)"
            )
            warnings.warn(f"No weight of the model is trained: {reason}", SpurWarning, stacklevel=2)


def _run(trainer: Trainer, number: int, *, backward: bool) -> tuple[torch.Tensor, bool] | None:
    """One pass in training mode over `number` samples, on a copy of the model: its logits, and whether a weight has a gradient."""
    device = trainer.feed.device
    try:
        model = copy.deepcopy(trainer.model).train()
    except Exception:  # a user's module that cannot be copied is not checked
        return None
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.set_grad_enabled(backward):
        inputs = _inputs(trainer, number)
        with autocast(device, trainer.settings.precision):
            logits = require_logits(model(inputs), trainer.num_classes)
        if backward and logits.requires_grad:
            logits.float().mean().backward()  # type: ignore[no-untyped-call]
    return logits.detach().float().cpu(), any(part.grad is not None for part in model.parameters())


def _inputs(trainer: Trainer, number: int) -> Any:
    """A batch as training would have it; pixels that are still to be decoded are zeros, and texts the longest."""
    feed = trainer.feed
    chosen = np.unique(trainer.method.order(trainer.seed, 0))
    if isinstance(feed, TextFeed):
        chosen = chosen[np.argsort(-feed.length[chosen], kind="stable")]
    chosen = np.resize(chosen, number).astype(np.int64)
    index = torch.from_numpy(chosen).to(feed.device)
    if isinstance(feed, ImageFeed) and feed.pixels is None:
        height, width, channels = feed.inputs.shape
        samples = torch.zeros((number, channels, height, width), dtype=torch.uint8, device=feed.device)
    else:
        samples = next(iter(feed.batches(chosen, number)))[1]
    return trainer.preprocess.training(samples, index, trainer.seed, 0)
