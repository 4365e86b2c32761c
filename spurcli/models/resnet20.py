"""ResNet-20 for CIFAR (He et al. 2016, Sec. 4.2), with 1×1-convolution shortcuts where the shape changes (option B)."""

from __future__ import annotations

import torch
from torch import nn


class _Block(nn.Module):
    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(incoming, outgoing, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outgoing)
        self.conv2 = nn.Conv2d(outgoing, outgoing, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outgoing)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or incoming != outgoing:
            self.shortcut = nn.Sequential(
                nn.Conv2d(incoming, outgoing, 1, stride, bias=False), nn.BatchNorm2d(outgoing)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet20(nn.Module):
    """Three stages of three blocks, 16-32-64 channels; He initialisation (fan in)."""

    def __init__(self, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks = [
            _Block(incoming if first else outgoing, outgoing, stride if first else 1)
            for incoming, outgoing, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
            for first in (True, False, False)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(64, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.blocks(torch.relu(self.bn1(self.conv1(x))))
        result: torch.Tensor = self.linear(out.mean(dim=(2, 3)))
        return result


def resnet20(*, num_classes: int, input_shape: tuple[int, int, int]) -> nn.Module:
    """ResNet-20: 0.27 million parameters at 10 classes."""
    return ResNet20(num_classes, input_shape[0])
