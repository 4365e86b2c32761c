"""Means, spreads and paired differences over seeds. All plain Python: there are a handful of seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_Z = 1.959963984540054
# The 97.5 % quantile of Student's t for 1 … 9 degrees of freedom; above that the expansion below is good to 1e-4.
_T975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def t_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5 from 10 degrees on)."""
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = _Z
    return (
        z
        + (z**3 + z) / (4 * degrees)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * degrees**3)
    )


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
    """Differences of two arms, seed by seed: `mean` ± `se` over `num_pairs`, of which `num_better` favour the first."""

    mean: float
    se: float | None
    num_pairs: int
    num_better: int
    interval: list[float] | None

    @property
    def clear(self) -> bool:
        """Whether the mean is at least two standard errors from zero, over at least three seeds."""
        return self.se is not None and self.num_pairs >= 3 and self.mean != 0 and abs(self.mean) >= 2 * self.se

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "clear": self.clear}


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
