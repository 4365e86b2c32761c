"""Which region of which class has a lump of donors that push much more than others of the class: found on half 0, tested on half 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.lumps import Lumps, lumps
from spurcli.auditing.regions.pushes import Ask, Pixels, Scale, answers, margins
from spurcli.auditing.regions.shapes import Region, finer
from spurcli.auditing.regions.templates import Whitening, along, crossed, templates, tops, values_of

Floats = NDArray[np.float64]
Advance = Callable[[int], None]
_LEAST_SHIFT = 0.02  # of the class distance: a lump that pushes less is ignored
_ALIKE = 0.5  # correlation of two regions' carriers from which both show the same thing
_LEAST_ASSOCIATION = 3.0  # z of the correlation of push and template
_MOST_COVERED = 0.6  # of the image, by the regions that show the same thing: the rest must be large enough to test
_ROUNDS = 2  # how often a region is halved


@dataclass(frozen=True)
class Donors:
    """The donors and recipients of one class and one half. `base` is the recipients' own logits [recipients, classes].

    `distance` is the model's class distance: median margin of the class less that of the others.
    """

    donors: Pixels
    recipients: Pixels
    recipient_label: NDArray[np.int64]
    base: NDArray[np.float32]
    distance: float


@dataclass(frozen=True)
class Tried:
    """A region of class `label` on half 0. `logits` are all answers [donors, recipients, classes].

    `carries` float64 [donors] is the probability of carrying, `strength` the gain in BIC of lumps over one smooth heap,
    of the pushes and along the template; `shift` is how far the lump goes beyond the others, in the class distance.
    `independence` is 1 if the rest of the image does not predict the carriers, 0 if it predicts them fully.
    """

    label: int
    region: Region
    logits: NDArray[np.float32]
    carries: Floats
    strength: float
    shift: float
    independence: float = 1.0
    covered: NDArray[np.bool_] | None = None

    @property
    def rank_value(self) -> float:
        return self.strength * self.independence


def push_towards(logits: NDArray[np.float32], part: Donors, target: int) -> tuple[Floats, float]:
    """Push float64 [donors] towards a class by the recipients of other classes, and in the same unit the recipients' own."""
    chosen = part.recipient_label != target
    found = margins(logits[:, chosen], target)
    scale = Scale.of(found)
    return scale.push(found), float(scale.push(margins(part.base[chosen], target)[None])[0])


def is_upward(found: Lumps, own: Floats) -> NDArray[np.bool_]:
    """Whether the part that differs from what recipients have themselves is the one that pushes up, bool [series]."""
    return np.asarray(np.abs(found.high - own) >= np.abs(found.low - own))


def measured(ask: Ask, part: Donors, y: int, regions: Sequence[Region], advance: Advance) -> list[Tried]:
    """Some regions of one class, on half 0."""
    logits, pushes, own, projected = [], [], [], []
    for region in regions:
        found = answers(ask, part.recipients, part.donors, region)
        advance(found.shape[0] * found.shape[1])
        push, base = push_towards(found, part, y)
        logits.append(found)
        pushes.append(push)
        own.append(base)
        projected.append(crossed(values_of(part.donors, region.mask), tops(push)))
    of_push, best = strongest(np.stack(pushes), np.stack(projected))
    upward = is_upward(of_push, np.array(own))
    stacked = np.stack(pushes)
    both = lumps(np.stack([joint(of_push, best, stacked, k) for k in range(len(regions))]))
    tried = []
    for k, region in enumerate(regions):
        carries = both.upper[k]
        raw = np.median(margins(logits[k][:, part.recipient_label != y], y), axis=1)
        shift = (_mean(raw, carries) - _mean(raw, 1 - carries)) / part.distance if part.distance > 0 else 0.0
        strength = float(max(of_push.gain[k], 0.0) + max(best.found.gain[k], 0.0))
        if not upward[k] or shift < _LEAST_SHIFT or not best.associated[k]:
            strength = 0.0
        tried.append(Tried(y, region, logits[k], carries, strength, shift))
    return tried


@dataclass(frozen=True)
class Best:
    """For each series the template that separates best: its lumps, values [series, n], whether these go with the push."""

    found: Lumps
    values: Floats
    associated: NDArray[np.bool_]


def strongest(pushes: Floats, projected: Floats) -> tuple[Lumps, Best]:
    """Lumps of pushes [series, n], and of the best of some templates, `projected` [series, templates, n]."""
    series, count, size = projected.shape
    every = lumps(projected.reshape(-1, size))
    gain = every.gain.reshape(series, count)
    z = np.array([[_association(push, one) for one in each] for push, each in zip(pushes, projected, strict=True)])
    usable = z > _LEAST_ASSOCIATION
    chosen = np.where(usable, gain, -np.inf).argmax(axis=1)
    rows = np.arange(series)
    found = every.take(rows * count + chosen)
    return lumps(pushes), Best(found, projected[rows, chosen], usable[rows, chosen])


