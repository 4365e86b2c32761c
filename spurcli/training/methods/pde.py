"""Progressive data expansion (Deng et al., NeurIPS 2023, Algorithm 1)."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import SpurWarning, UsageError
from spurcli.randomness import generator
from spurcli.training.method import Phase, TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.sampling import balanced_subset, shuffled
from spurcli.words import counted


class PDE(ERM):
    """ERM that starts on a group-balanced subset and receives the other samples step by step.

    Warm-up: `warmup_epochs` on a random subset with groups of equal size. Expansion: at its beginning and every
    `expansion_interval` epochs after it, `expansion_size` samples are drawn without replacement from those not used yet
    and stay; each epoch visits all samples of the subset once, in the end the full set. When the expansion
    begins, the momentum is reset once, and the learning rate is multiplied by `rate_after_warmup`.

    The authors' commands draw the new samples from all groups together, as here; their text draws a similar number from each
    group while it has samples: `balanced_expansion`. Their code draws with replacement, unlike their algorithm.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        warmup_epochs: int = 140,
        expansion_size: int = 10,
        expansion_interval: int = 10,
        rate_after_warmup: float = 0.01,
        balanced_expansion: bool = False,
    ) -> None:
        super().__init__(samples)
        for name, value in (
            ("warmup_epochs", warmup_epochs),
            ("expansion_size", expansion_size),
            ("expansion_interval", expansion_interval),
        ):
            if value < 1:
                raise UsageError(f"method.options.{name} = {value} is below 1", "Without expansion it is subg.")
        if rate_after_warmup <= 0:
            raise UsageError(f"method.options.rate_after_warmup = {rate_after_warmup} is not above 0", "1 keeps it.")
        if samples.num_epochs is not None and samples.num_epochs <= warmup_epochs:
            message = f"The warm-up of {counted(warmup_epochs, 'epoch')} is all of the {samples.num_epochs} of the training: this is subg"
            warnings.warn(SpurWarning(message), stacklevel=2)
        self.group = samples.group
        self.warmup_epochs, self.rate_after_warmup = warmup_epochs, rate_after_warmup
        self.expansion_size, self.expansion_interval = expansion_size, expansion_interval
        self.balanced_expansion = balanced_expansion

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        warmup = balanced_subset(self.samples.kept, self.group, seed)
        added = self._rest(warmup, seed)[: self._num_added(epoch)]
        return shuffled(np.concatenate([warmup, added]), seed, epoch)

    def phase(self, epoch: int) -> Phase:
        if epoch < self.warmup_epochs:
            return Phase()
        return Phase(self.rate_after_warmup, restart=epoch == self.warmup_epochs)

    def _num_added(self, epoch: int) -> int:
        if epoch < self.warmup_epochs:
            return 0
        return self.expansion_size * (1 + (epoch - self.warmup_epochs) // self.expansion_interval)

    def _rest(self, warmup: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
        """Positions outside the warm-up set in the order in which they are added: one draw for the whole run."""
        kept = self.samples.kept
        rest = generator("expansion", seed).permutation(np.flatnonzero(~np.isin(kept, warmup)))
        if self.balanced_expansion:
            group = self.group[rest]
            turn = np.zeros(len(rest), dtype=np.int64)
            for code in np.unique(group):
                turn[group == code] = np.arange((group == code).sum())
            rest = rest[np.argsort(turn, kind="stable")]
        return np.asarray(kept[rest])
