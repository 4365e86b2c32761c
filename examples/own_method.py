"""Your own training method: loss, order, state. Name it as own_method.py:Focal with spurcli train --method.

Focal loss (Lin et al., ICCV 2017): easy samples count less. Options: --set method.options.gamma=1.0.
"""

from __future__ import annotations

from torch.nn import functional

from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.sampling import shuffled


class Focal:
    def __init__(self, samples: TrainingSamples, gamma: float = 2.0) -> None:
        self.samples, self.gamma = samples, gamma

    def order(self, seed: int, epoch: int):
        """Which samples an epoch visits, and in what order: a function of (seed, epoch), so that resuming is exact."""
        return shuffled(self.samples.kept, seed, epoch)

    def loss(self, logits, batch: Batch):
        """A sum over this device's samples, divided by the size of the whole batch."""
        cross_entropy = functional.cross_entropy(logits, batch.label, reduction="none")
        return ((1 - (-cross_entropy).exp()) ** self.gamma * cross_entropy).sum() / batch.global_size

    def state(self):
        """Tensors that a resumed run needs; group DRO would keep its weights here."""
        return {}

    def load_state(self, state) -> None:
        pass
