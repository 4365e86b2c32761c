"""Running a model on made-up inputs, to check its outputs without any data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from spurcli.errors import InputError, in_a_line
from spurcli.words import counted

# What a model's forward raises for inputs that it cannot process.
FAILURES = (RuntimeError, ValueError, AssertionError, IndexError, TypeError, AttributeError)
_NUM_SAMPLES, _MOST_TOKENS = 3, 8
_SIZES = (32, 64, 96, 128, 160, 192, 224, 256, 299, 384, 512)


def require_logits(output: Any, num_classes: int | None = None) -> torch.Tensor:
    """What a model returned, if that is logits [m, num_classes] (any number of classes without it)."""
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        found = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(f"The model returned {found} for a batch", "It must return logits [n, classes].")
    if num_classes is not None and output.shape[1] != num_classes:
        hint = "Use a model made for this data set: a factory is given num_classes."
        if output.shape[1] == 1 and num_classes == 2:
            hint = "Make the logits of both classes from the single output z: torch.cat([torch.zeros_like(z), z], 1)"
        raise InputError(
            f"The model has {counted(output.shape[1], 'output')}, the data set {counted(num_classes, 'class')}", hint
        )
    return output


def trial(inputs: Mapping[str, Any]) -> Callable[[nn.Module], torch.Tensor]:
    """A function that runs a model in eval mode on a few fixed inputs and returns its logits float32 [m, classes].

    `inputs` is what `build_model` is told of them. Neither random state nor the model changes.
    """

    def forward(model: nn.Module) -> torch.Tensor:
        device = next((part.device for part in model.parameters()), torch.device("cpu"))
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return require_logits(model(made_up(inputs, device))).float()
        finally:
            for module, mode in modes:
                module.training = mode

    return forward


def explained(called: str, model: nn.Module, error: Exception, inputs: Any) -> InputError:
    """What a model of ours or of a library raised, as one line, with an image size that works if the size is the cause."""
    if isinstance(inputs, dict):
        num_texts, length = inputs["input_ids"].shape
        return InputError(
            f"{called} cannot take {counted(num_texts, 'text')} of {counted(length, 'token')}: {in_a_line(error)}",
            f"Lower preprocessing.max_length, for instance --set preprocessing.max_length={max(length // 2, 4)}",
        )
    num_images, _, height, width = inputs.shape
    found = _size_that_works(model, inputs)
    hint = f"Try --set preprocessing.image_size={found}" if found else "Change preprocessing.image_size, or --model."
    return InputError(
        f"{called} cannot take images of {height}x{width} pixels (a batch of {num_images}): {in_a_line(error)}", hint
    )


def _size_that_works(model: nn.Module, inputs: torch.Tensor) -> int | None:
    """The smallest usual size of images, larger first, that the model takes; nothing is computed (meta device)."""
    side = max(inputs.shape[2:])
    try:
        shell = copy.deepcopy(model).to("meta")
    except Exception:  # a model that cannot be copied
        return None
    for size in (*(size for size in _SIZES if size > side), *(size for size in reversed(_SIZES) if size < side)):
        try:
            with torch.no_grad():
                shell(torch.empty((2, inputs.shape[1], size, size), device="meta"))
        except Exception:
            continue
        return size
    return None


def made_up(inputs: Mapping[str, Any], device: torch.device) -> Any:
    """A few fixed inputs: pixels as after normalisation, or token ids without padding."""
    if "vocab_size" not in inputs:
        rng = torch.Generator().manual_seed(0)
        return torch.randn((_NUM_SAMPLES, *inputs["input_shape"]), generator=rng).to(device)
    length, vocab_size = min(inputs["max_length"], _MOST_TOKENS), inputs["vocab_size"]
    ids = (torch.arange(_NUM_SAMPLES * length) * 7 + 1).remainder(vocab_size).reshape(_NUM_SAMPLES, length)
    ids = ids.masked_fill(ids == inputs["pad_id"], (inputs["pad_id"] + 1) % vocab_size).to(device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
