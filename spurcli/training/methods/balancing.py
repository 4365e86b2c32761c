"""Simple data balancing (Idrissi et al., CLeaR 2022): ERM in which every class, or every group, has the same weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.training.method import TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.sampling import balanced_subset, equally_often, shuffled


class SUBY(ERM):
    """ERM on a random subset, drawn once, in which all classes are as large as the smallest."""

    def __init__(self, samples: TrainingSamples) -> None:
        super().__init__(samples)
        self.stratum = samples.label

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        return shuffled(balanced_subset(self.samples.kept, self.stratum, seed), seed, epoch)


class SUBG(SUBY):
    """ERM on a random subset, drawn once, in which all non-empty groups are as large as the smallest."""

    def __init__(self, samples: TrainingSamples) -> None:
        super().__init__(samples)
        self.stratum = samples.group


class RWY(ERM):
    """ERM on samples drawn with weights 1 / size of their class."""

    def __init__(self, samples: TrainingSamples) -> None:
        super().__init__(samples)
        self.stratum = samples.label

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        return equally_often(self.samples.kept, self.stratum, seed, epoch)


class RWG(RWY):
    """ERM on samples drawn with weights 1 / size of their group; empty groups do not count."""

    def __init__(self, samples: TrainingSamples) -> None:
        super().__init__(samples)
        self.stratum = samples.group
