"""A fully connected network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import nn


def mlp(*, num_classes: int, input_shape: tuple[int, ...], hidden: Sequence[int] = (128, 128)) -> nn.Module:
    """Flatten, then linear layers of `hidden` widths with ReLU between, no batch norm."""
    widths = [math.prod(input_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for incoming, outgoing in itertools.pairwise(widths):
        layers += [nn.Linear(incoming, outgoing), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
