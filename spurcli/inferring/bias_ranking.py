"""Sebra's ranking: the epoch in which a network that favours easy features has learned each sample."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.sampling import shuffled

POWER, CONFIDENT = 0.7, 0.7


class BiasRanking(ERM):
    """Kappiyath et al., "Sebra: Debiasing through Self-Guided Bias Ranking", ICLR 2025, Algorithm 1.

    The loss of a sample is p_y^0.7 · CE with a weight that is detached, over the samples that are still active. After each
    epoch those with p_y > 0.7 get its number as their rank and are removed. Their code draws active samples with replacement and
    measures p_y in training mode; here each active sample is visited once an epoch, and measured in eval mode.

    `rank` int64 [n]: the epoch, from 1 on, 0 for a sample that is still active. `others` are ranked in the same way by the same
    networks, without training on them: the validation split.
    """

    def __init__(self, samples: TrainingSamples, num_others: Mapping[str, int]) -> None:
        super().__init__(samples)
        self.rank = np.zeros(len(samples.label), dtype=np.int64)
        self.others = {name: np.zeros(size, dtype=np.int64) for name, size in num_others.items()}

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        return shuffled(np.flatnonzero(self.rank == 0), seed, epoch)

    def has_finished(self) -> bool:
        """Whether all samples have a rank."""
        return bool(self.rank.all())

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        losses = functional.cross_entropy(logits, batch.label, reduction="none")
        return (torch.exp(-POWER * losses.detach()) * losses).sum() / batch.global_size

    def rank_confident(self, epoch: int, confidence: NDArray[np.float32], split: str = "train") -> None:
        """Give samples that are active and have p_y above 0.7 the rank `epoch`; `confidence` [n] is p_y of all."""
        rank = self.rank if split == "train" else self.others[split]
        rank[(rank == 0) & (confidence > CONFIDENT)] = epoch

    def state(self) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(rank) for name, rank in {"train": self.rank, **self.others}.items()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.rank = state["train"].numpy().copy()
        self.others = {name: state[name].numpy().copy() for name in self.others}


def label_confidence(logits: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.float32]:
    """p_y float32 [n] of logits float32 [n, classes]."""
    losses = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(label), reduction="none")
    return np.asarray(torch.exp(-losses).numpy())
