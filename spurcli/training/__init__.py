"""Training: one small loop; a method supplies loss, sampling order and state."""

from spurcli.training.loop import Trainer, fit

__all__ = ["Trainer", "fit"]
