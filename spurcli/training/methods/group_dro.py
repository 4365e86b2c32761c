"""Distributionally robust optimisation over groups (Sagawa et al., ICLR 2020, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.sampling import equally_often, shuffled


class GroupDRO:
    """Weights q over the groups grow with their losses; the loss weighted by q is minimised.

    For each batch: q_g ← q_g · exp(η (ℓ_g + C / √n_g)), normalised; the loss is Σ_g q_g ℓ_g. Here ℓ_g is the mean
    cross-entropy of group g in the batch (0 if it has no samples there), n_g its training size, η the `step_size` and C the
    `size_adjustment`. As its authors do, batches are drawn with all groups equally often, unless `balanced` is false.
    Groups without training samples have q = 0.
    """

    def __init__(
        self, samples: TrainingSamples, step_size: float = 0.01, size_adjustment: float = 0.0, balanced: bool = True
    ) -> None:
        self.samples, self.group, self.balanced = samples, samples.group, balanced
        self.step_size = step_size
        sizes = torch.from_numpy(np.bincount(self.group, minlength=len(samples.group_names)))
        there = sizes > 0
        self.adjustment = torch.where(there, size_adjustment / sizes.clamp_min(1).sqrt(), 0.0)
        self.q = there / there.sum()

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        if self.balanced:
            return equally_often(self.samples.kept, self.group, seed, epoch)
        return shuffled(self.samples.kept, seed, epoch)

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        self.q, self.adjustment = self.q.to(logits.device), self.adjustment.to(logits.device)
        group, losses = batch.group, functional.cross_entropy(logits, batch.label, reduction="none")
        each = torch.stack([losses.detach(), torch.ones_like(losses)])
        sums, counts = batch.total(each.new_zeros(2, len(self.q)).index_add_(1, group, each))
        counts = counts.clamp_min(1)
        self.q = self.q * (self.step_size * (sums / counts + self.adjustment)).exp()
        self.q = self.q / self.q.sum()
        weighted: torch.Tensor = losses * (self.q / counts)[group]
        return weighted.sum()

    def state(self) -> dict[str, torch.Tensor]:
        return {"q": self.q}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.q = state["q"]
