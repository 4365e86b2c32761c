"""What the formulas compute with on tensors [m, classes], whatever their device; `of_arrays` has the same functions for NumPy."""

from __future__ import annotations

import torch
from torch import Tensor, exp, expm1, log1p, maximum, sign, sqrt, square
from torch.nn.functional import softplus

__all__ = ["exp", "expm1", "log1p", "maximum", "sign", "softplus", "sqrt", "square"]  # and what is below


def softmax(values: Tensor) -> Tensor:
    """Over the classes."""
    return torch.softmax(values, dim=1)


def log_sum_exp(values: Tensor) -> Tensor:
    """[m], over the classes."""
    return values.logsumexp(1)


def total(values: Tensor) -> Tensor:
    """[m], over the classes."""
    return values.sum(1)


def largest(values: Tensor) -> Tensor:
    """[m], over the classes."""
    return values.amax(1)


def position_of_largest(values: Tensor) -> Tensor:
    """int64 [m], over the classes."""
    return values.argmax(1)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """Of each row the value of class `index` [m]."""
    return values.gather(1, index[:, None])[:, 0]


def put(values: Tensor, index: Tensor, value: float) -> Tensor:
    """A copy with `value` at class `index` [m] of each row."""
    return values.scatter(1, index[:, None], value)


def at_least(values: Tensor, bound: float) -> Tensor:
    return values.clamp_min(bound)


def at_most(values: Tensor, bound: float) -> Tensor:
    return values.clamp_max(bound)
