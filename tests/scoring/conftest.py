"""A user's own data set, models and scores in one file, and its training from Python."""

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

def load(*, data_root, num_samples=83, order=0):
    """Random pictures that tell their class by brightness; `order` permutes the training split."""
    splits = {}
    for stream, (name, size) in enumerate({"train": num_samples, "test": 41}.items()):
        rng = np.random.default_rng(stream)
        label = rng.integers(3, size=size)
        pixels = np.clip(rng.normal(60 + 60 * label[:, None, None, None], 60, (size, 4, 4, 1)), 0, 255)
        attribute = (rng.random(size) < 0.2 + 0.3 * label).astype(np.int64)
        turn = np.random.default_rng(order).permutation(size) if order and name == "train" else np.arange(size)
        ids = [f"{name}{i:03d}" for i in turn]
        splits[name] = Split(label[turn], ArrayImages(pixels.astype(np.uint8)[turn]), attribute[turn], ids)
    return Dataset("mine", ("low", "mid", "high"), splits, ("plain", "odd"))

def net(*, num_classes, bias=True):
    """Batch norm and dropout: what differs between train and eval mode."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(64, num_classes, bias=bias),
    )

class Tail(nn.Module):
    """Its last linear layer does not give the logits."""
    def __init__(self, num_classes):
        super().__init__()
        self.head, self.gate = nn.Linear(16, num_classes), nn.Linear(16, 1)
    def forward(self, x):
        h = x.flatten(1)
        return self.head(h) * torch.sigmoid(self.gate(h))

def tail(*, num_classes):
    return Tail(num_classes)

def brier(logits, label):
    """sum of squared errors"""
    return (torch.softmax(logits, 1) - torch.eye(logits.shape[1])[label]).square().sum(1)
brier.higher_is = "harder"

def as_numpy(logits, label):
    return logits.numpy().max(axis=1)
as_numpy.higher_is = "easier"

def mean_of_batch(logits, label):
    return torch.nn.functional.cross_entropy(logits, label)
mean_of_batch.higher_is = "harder"

def fails(logits, label):
    raise RuntimeError("no luck")
fails.higher_is = "harder"

def aimless(logits, label):
    return logits[:, 0]

def el2n(logits, label):
    return logits[:, 0]
el2n.higher_is = "harder"
'''


@pytest.fixture
def parts(tmp_path) -> Path:
    path = tmp_path / "parts.py"
    path.write_text(PARTS)
    return path


@pytest.fixture
def configured(parts):
    """Settings for the user's own data set and model: configured(scoring.epoch=2, …) with dotted keys as a dict."""
    from spurcli import configure

    def make(overrides: dict[str, Any] | None = None, *, model: str = "net", **more: Any) -> Any:
        tiny = {"training.epochs": 3, "training.batch_size": 16, "scoring.epoch": 2, **(overrides or {})}
        return configure(f"{parts}:load", recipe="demo", model=f"{parts}:{model}", overrides=tiny, device="cpu", **more)

    return make
