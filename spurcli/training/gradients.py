"""Gradients of a global batch: the sum of the gradients of the devices' shares."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import nn

from spurcli.errors import SpurError
from spurcli.runtime.distributed import World


class GradientSum:
    """Sums the gradients of `model` over all devices, in one transfer per data type.

    DistributedDataParallel is not used because it averages, and here a loss is a share of a sum; a device without samples
    need not run the model, whose batch norm would count samples that are not there; parameters that no loss reaches
    (BERT's pooler) keep no gradient, as on one device; and compiled models, scaled losses and any memory layout need
    nothing. It costs one copy of the gradients and what a backward pass could have hidden of the transfer.
    """

    def __init__(self, model: nn.Module, world: World) -> None:
        self._world = world
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._is_used: tuple[int, ...] = ()

    def add_up(self) -> None:
        """Replace each gradient by its sum, between the backward pass and the optimizer's step."""
        if self._world.is_alone:
            return
        has_gradient = [int(parameter.grad is not None) for parameter in self._parameters]
        if not self._is_used:
            self._is_used = self._world.agree(*has_gradient)
        if any(has > used for has, used in zip(has_gradient, self._is_used, strict=True)):
            raise SpurError(
                "The model uses other parameters in some steps than in the first one",
                "Several devices cannot train it together: run it without torchrun.",
            )
        by_kind: dict[torch.dtype, list[torch.Tensor]] = defaultdict(list)
        for parameter, used in zip(self._parameters, self._is_used, strict=True):
            if used:
                if parameter.grad is None:  # no samples here
                    parameter.grad = torch.zeros_like(parameter)
                by_kind[parameter.grad.dtype].append(parameter.grad)
        for gradients in by_kind.values():
            total = self._world.total(torch.cat([gradient.reshape(-1) for gradient in gradients]))
            parts = torch.split(total, [gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
