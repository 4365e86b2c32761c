"""A linear classifier."""

from __future__ import annotations

import math

from torch import nn


def linear(*, num_classes: int, input_shape: tuple[int, ...]) -> nn.Module:
    """One linear layer on the embedding, or on all pixels (multinomial logistic regression)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_classes))
