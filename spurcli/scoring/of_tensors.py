"""The operations of the formulas on tensors [m, classes] on any device; `of_arrays` has the same functions for NumPy."""

from __future__ import annotations

from torch import Tensor, exp, expm1, floor, log1p, sign, sqrt, square

__all__ = ["exp", "expm1", "floor", "log1p", "sign", "sqrt", "square"]  # and what is below


def total(values: Tensor) -> Tensor:
    """[m], over the classes."""
    return values.sum(1)


def largest(values: Tensor) -> Tensor:
    """[m], over the classes."""
    return values.amax(1)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """The value of class `index` [m] in each row."""
    return values.gather(1, index[:, None])[:, 0]


def put(values: Tensor, index: Tensor, value: float) -> Tensor:
    """A copy with `value` at class `index` [m] of each row."""
    return values.t().scatter(0, index[None], value).t()  # three times faster if the values of a class are contiguous


def at_least(values: Tensor, bound: float) -> Tensor:
    return values.clamp_min(bound)


def at_most(values: Tensor, bound: float) -> Tensor:
    return values.clamp_max(bound)
