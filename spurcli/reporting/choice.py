"""What a report says of choosing among models by one rule."""

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
    """By a rule, of each seed one of `num_candidates` models (at least) was chosen: what these reach on average on the evaluated split.

    `metric` is what they reach, `cost` what they lack to those that the true groups choose (positive: so much worse), paired by
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
