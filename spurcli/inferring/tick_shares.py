"""How many samples of a class carry the ticked feature, by difficulty, and whether that makes the feature a strong or a weak one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.inferring.tick_file import Ticks

STRONG, WEAK, CONFLICT, UNDECIDED = "strong", "weak", "conflict", "undecided"
_ODDS = 0.5  # odds in the hardest quarter divided by those in the easiest: below this, carriers are mainly easy samples
_Z = 1.6448536269514722  # each verdict is one-sided, at 5 %
_MOST_TICKS = 5000  # more answers than this are not practical


@dataclass(frozen=True)
class Sampled:
    """A stratum: `size` training samples, of which `num` were answered and `num_yes` carry the feature."""

    size: int
    num: int
    num_yes: int


@dataclass(frozen=True)
class Share:
    """A share of carriers with its 95 % interval; `num` answers worth `effective` of a simple random sample (inf: all are known)."""

    value: float | None
    low: float
    high: float
    num: int
    effective: float


def share_of(strata: Sequence[Sampled]) -> Share:
    """The share of carriers over strata, with Clopper and Pearson's interval at n_eff = 1 / Σ(w²/n).

    w is a stratum's share of the samples; one whose samples are all answered adds no error. For a stratum without an answer
    every share is possible: the interval is widened by its share. Coverage by simulation: tests/inferring/test_ticks.py.
    """
    from scipy.special import betaincinv

    size = sum(stratum.size for stratum in strata)
    answered = [stratum for stratum in strata if stratum.num]
    num = sum(stratum.num for stratum in answered)
    if not answered or not size:
        return Share(None, 0.0, 1.0, 0, 0.0)
    known = sum(stratum.size for stratum in answered)
    value = sum(stratum.size / known * stratum.num_yes / stratum.num for stratum in answered)
    error = sum((s.size / known) ** 2 / s.num for s in answered if s.num < s.size)
    if error == 0:
        low = high = value
        effective = math.inf
    else:
        effective = 1 / error
        yes, no = value * effective, (1 - value) * effective
        low = float(betaincinv(yes, no + 1, 0.025)) if yes > 1e-9 else 0.0
        high = float(betaincinv(yes + 1, no, 0.975)) if no > 1e-9 else 1.0
    unknown = 1 - known / size
    return Share(value, low * (1 - unknown), high * (1 - unknown) + unknown, num, effective)


@dataclass(frozen=True)
class Verdict:
    """`answer` is strong, weak, conflict or undecided; `odds_ratio` of the hardest to the easiest quarter with its interval.

    `more_ticks` is about how many more answers would decide; None if it is decided, or if the number is not practical.
    """

    answer: str
    odds_ratio: float | None
    interval: tuple[float, float] | None
    more_ticks: int | None


def verdict(shares: Sequence[Share]) -> Verdict:
    """Whether carriers are mainly easy samples, from the shares of the four quarters, easiest first.

    strong: the odds of a carrier in the hardest quarter are surely below half of those in the easiest, so that the
    hardest samples are not the carriers; weak: surely above half. The interval is Woolf's at 90 %, 5 % on either side,
    with a half added to each count (Haldane, Anscombe).
    """
    ends = shares[0], shares[-1]
    if any(share.value is None or not share.effective for share in ends):
        return Verdict(UNDECIDED, None, None, None)
    logs, variances = [], []
    for share in ends:
        assert share.value is not None
        size = min(share.effective, 1e6)
        yes, no = share.value * size + 0.5, (1 - share.value) * size + 0.5
        logs.append(math.log(yes / no))
        variances.append(1 / yes + 1 / no)
    ratio, error = logs[1] - logs[0], math.sqrt(sum(variances))
    interval = math.exp(ratio - _Z * error), math.exp(ratio + _Z * error)
    if interval[1] < _ODDS:
        return Verdict(STRONG, math.exp(ratio), interval, None)
    if interval[0] > _ODDS:
        return Verdict(WEAK, math.exp(ratio), interval, None)
    distance = abs(ratio - math.log(_ODDS))
    num = sum(share.num for share in shares)
    more = math.ceil(num * ((_Z * error / distance) ** 2 - 1)) if distance else math.inf
    return Verdict(UNDECIDED, math.exp(ratio), interval, int(more) if more <= _MOST_TICKS else None)


def shares_by_quartile(ticks: Ticks, label: NDArray[np.int64], class_index: int) -> list[Share] | None:
    """The share of carriers in each quarter of a class, easiest first; None if the ticks do not describe the sampling.

    A stratum must lie in one class and quarter, as those of the tick sheet do.
    """
    mine = (label[ticks.index] == class_index) & ticks.sure
    if not mine.any() or (ticks.quartile[mine] < 0).any() or (ticks.stratum[mine] < 0).any():
        return None
    of_class = label[ticks.index] == class_index
    return [share_of(_strata(ticks, of_class & (ticks.quartile == quartile))) for quartile in range(4)]


def share_by_class(ticks: Ticks, label: NDArray[np.int64]) -> tuple[dict[int, Share], Share] | None:
    """The share of carriers in each ticked class, and in all of them together; None if the ticks do not describe the sampling."""
    if (ticks.stratum < 0).any() or not len(ticks.index):
        return None
    of_sample = label[ticks.index]
    classes = {y: share_of(_strata(ticks, of_sample == y)) for y in np.unique(of_sample).tolist()}
    return classes, share_of(_strata(ticks, np.ones(len(of_sample), dtype=bool)))


def contradicts(mine: Share, everywhere: Share) -> bool:
    """Whether the carriers of a class are a conflict group: surely less than half of what independence of class and feature gives."""
    return mine.high < everywhere.low / 2


def _strata(ticks: Ticks, chosen: NDArray[np.bool_]) -> list[Sampled]:
    """The strata of the chosen answers; a stratum in which all are unsure has no answer."""
    strata = []
    for stratum in np.unique(ticks.stratum[chosen]).tolist():
        answered = chosen & ticks.sure & (ticks.stratum == stratum)
        size = int(ticks.stratum_size[stratum])
        strata.append(Sampled(size, int(answered.sum()), int((answered & ticks.yes).sum())))
    return strata
