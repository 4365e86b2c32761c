"""Running a model on made-up inputs, to see what its outputs are without any data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

_NUM_SAMPLES, _MOST_TOKENS = 3, 8


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
                output: torch.Tensor = model(_made_up(inputs, device))
                return output.float()
        finally:
            for module, mode in modes:
                module.training = mode

    return forward


def _made_up(inputs: Mapping[str, Any], device: torch.device) -> Any:
    if "vocab_size" not in inputs:
        rng = torch.Generator().manual_seed(0)
        return torch.randn((_NUM_SAMPLES, *inputs["input_shape"]), generator=rng).to(device)
    length, vocab_size = min(inputs["max_length"], _MOST_TOKENS), inputs["vocab_size"]
    ids = (torch.arange(_NUM_SAMPLES * length) * 7 + 1).remainder(vocab_size).reshape(_NUM_SAMPLES, length)
    ids = ids.masked_fill(ids == inputs["pad_id"], (inputs["pad_id"] + 1) % vocab_size).to(device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
