"""XRM's twin networks: each learns from its half of the samples, and flips labels of the other half."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from spurcli.randomness import generator
from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.methods.erm import ERM


class TwinNets(nn.Module):
    """Two networks of the same kind, trained at once: forward gives their logits side by side, [m, 2 · classes]."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, inputs: Any) -> torch.Tensor:
        return torch.cat([self.first(inputs), self.second(inputs)], dim=1)


class CrossRisk(ERM):
    """Pezeshki et al., "Discovering Environments with XRM", ICML 2024, Algorithm 1.

    For each sample one twin, drawn at random, learns from it. The loss is class-balanced over the *current* labels of the
    batch: the mean over classes of the class's mean cross-entropy (the authors' code adds the classes up; a recipe's
    learning rate keeps its meaning this way). In each step the twin that does not learn from a sample may flip its label
    to ŷ, its own prediction, with probability (p − 1/C) · C/(C − 1), where p is the softmax of ŷ.
    """

    def __init__(self, samples: TrainingSamples, seed: int, *, is_alone: bool = True) -> None:
        super().__init__(samples)
        self._is_alone = is_alone  # several processes exchange their flips
        num_samples = len(samples.label)
        self.original = torch.from_numpy(samples.label.copy())
        self.current = self.original.clone()
        self.learns_first = torch.from_numpy(coins(num_samples, seed))
        self._seed, self._draws = seed, torch.zeros(num_samples)

    @property
    def flip_rate(self) -> float:
        """The share of samples whose label is not the original one."""
        return float((self.current.cpu() != self.original).float().mean())

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        self._draws = torch.from_numpy(draws(len(self.original), self._seed, epoch)).to(self._draws.device)
        return super().order(seed, epoch)

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        self._move(logits.device)
        first, second = logits.chunk(2, dim=1)
        learns_first = self.learns_first[batch.index, None]
        label = self.current[batch.index]
        own, other = torch.where(learns_first, first, second), torch.where(learns_first, second, first)
        counts = batch.total(torch.bincount(label, minlength=first.shape[1]))
        losses = functional.cross_entropy(own, label, reduction="none") / counts[label]
        self._flip(other.detach(), label, batch)
        return losses.sum() / (counts > 0).sum()

    def _flip(self, held_out: torch.Tensor, label: torch.Tensor, batch: Batch) -> None:
        confidence, predicted = held_out.softmax(dim=1).max(dim=1)
        flips = self._draws[batch.index] < flip_probability(confidence, held_out.shape[1])
        if self._is_alone:
            self.current[batch.index] = torch.where(flips, predicted, label)
            return
        change = torch.zeros_like(self.current)  # each process has other samples of the batch
        change[batch.index] = torch.where(flips, predicted - label, 0)
        self.current += batch.total(change)

    def _move(self, device: torch.device) -> None:
        self.current, self.learns_first = self.current.to(device), self.learns_first.to(device)
        self._draws = self._draws.to(device)

    def state(self) -> dict[str, torch.Tensor]:
        return {"label": self.current}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.current = state["label"].to(self.current.device)


def flip_probability(confidence: torch.Tensor, num_classes: int) -> torch.Tensor:
    """0 where the twin is undecided between all classes, 1 where it is sure."""
    return (confidence - 1 / num_classes) * num_classes / (num_classes - 1)


def coins(num_samples: int, seed: int) -> NDArray[np.bool_]:
    """Whether the first twin learns from each sample."""
    return np.asarray(generator("xrm halves", seed).random(num_samples) < 0.5)


def draws(num_samples: int, seed: int, epoch: int) -> NDArray[np.float32]:
    """A uniform number for each sample in each epoch: its label flips where this is below the probability."""
    return generator("xrm flips", seed, epoch).random(num_samples, dtype=np.float32)
