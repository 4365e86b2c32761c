"""Small parts of a training, to be put together by the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spurcli.datasets import ArrayImages
from spurcli.runtime.feed import ImageFeed
from spurcli.runtime.preprocess import ImagePreprocess
from spurcli.settings import PreprocessingSettings, TrainingSettings
from spurcli.training import Trainer, fit
from spurcli.training.method import TrainingSamples
from spurcli.training.methods.erm import ERM

CPU = torch.device("cpu")


@pytest.fixture
def build_trainer() -> Callable[..., Trainer]:
    """A trainer on 53 images 4×4 of 3 classes, of which 47 are kept; keywords change its settings or fields."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (53, 4, 4, 1), dtype=np.uint8)
    label = rng.integers(0, 3, 53)
    kept = np.sort(rng.permutation(53)[:47]).astype(np.int64)

    def build(**changes: Any) -> Trainer:
        fields = {name: changes.pop(name) for name in list(changes) if name in Trainer.__dataclass_fields__}
        preprocessing = PreprocessingSettings(flip=changes.pop("flip", False))
        torch.manual_seed(3)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        given = {"epochs": 3, "batch_size": 10, "learning_rate": 0.05, **changes}
        parts = {
            "model": model,
            "method": ERM(TrainingSamples(kept, label[kept], 3, 10)),
            "feed": ImageFeed.build(ArrayImages(pixels), CPU, 0),
            "preprocess": ImagePreprocess.build(preprocessing, 1, CPU),
            "label": torch.from_numpy(label),
            "num_classes": 3,
            "settings": TrainingSettings(**given),
            "seed": 5,
        }
        return Trainer(**{**parts, **fields})

    return build


class _Killed(BaseException):
    """Ends a run at once, as a kill does: nothing of ours catches it."""


class _KillAt:
    """Progress that kills the run at its batch number `count`."""

    def __init__(self, count: int) -> None:
        self.count = count

    def start(self, what: str, total: int, span: object = None) -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def advance(self, num_samples: int) -> None:
        self.count -= num_samples > 0
        if self.count == 0:
            raise _Killed


@pytest.fixture
def fit_killed_at() -> Callable[..., None]:
    """`fit` that a kill ends at its batch number `count`."""

    def run(count: int, trainer: Trainer, **until: int) -> None:
        trainer.progress = _KillAt(count)
        with pytest.raises(_Killed):
            fit(trainer, **until)

    return run
