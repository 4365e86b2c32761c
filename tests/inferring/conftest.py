"""A small data set of a user's own, a model that differs between train and eval mode, and its training from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PARTS = '''
import numpy as np
import torch
from torch import nn
from spurcli.datasets import ArrayImages, Dataset
from spurcli.datasets.base import Split
from spurcli.inferring.evidence import Attribute

def load(*, data_root, num_samples=83, moved=0, num_classes=3):
    """Random pictures that tell their class by brightness."""
    splits = {}
    for stream, (name, size) in enumerate({"train": num_samples, "test": 41}.items()):
        rng = np.random.default_rng(stream + moved)
        label = rng.integers(num_classes, size=size)
        pixels = np.clip(rng.normal(60 + 60 * label[:, None, None, None], 60, (size, 4, 4, 1)), 0, 255)
        attribute = (rng.random(size) < 0.2 + 0.3 * label).astype(np.int64)
        splits[name] = Split(label, ArrayImages(pixels.astype(np.uint8)), attribute)
    return Dataset("mine", ("low", "mid", "high")[:num_classes], splits, ("plain", "odd"))

def net(*, num_classes):
    """Batch norm and dropout: what differs between train and eval mode."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, num_classes),
    )

def flat(*, num_classes):
    """Softmax regression, the same in train and eval mode."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))

class Always(nn.Module):
    """Reads the class from the brightness of pictures, which `even` makes the same within each class."""
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, x):
        bright = x.mean(dim=(1, 2, 3))[:, None]
        return -self.scale * (bright - torch.tensor([-1.0, 0.0, 1.0])).square()

def always(*, num_classes):
    return Always()

def even(*, data_root):
    label = np.arange(12) % 3
    pixels = np.zeros((12, 4, 4, 1), np.uint8) + (label * 127)[:, None, None, None].astype(np.uint8)
    return Dataset("even", ("low", "mid", "high"), {"train": Split(label, ArrayImages(pixels))})

def sure(evidence):
    """Whether the model is sure of what it says."""
    top = np.sort(evidence.logits, axis=1)
    return Attribute((top[:, -1] - top[:, -2] > 0.5).astype(np.int64), ("unsure", "sure"))

def confused(evidence):
    return Attribute(evidence.label, ("one", "two"))
'''


@pytest.fixture
def parts(tmp_path) -> Path:
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return path


@pytest.fixture
def configured(parts):
    """Settings for the user's own data set and model; dotted keys as a dict."""
    from spurcli import configure

    def make(overrides: dict[str, Any] | None = None, *, data: str = "load", model: str = "net", **more: Any) -> Any:
        tiny = {"training.epochs": 3, "training.batch_size": 16, "scoring.epoch": 1, **(overrides or {})}
        return configure(
            f"{parts}:{data}", recipe="demo", model=f"{parts}:{model}", overrides=tiny, device="cpu", **more
        )

    return make
