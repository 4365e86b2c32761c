"""Your own model: any function that returns a torch.nn.Module. Name it as own_model.py:two_convolutions.

`num_classes` is always passed; `input_shape` (channels, height, width) if the function has this parameter; other keyword arguments are
options: --set model.options.width=16. The last nn.Linear's input is the embedding that `grand_last` uses.
"""

from __future__ import annotations

from torch import nn


def two_convolutions(*, num_classes: int, input_shape: tuple[int, int, int], width: int = 8) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(input_shape[0], width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(2 * width * 16, num_classes),
    )
