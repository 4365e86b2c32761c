"""Optimizers and learning-rate schedules by recipe."""

from __future__ import annotations

import inspect
import math

import torch
from torch import nn

from spurcli.settings import TrainingSettings


class _Eager(torch.optim.Optimizer):
    """Methods of torch's optimizers without the guards against torch.compile around them.

    The guards import torch's compiler and sympy at the first call (1.6 s of CPU) and take 10 µs a step. Nothing here compiles an
    optimizer. `inspect.unwrap` finds the function below each decorator; one without decorators is taken as it is.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def _patch_step_function(self) -> None:
        """Nothing: torch would wrap `step` for its profiler and for hooks, which nothing here has."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients; torch's way zeroes them too and tells its profiler, which takes as long as a small layer."""
        assert set_to_none
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None


class SGD(_Eager, torch.optim.SGD):
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class Adam(_Eager, torch.optim.Adam):
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class AdamW(_Eager, torch.optim.AdamW):
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """SGD with momentum, Adam or AdamW over all trainable parameters of a model that is already on its device.

    Weight decay is on all of them, or on none of biases and normalisation layers if `decay_norm_and_bias` is false.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    groups: list[dict[str, object]] = [{"params": parameters}]
    if not settings.decay_norm_and_bias:
        exempt = _norm_and_bias(model)
        groups = [
            {"params": [parameter for parameter in parameters if parameter not in exempt]},
            {"params": [parameter for parameter in parameters if parameter in exempt], "weight_decay": 0.0},
        ]
    # one kernel for all parameters: two to three times faster than torch's default on a CPU
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    if settings.optimizer == "sgd":
        return SGD(groups, lr=rate, momentum=settings.momentum, weight_decay=decay, fused=fused)
    kind = Adam if settings.optimizer == "adam" else AdamW
    return kind(groups, lr=rate, eps=settings.epsilon, weight_decay=decay, fused=fused)


def _norm_and_bias(model: nn.Module) -> set[nn.Parameter]:
    """All biases, and all of normalisation layers: what has one dimension, except a LayerNorm over several."""
    return {
        parameter
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.dim() <= 1 or name == "bias" or isinstance(module, nn.LayerNorm)
    }


def learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """The rate for update number `step` (from 0) of `total_steps` of the whole recipe."""
    progress = step / total_steps
    rate = settings.learning_rate
    if settings.schedule == "step":
        # milestones are epochs; as shares of the run they hold for any number of steps
        passed = sum(step * settings.epochs >= milestone * total_steps for milestone in settings.milestones)
        return rate * settings.gamma**passed
    if settings.schedule == "linear":
        return rate * (1 - progress)
    if settings.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * progress))
    return rate
