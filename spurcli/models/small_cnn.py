"""A small convolutional network for laptops."""

from __future__ import annotations

from torch import nn


def small_cnn(*, num_classes: int, input_shape: tuple[int, int, int], width: int = 16) -> nn.Module:
    """Four 3×3 convolutions of `width` × 1, 2, 4, 4 channels with batch norm, halving three times; global mean; linear."""
    layers: list[nn.Module] = []
    incoming = input_shape[0]
    for factor, stride in ((1, 1), (2, 2), (4, 2), (4, 2)):
        outgoing = width * factor
        layers += [
            nn.Conv2d(incoming, outgoing, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outgoing),
            nn.ReLU(inplace=True),
        ]
        incoming = outgoing
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(incoming, num_classes))