def joint(of_push: Lumps, best: Best, pushes: Floats, k: int) -> Floats:
    """Push and projection of each donor of series k in spreads of those who do not carry, added: float64 [n]."""
    first = (pushes[k] - of_push.low[k]) / max(of_push.low_spread[k], 1e-9)
    second = (best.values[k] - best.found.low[k]) / max(best.found.low_spread[k], 1e-9)
    return np.asarray(first + second)


def _mean(values: Floats, weight: Floats) -> float:
    return float((values * weight).sum() / max(weight.sum(), 1e-9))


def _association(push: Floats, values: Floats) -> float:
    """z of the correlation of two series."""
    if not push.std() > 0 or not values.std() > 0:
        return 0.0
    return float(np.corrcoef(push, values)[0, 1] * np.sqrt(len(push)))


def distinct(tried: Sequence[Tried], parts: Mapping[int, Donors], most: int) -> list[Tried]:
    """The strongest, each with its independence, without those of the same class whose carriers are an earlier one's.

    Sorted by strength times independence: features that are independent of the rest of the image come first.
    """
    ordered = sorted(tried, key=lambda one: -one.strength)
    kept: list[Tried] = []
    for one in ordered:
        if len(kept) == most or not one.strength > 0:
            break
        if any(_are_alike(one, other) for other in kept):
            continue
        alike = [other.region.mask for other in ordered if other.strength > 0 and _are_alike(one, other)]
        covered = np.any(alike, axis=0)
        if covered.mean() > _MOST_COVERED:
            covered = one.region.mask
        kept.append(
            replace(one, covered=covered, independence=_independence(parts[one.label].donors, covered, one.carries))
        )
    return sorted(kept, key=lambda one: -one.rank_value)


def _are_alike(one: Tried, other: Tried) -> bool:
    if one.label != other.label or not one.carries.std() > 0 or not other.carries.std() > 0:
        return one.label == other.label and one is other
    return bool(np.corrcoef(one.carries, other.carries)[0, 1] > _ALIKE)


def _independence(pixels: Pixels, covered: NDArray[np.bool_], carries: Floats) -> float:
    """1 − |2·AUC − 1| of who carries, predicted from the rest of the image (cross-fitted)."""
    if covered.all():
        return 0.0
    guess = crossed(values_of(pixels, ~covered), carries[None])[0]
    return 1 - abs(2 * area(guess, carries > 0.5) - 1)


def area(values: Floats, positive: NDArray[np.bool_]) -> float:
    """AUROC of values for `positive`; .5 where one side is empty."""
    above, below = values[positive], np.sort(values[~positive])
    if not len(above) or not len(below):
        return 0.5
    ranks = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(ranks.mean() / (2 * len(below)))


def refined(ask: Ask, one: Tried, part: Donors, advance: Advance) -> Tried:
    """The part of a region that shows the lump best, halves and quarters are tried while this helps."""
    for _ in range(_ROUNDS):
        smaller = finer(one.region)
        if not smaller:
            break
        best = max(measured(ask, part, one.label, smaller, advance), key=lambda other: other.strength)
        if best.strength <= one.strength:
            break
        one = replace(best, independence=one.independence, covered=one.covered)
    return one


def confirmation(
    ask: Ask, one: Tried, search_part: Donors, part: Donors, targets: Sequence[int], advance: Advance
) -> tuple[Floats, Floats]:
    """Strength and independence [targets] on other donors and recipients, templates from half 0, for each target class.

    For targets other than the donors' class it is the null: the effect of lumps in a class's content on other classes.
    """
    found = answers(ask, part.recipients, part.donors, one.region)
    advance(found.shape[0] * found.shape[1])
    before, after = values_of(search_part.donors, one.region.mask), values_of(part.donors, one.region.mask)
    whitening = Whitening.of(before)
    pairs = [push_towards(found, part, target) for target in targets]
    earlier = [push_towards(one.logits, search_part, target)[0] for target in targets]
    directions = [templates(whitening(before), tops(push)) for push in earlier]
    projected = np.stack([along(whitening(after), direction) for direction in directions])
    pushes = np.stack([push for push, _ in pairs])
    of_push, best = strongest(pushes, projected)
    upward = is_upward(of_push, np.array([own for _, own in pairs]))
    strength = np.maximum(of_push.gain, 0) + np.maximum(best.found.gain, 0)
    strength[~upward | ~best.associated] = 0.0
    carries = lumps(np.stack([joint(of_push, best, pushes, k) for k in range(len(targets))])).upper
    covered = one.region.mask if one.covered is None else one.covered
    if covered.all():
        return strength, np.zeros(len(targets))
    guesses = crossed(values_of(part.donors, ~covered), carries)
    areas = [area(guess, mine > 0.5) for guess, mine in zip(guesses, carries, strict=True)]
    return strength, 1 - np.abs(2 * np.array(areas) - 1)


def p_value(mine: float, null: Floats) -> float:
    """Empirical: how often the null is at least as strong. A strength of 0 is no evidence."""
    if not mine > 0:
        return 1.0
    return float((1 + (null >= mine).sum()) / (1 + len(null)))
