"""What an epoch adds up to, counted without making the host wait for the device at every step."""

from __future__ import annotations

import math
import time

import torch

from spurcli.training.state import Position

_STEPS_KEPT = 256


class Tally:
    """Losses and predictions of the last steps, on the device, until `note` adds them to the position.

    They are added one step after the other in float64, so the sums do not depend on how often that happens.
    """

    def __init__(self, position: Position) -> None:
        self._position = position
        self._losses: list[torch.Tensor] = []
        self._predicted: list[torch.Tensor] = []
        self._labels: list[torch.Tensor] = []
        self._since = time.monotonic()

    def add(self, loss: torch.Tensor, logits: torch.Tensor, label: torch.Tensor) -> None:
        """Take one batch: its mean `loss`, `logits` [m, classes], `label` int64 [m]."""
        self._losses.append(loss.detach())
        self._predicted.append(logits.argmax(1))
        self._labels.append(label)
        if len(self._losses) == _STEPS_KEPT:
            self.note()

    def note(self) -> None:
        """Put sums and time into the position; FloatingPointError names the step whose loss was not finite."""
        position = self._position
        if self._losses:
            first = position.global_step - len(self._losses) + 1
            for step, loss in enumerate(torch.stack(self._losses).tolist()):
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"The loss is not finite in epoch {position.epoch + 1}, step {first + step}"
                    )
                position.loss_sum += loss * len(self._labels[step])
            position.num_correct += int((torch.cat(self._predicted) == torch.cat(self._labels)).sum())
            self._losses, self._predicted, self._labels = [], [], []
        now = time.monotonic()
        position.seconds += now - self._since
        self._since = now
