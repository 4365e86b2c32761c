"""The operations of the formulas on NumPy arrays float32 [m, classes]; `of_tensors` has the same functions for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import exp, expm1, floor, log1p, sign, sqrt, square
from numpy.typing import NDArray

__all__ = ["exp", "expm1", "floor", "log1p", "sign", "sqrt", "square"]  # and what is below

Values = NDArray[np.float32]
Index = NDArray[np.int64]


def total(values: Values) -> Values:
    """[m], over the classes."""
    found: Values = values.sum(axis=1)
    return found


def largest(values: Values) -> Values:
    """[m], over the classes."""
    found: Values = values.max(axis=1)
    return found


def pick(values: Values, index: Index) -> Values:
    """The value of class `index` [m] in each row."""
    found: Values = values[np.arange(len(values)), index]
    return found


def put(values: Values, index: Index, value: float) -> Values:
    """A copy with `value` at class `index` [m] of each row."""
    copy = values.copy(order="K")
    copy[np.arange(len(values)), index] = value
    return copy


def at_least(values: Values, bound: Any) -> Values:
    return np.maximum(values, np.float32(bound))


def at_most(values: Values, bound: Any) -> Values:
    return np.minimum(values, np.float32(bound))
