"""Student's t: quantiles and p-values. SciPy comes with scikit-learn and is imported where it is used."""

from __future__ import annotations

import math


def t_quantile(degrees: int, level: float = 0.975) -> float:
    """The quantile of Student's t; with one degree of freedom if fewer are given."""
    from scipy.special import stdtrit

    return float(stdtrit(max(1, degrees), level))


def two_sided_p(t: float, degrees: int) -> float:
    """P(|T| ≥ |t|) of Student's t; 0 for an infinite t."""
    from scipy.special import stdtr

    return 0.0 if math.isinf(t) else float(2 * stdtr(degrees, -abs(t)))
