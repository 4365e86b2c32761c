"""What an epoch adds up to, counted without making the host wait for the device."""

from __future__ import annotations

import math
import time

import torch

from spurcli.training.state import Position


class Tally:
    """Sums over the steps of one epoch. They stay on the device until `note` reads them."""

    def __init__(self, position: Position, device: torch.device) -> None:
        self._loss_sum = torch.tensor(position.loss_sum, dtype=torch.float32, device=device)
        self._num_correct = torch.tensor(position.num_correct, dtype=torch.int64, device=device)
        # a sum that is once not finite never is again, so this counts the steps before
        self._num_finite = torch.tensor(position.global_step, dtype=torch.int64, device=device)
        self._since = time.monotonic()

    @torch.no_grad()
    def add(self, loss: torch.Tensor, logits: torch.Tensor, label: torch.Tensor) -> None:
        """Count one batch: its mean `loss`, `logits` [m, classes], `label` int64 [m]."""
        self._loss_sum.add_(loss, alpha=len(label))
        self._num_correct.add_((logits.argmax(1) == label).sum())
        self._num_finite.add_(self._loss_sum.isfinite())

    def note(self, position: Position) -> None:
        """Put the sums and the time into `position`; FloatingPointError names the step if the loss was not finite."""
        loss_sum = float(self._loss_sum)
        if not math.isfinite(loss_sum):
            raise FloatingPointError(
                f"The loss is not finite in epoch {position.epoch + 1}, step {int(self._num_finite) + 1}"
            )
        position.loss_sum, position.num_correct = loss_sum, int(self._num_correct)
        now = time.monotonic()
        position.seconds += now - self._since
        self._since = now
