"""How far several scoring runs agree: one run's EL2N is noisy, and a user should see how noisy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.results import AgreementOfRuns


@dataclass(frozen=True)
class Agreement:
    """Mean over pairs of runs: Spearman correlation, and overlap of the hardest tenth (0.1 if unrelated)."""

    spearman: float
    overlap_hardest_tenth: float
    num_pairs: int

    def to_json(self) -> AgreementOfRuns:
        return {
            "spearman": self.spearman,
            "overlap_hardest_tenth": self.overlap_hardest_tenth,
            "num_pairs": self.num_pairs,
        }


def agreement(runs: Sequence[NDArray[np.float32]]) -> Agreement:
    """Agreement of el2n float32 [n] of each run."""
    pairs = [(a, b) for number, a in enumerate(runs) for b in runs[number + 1 :]]
    return Agreement(
        float(np.mean([spearman(a, b) for a, b in pairs])),
        float(np.mean([overlap_of_hardest(a, b, 0.1) for a, b in pairs])),
        len(pairs),
    )


def spearman(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Spearman's rank correlation, ties given their mean rank; 0 where one side is constant."""

    def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], dtype=np.float64)

    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm else 0.0


def overlap_of_hardest(first: NDArray[Any], second: NDArray[Any], fraction: float) -> float:
    """Share of the hardest `fraction` (larger is harder; of ties the lower index) that both have."""
    size = max(1, int(len(first) * fraction))
    a, b = (np.argsort(-values, kind="stable")[:size] for values in (first, second))
    return len(np.intersect1d(a, b, assume_unique=True)) / size
