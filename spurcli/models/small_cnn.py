"""A small convolutional network for laptops."""

from __future__ import annotations

from torch import nn


def small_cnn(*, num_classes: int, input_shape: tuple[int, int, int], width: int = 16, depth: int = 4) -> nn.Module:
    """`depth` 3×3 convolutions with batch norm, of `width` × 1, 2, 4, 4, 4, … channels; global mean; linear.

    Each but the first halves the image. The receptive field of four is 17 pixels wide, of five 33, of six 65: use more for
    larger images.
    """
    layers: list[nn.Module] = []
    incoming = input_shape[0]
    for number in range(depth):
        outgoing = width * min(2**number, 4)
        layers += [
            nn.Conv2d(incoming, outgoing, 3, stride=2 if number else 1, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(inplace=True),
        ]
        incoming = outgoing
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, num_classes))
