"""Training: one small loop; a method supplies loss, sampling order and state."""

from spurcli.training.loop import Fitted, Trainer, fit

__all__ = ["Fitted", "Trainer", "fit"]
