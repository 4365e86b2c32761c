"""Means, spreads and paired differences over seeds. All plain Python: there are a handful of seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from spurcli.student import t_quantile, two_sided_p


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def sd(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n − 1); None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def t_interval(values: Sequence[float]) -> list[float] | None:
    """The 95 % t-interval of the mean; None for fewer than three values, where it says nothing."""
    spread = sd(values)
    if spread is None or len(values) < 3:
        return None
    half = t_quantile(len(values) - 1) * spread / math.sqrt(len(values))
    return [mean(values) - half, mean(values) + half]


@dataclass(frozen=True)
class Paired:
    """Differences of two arms, seed by seed: `mean` ± `se` over `num_pairs`, of which `num_better` favour the first.

    `p` is that of the paired t-test, two-sided and unadjusted; None for fewer than two pairs.
    """

    mean: float
    se: float | None
    num_pairs: int
    num_better: int
    interval: list[float] | None

    @property
    def p(self) -> float | None:
        if self.se is None or self.num_pairs < 2:
            return None
        if self.mean == 0:
            return 1.0
        return two_sided_p(self.mean / self.se if self.se else math.inf, self.num_pairs - 1)

    def turned(self) -> Paired:
        """second − first: for a metric of which more is better, so that lower is better."""
        interval = [-self.interval[1], -self.interval[0]] if self.interval else None
        return replace(self, mean=-self.mean, interval=interval)

    @property
    def clear(self) -> bool:
        """Whether p is below .05 over at least three seeds: a hint. What is claimed is in `claims`."""
        return self.p is not None and self.num_pairs >= 3 and self.p < 0.05

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "p": self.p, "clear": self.clear}


def paired(
    first: Mapping[Any, float], second: Mapping[Any, float], *, lower_is_better: bool | None = False
) -> Paired | None:
    """first − second over the keys (seeds) that both have; None if they share none."""
    keys = [key for key in first if key in second]
    if not keys:
        return None
    differences = [first[key] - second[key] for key in keys]
    sign = -1 if lower_is_better else 1
    spread = sd(differences)
    return Paired(
        mean=mean(differences),
        se=spread / math.sqrt(len(keys)) if spread is not None else None,
        num_pairs=len(keys),
        num_better=sum(sign * difference > 0 for difference in differences),
        interval=t_interval(differences),
    )
