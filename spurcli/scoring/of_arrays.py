"""What the formulas compute with on NumPy arrays float32 [m, classes]; `of_tensors` has the same functions for tensors.

Arrays in Fortran order are several times faster: what is done over the few classes is then done for many rows at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import exp, expm1, log1p, maximum, sign, sqrt, square
from numpy.typing import NDArray

__all__ = ["exp", "expm1", "log1p", "maximum", "sign", "softplus", "sqrt", "square"]  # and what is below

Values = NDArray[np.float32]
Index = NDArray[np.int64]


def softmax(values: Values) -> Values:
    """Over the classes."""
    powers = np.exp(values - values.max(axis=1)[:, None])
    shares: Values = powers / powers.sum(axis=1)[:, None]
    return shares


def log_sum_exp(values: Values) -> Values:
    """[m], over the classes."""
    top = values.max(axis=1)
    top = np.where(np.isfinite(top), top, np.float32(0))  # a single class leaves nothing to add
    found: Values = np.log(np.exp(values - top[:, None]).sum(axis=1)) + top
    return found


def softplus(values: Values) -> Values:
    found: Values = np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values)))
    return found


def total(values: Values) -> Values:
    """[m], over the classes."""
    found: Values = values.sum(axis=1)
    return found


def largest(values: Values) -> Values:
    """[m], over the classes."""
    found: Values = values.max(axis=1)
    return found


def position_of_largest(values: Values) -> Index:
    """int64 [m], over the classes."""
    found: Index = values.argmax(axis=1)
    return found


def pick(values: Values, index: Index) -> Values:
    """Of each row the value of class `index` [m]."""
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
