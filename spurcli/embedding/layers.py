"""Which output of a model is the embedding of a sample."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from spurcli.artifacts.checkpoint_torch import plain_weights, weights_sha256
from spurcli.errors import InputError, UsageError
from spurcli.models.head import last_linear_name
from spurcli.registry import near
from spurcli.runtime.forward import embedding_hook, evaluation_mode, require_embedding

LAYERS = {
    "last": "the input of the last linear layer",
    "output": "the output of the model",
    "cls": "the last hidden state of the first token",
    "mean": "the mean of the last hidden states of all tokens",
}
_POOLED = ("cls", "mean")

Read = Callable[[Any], torch.Tensor]


def chosen_layer(asked: str, *, model: str, is_text: bool, is_trained: bool) -> str:
    """The requested layer. By default `last`; `mean` for a transformers text encoder that was not trained here.

    A new classifier of a text encoder has layers of its own before the last one, which would be random.
    """
    if asked and asked not in LAYERS:
        raise UsageError(f"--layer {asked}: unknown layer{near(asked, LAYERS)}", f"Choose from: {', '.join(LAYERS)}")
    if asked in _POOLED and not (model == "transformers" and is_text):
        raise UsageError(f"--layer {asked} is for text encoders of --model transformers", "Use --layer last or output.")
    return asked or ("mean" if model == "transformers" and is_text and not is_trained else "last")


@contextlib.contextmanager
def reader(model: nn.Module, layer: str) -> Iterator[Read]:
    """A function from the model's inputs to embeddings float32 [m, d], in eval mode without gradients."""
    with evaluation_mode(model), contextlib.ExitStack() as hooks:
        if layer == "last":
            caught = hooks.enter_context(embedding_hook(model))
        states: list[torch.Tensor] = []
        if layer in _POOLED:
            encoder = _encoder(model)
            handle = encoder.register_forward_hook(lambda _m, _args, output: states.append(output[0]))
            hooks.callback(handle.remove)

        def read(inputs: Any) -> torch.Tensor:
            states.clear()
            output = model(inputs)
            if layer == "last":
                return require_embedding(caught, len(output)).float()
            if layer == "output":
                return _vectors(output).float()
            return _pooled(states[0].float(), inputs["attention_mask"], layer)

        yield read


def _encoder(model: Any) -> nn.Module:
    """The part of a transformers classifier below its head."""
    encoder = getattr(model, getattr(model, "base_model_prefix", "") or "", None)
    if not isinstance(encoder, nn.Module):
        raise InputError("The model has no encoder below its head", "Use --layer last.")
    return encoder


def _pooled(states: torch.Tensor, mask: torch.Tensor, layer: str) -> torch.Tensor:
    """One vector per text from the states [m, tokens, d]; padding is ignored."""
    if layer == "cls":
        return states[:, 0]
    weight = mask[:, :, None].to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


def _vectors(output: Any) -> torch.Tensor:
    if not isinstance(output, torch.Tensor) or output.ndim < 2 or output.numel() != len(output) * output.shape[1]:
        found = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(f"The model returned {found} for a batch", "With --layer output it must return [m, d].")
    return output.flatten(1)


def sha256_of_backbone(model: nn.Module, layer: str) -> str:
    """SHA-256 of the weights below the embedding: a new head is random, so it is not included."""
    weights = plain_weights(model)
    if layer == "last" and (head := last_linear_name(model)) is not None:
        weights = {name: value for name, value in weights.items() if name.rpartition(".")[0] != head}
    elif layer in _POOLED:
        prefix = f"{getattr(model, 'base_model_prefix', '')}."
        weights = {name: value for name, value in weights.items() if name.startswith(prefix) and ".pooler." not in name}
    return weights_sha256(weights)
