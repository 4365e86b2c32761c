"""The results of one rule that chooses among models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spurcli.reporting.statistics import Paired


@dataclass(frozen=True)
class Pick:
    """How often an arm was chosen; `arm` is a position in the report's arms."""

    arm: int
    num_seeds: int


@dataclass(frozen=True)
class Choice:
    """For each seed a rule chose one of (at least) `num_candidates` models: their mean results on the evaluated split.

    `metric` is their value, `cost` how much worse they are than the choice by true groups (positive: worse), paired by
    seed. `num_fitted_otherwise` counts seeds in which another model is chosen after class biases were fitted, None for a rule without.
    """

    dataset: str
    rule: str
    label: str
    reads: str
    metric: str
    mean: float
    num_seeds: int
    num_candidates: int
    picks: Sequence[Pick]
    cost: Paired | None
    num_fitted_otherwise: int | None
