"""The running loss and accuracy of an epoch, summed without waiting for the device at every step."""

from __future__ import annotations

import math
import time

import torch

from spurcli.runtime.distributed import ALONE, World
from spurcli.training.state import Position

_STEPS_KEPT = 256


class RunningAverages:
    """Losses and predictions of the last steps, on the device, until `note` adds them to the position.

    They are added one step after the other in float64, so the sums do not depend on how often that happens. With several
    devices each adds its shares, and the sums are combined in `note`, which all call at the same step.
    """

    def __init__(self, position: Position, world: World = ALONE) -> None:
        self._position, self._world = position, world
        self._losses: list[torch.Tensor] = []
        self._predicted: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []
        self._sizes: list[int] = []
        self._since = time.monotonic()

    def add(self, loss: torch.Tensor, logits: torch.Tensor, label: torch.Tensor, global_size: int) -> None:
        """Take this device's share of a batch: of its mean `loss`, `logits` [m, classes], `label` int64 [m]."""
        self._losses.append(loss.detach())
        self._predicted.append(logits.argmax(1))
        self._labels.append(label)
        self._sizes.append(global_size)
        if len(self._losses) == _STEPS_KEPT:
            self.note()

    def note(self) -> None:
        """Put sums and time into the position; FloatingPointError names the step whose loss was not finite."""
        position = self._position
        if self._losses:
            first = position.global_step - len(self._losses) + 1
            losses, correct = self._totals()
            for step, loss in enumerate(losses.tolist()):
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"The loss is not finite in epoch {position.epoch + 1}, step {first + step}"
                    )
                position.loss_sum += loss * self._sizes[step]
            position.num_correct += int(correct)
            self._losses, self._predicted, self._labels, self._sizes = [], [], [], []
        now = time.monotonic()
        position.seconds += now - self._since
        self._since = now

    def _totals(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each step, and how many predictions were right, over all devices."""
        losses = torch.stack(self._losses)
        correct = (torch.cat(self._predicted) == torch.cat(self._labels)).sum()
        if self._world.is_alone:
            return losses, correct
        both = self._world.total(torch.cat([losses.double(), correct.double()[None]]))
        return both[:-1], both[-1]
