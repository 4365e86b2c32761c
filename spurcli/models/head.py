"""Which layers of a model give one output per class, so that they alone may differ from a file of weights."""

from __future__ import annotations

from torch import nn


def last_linear_name(model: nn.Module) -> str | None:
    """The name of the last linear layer by order of registration, whose input is the embedding h; None without one."""
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return str(names[-1]) if names else None


def head_names(model: nn.Module) -> tuple[str, ...]:
    """The names of the layers that give the logits; several for models with two heads, none where no layer is known.

    A timm model states them. Otherwise the last linear layer, or the last convolution if there is none.
    """
    said = (getattr(model, "pretrained_cfg", None) or {}).get("classifier")
    said = (said,) if isinstance(said, str) else tuple(said or ())
    modules = dict(model.named_modules())
    if said and all(isinstance(modules.get(name), nn.Linear | nn.Conv2d) for name in said):
        return said
    if linear := last_linear_name(model):
        return (linear,)
    convolutions = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    return tuple(convolutions[-1:])
