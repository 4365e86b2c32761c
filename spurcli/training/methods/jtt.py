"""Just train twice (Liu et al., ICML 2021, Algorithm 1), its second stage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError, UsageError
from spurcli.training.method import TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.sampling import shuffled


class JTT(ERM):
    """ERM on the samples with the error set in it λ times, λ being `upweight`, as in the algorithm of the paper.

    The authors' code appends λ copies to the training set, so that errors are in it λ + 1 times, and records them in train
    mode during the pass: `upweight` 101, 51 and 5 give as many visits as their runs with 100, 50 and 4.

    Stage 1 is `spurcli infer --by mistakes --epoch T --save-errors errors.txt`: the samples that a model trained for T epochs
    misclassifies in eval mode.
    """

    def __init__(self, samples: TrainingSamples, upweight: int = 20) -> None:
        super().__init__(samples)
        if upweight < 1:
            raise UsageError(f"method.options.upweight = {upweight} is below 1", "1 is ERM.")
        errors = samples.errors
        if not len(errors):
            raise InputError(
                "The error set is empty among the samples kept: there are no samples to up-weight",
                "Use errors of an earlier or more strongly regularised model.",
            )
        self.positions = np.concatenate([samples.kept, np.tile(errors, upweight - 1)])

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        return shuffled(self.positions, seed, epoch)
