"""Empirical risk minimisation (ERM): the plain mean of the cross-entropy, the method that pruning is combined with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.sampling import shuffled


class ERM:
    """The mean cross-entropy over shuffled samples; each sample once an epoch."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        return shuffled(self.samples.kept, seed, epoch)

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(logits, batch.label, reduction="sum") / batch.global_size

    def state(self) -> dict[str, torch.Tensor]:
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        assert not state
