"""Marks over the whole image or at a fixed place: a tint, a frame, a line, noise, a watermark. Does something added to some images move the model?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.regions.known import Known, Moved, known_shapes
from spurcli.auditing.regions.lumps import lumps
from spurcli.auditing.regions.marks import (
    LEAST_INDEPENDENCE,
    LEAST_SEPARATION,
    Floats,
    Group,
    Mark,
    Spectrum,
    are_parted,
    beyond_chance,
    difference,
    foreign_gains,
    grouped,
    independence,
    joined,
    of_shapes,
    ordered,
    searched,
    with_added,
)
from spurcli.auditing.regions.plan import passes
from spurcli.auditing.regions.pushes import Ask, Pixels, margins
from spurcli.auditing.regions.search import p_value
from spurcli.auditing.regions.shapes import Region, coarse
from spurcli.auditing.regions.squares import Squares
from spurcli.auditing.stamps import stamp
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.randomness import generator

_MOST_CLASSES = 20
_LEAST_SAMPLES = 20  # of a class and half; fewer show no lump
_MOST_SAMPLES = 1000  # of a class and half, whose pixels are compared
_MOST_DONORS = 400  # of a class, among which marks are searched
_CANDIDATES, _SHAPES = 6, 2  # of a class
_RECIPIENTS, _PUSHERS = 20, 4
_SHARE = 0.1  # of the passes that regions may take
_SECONDS = 1.0  # for _MOST_DONORS samples of a class
_LEAST_NULL = 60  # with fewer, none of three suspects could be confirmed
_TOLD_BY_PIXELS = 2.0  # minimum separation to identify carriers of other classes
_MOST_PLACE = 0.8  # of a mark's energy lies in the region that names it
_REFERENCE = 2000  # samples of other classes, whose place along known shapes is compared with
_CONTROLS, _PAIRS, _CHUNK = 8, 400, 1024


@dataclass(frozen=True)
class _Search:
    """What a search has found out: of each class the mean, the filters of known shapes, and who is moved along them on half 1.

    `null` is what directions of other classes part on half 1, in BIC per sample.
    """

    evidence: Evidence
    ask: Ask
    squares: Squares
    means: Mapping[int, Floats]
    known: Mapping[int, Known]
    moved: Mapping[int, Moved]
    null: Floats


@dataclass(frozen=True)
class _Seen:
    """A mark on half 1: who carries it in each split (NaN where it is not known), the gain of two parts and whether they are clearly two.

    `strength` is the gain per sample, `null` the same of what is no mark.
    """

    presence: dict[str, NDArray[np.float32]]
    gain: float
    separation: float
    is_parted: bool
    strength: float
    null: Floats


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` marks that move the model most and that are foreign to the images that carry them."""
    ask = evidence.ask
    if ask is None or evidence.kind != "images" or evidence.source != "train":
        return []
    classes = [y for y in evidence.classes(_MOST_CLASSES) if _half(evidence, y, 0).size >= _LEAST_SAMPLES]
    inputs: Any = evidence.inputs("train")
    if len(classes) < 2 or evidence.left() <= 0:
        return []
    evidence.progress.start("marks", len(classes))
    squares = Squares.of(inputs.shape)
    means, parts = _residuals(evidence, squares, classes)
    scatter = {y: parts[0][y].T @ parts[0][y] for y in classes}
    shapes = known_shapes(*squares.grid, inputs.shape[2])
    marks, directions, known = [], {}, {}
    for y in classes:
        others = [other for other in classes if other != y]
        size = sum(len(parts[0][other]) for other in others)
        spectrum = Spectrum.of(np.sum([scatter[other] for other in others], axis=0), size)
        group = _group(evidence, ask, squares, y, means[y])
        pushers = int(min(_allowed(evidence, inputs) / (4 * len(classes) * len(group.pixels)), _PUSHERS))
        found, directions[y] = searched(ask, group, spectrum, squares, pushers=pushers, most=_CANDIDATES)
        known[y] = Known.of(
            np.stack([shape.ravel() for _, shape in shapes]),
            spectrum.vectors / spectrum.spread,
            means[y],
            [(means[other], parts[0][other][: _REFERENCE // len(others)]) for other in others],
            size,
        )
        own = of_shapes(ask, group, known[y], squares, shapes, most=_SHAPES)
        marks += joined(found, own)
        evidence.progress.advance(1)
    groups = grouped(ordered(marks), most=most)
    moved = (
        {y: known[y].fit(parts[1][y][:_MOST_DONORS]) for y in classes}
        if any(mark.shape for each in groups for mark in each)
        else {}
    )
    search = _Search(evidence, ask, squares, means, known, moved, foreign_gains(directions, parts[1]))
    return [_finding(search, group) for group in groups]


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find`: the computation in each class, and the model calls."""
    inputs = evidence.inputs("train") if evidence.source == "train" else None
    if evidence.ask is None or inputs is None:
        return 0.0
    sizes = np.sort(np.bincount(evidence.label("train")))[-_MOST_CLASSES:] // 2
    donors = np.minimum(sizes, _MOST_DONORS)
    asked = min(_allowed(evidence, inputs), 4 * _PUSHERS * int(donors.sum())) + 2 * _CANDIDATES * _RECIPIENTS * len(
        sizes
    )
    return float(_SECONDS * donors.sum() / _MOST_DONORS + evidence.pace * asked)


def _allowed(evidence: Evidence, inputs: Any) -> float:
    """The maximum number of model calls for donors, by the size of the images and the budget."""
    height, width, _ = inputs.shape
    return _SHARE * passes(height, width, evidence.left(), 1 / max(evidence.pace, 1e-9))


def _half(evidence: Evidence, y: int, half: int) -> NDArray[np.int64]:
    return np.flatnonzero((evidence.label("train") == y) & (evidence.half("train") == half))


def _donors(evidence: Evidence, y: int) -> NDArray[np.int64]:
    """The samples of a class among which marks are searched."""
    return generator("audit marks donors", evidence.seed, y).permutation(_half(evidence, y, 0))[:_MOST_DONORS]


def _read(evidence: Evidence, split: str, index: NDArray[np.int64]) -> Pixels:
    inputs: Any = evidence.inputs(split)
    return np.asarray(inputs.read(index))


def _values(evidence: Evidence, squares: Squares, split: str, index: NDArray[np.int64]) -> Floats:
    starts = range(0, len(index), _CHUNK)
    return np.concatenate(
        [squares.values(_read(evidence, split, index[start : start + _CHUNK])) for start in starts]
        or [np.empty((0, 0))]
    )


def _residuals(
    evidence: Evidence, squares: Squares, classes: list[int]
) -> tuple[dict[int, Floats], list[dict[int, Floats]]]:
    """The mean of each class on half 0, and the residuals about it of some samples of both halves."""
    means: dict[int, Floats] = {}
    parts: list[dict[int, Floats]] = [{}, {}]
    for y in classes:
        rng = generator("audit marks", evidence.seed, y)
        for half in (0, 1):
            index = np.sort(rng.permutation(_half(evidence, y, half))[:_MOST_SAMPLES])
            values = _values(evidence, squares, "train", index)
            if half == 0:
                means[y] = values.mean(axis=0)
            parts[half][y] = values - means[y]
    return means, parts


def _group(evidence: Evidence, ask: Ask, squares: Squares, y: int, mean: Floats) -> Group:
    label, rng = evidence.label("train"), generator("audit marks group", evidence.seed, y)
    donors = _read(evidence, "train", _donors(evidence, y))
    others = np.flatnonzero((label != y) & (evidence.half("train") == 0))
    recipients = _read(evidence, "train", rng.permutation(others)[:_RECIPIENTS])
    low, mine = margins(evidence.logits(evidence.held_out), y), evidence.label(evidence.held_out) == y
    distance = float(np.median(low[mine]) - np.median(low[~mine])) if mine.any() and not mine.all() else 0.0
    return Group(y, donors, squares.values(donors) - mean, recipients, ask(recipients), distance)


def _finding(search: _Search, group: Sequence[Mark]) -> Finding:
    """A finding of a mark, or of one at several places: the first is tested, the others, whose pattern is the same, must have two parts."""
    evidence, (first, y) = search.evidence, (group[0], group[0].label)
    asked = [(_of_shape if mark.shape else _of_direction)(search, mark) for mark in group]
    tested = asked[0]
    places = [
        (mark, seen.presence)
        for mark, seen in zip(group, asked, strict=True)
        if mark is first or (seen.gain > 0 and seen.separation > LEAST_SEPARATION)
    ]
    presence = {split: 1 - np.prod([1 - one[split] for _, one in places], axis=0) for split in tested.presence}
    index = np.flatnonzero(evidence.label("train") == y)
    sample = np.sort(generator("audit marks sample", evidence.seed, y).permutation(index)[: 2 * _MOST_DONORS])
    pixels, upper = _read(evidence, "train", sample), presence["train"][sample].astype(np.float64)
    by_place = np.stack([one["train"][sample] for _, one in places]).astype(np.float64)
    plain = np.stack([difference(pixels, mine, 1 - upper) for mine in by_place])
    foreign = independence(pixels - np.tensordot(by_place.T, plain, 1), upper)
    added = np.stack([mark.shape.added if mark.shape else own for (mark, _), own in zip(places, plain, strict=True)])
    if first.shape and len(places) == 1:
        place, region = first.shape.region.name, first.shape.region
    else:
        error = 1 / np.maximum(by_place.sum(axis=1), 1) + 1 / max((1 - upper).sum(), 1)
        shown = [beyond_chance(one, pixels, each) for one, each in zip(added, error, strict=True)]
        place, region = _place(np.abs(shown).max(axis=0))
    doubt = ""
    if len(tested.null) < _LEAST_NULL:
        doubt = "too few directions of other classes to compare with"
    elif not tested.is_parted:
        doubt = "the class varies smoothly along it, so it may be part of the class itself"
    elif foreign < LEAST_INDEPENDENCE:
        doubt = "similar images carry it to a similar degree: it may belong to the object"
    called = evidence.class_names[y]
    return Finding(
        name=short_name(called, "mark", place),
        finder="marks",
        label_index=y,
        presence=presence,
        statement=f"Some images of {called} have something added in {region.where} that moves other images towards {called}",
        shown={"box": list(region.box)},
        details={
            "place": place,
            "gain": round(tested.gain, 1),
            "separation": round(tested.separation, 1),
            "independence": round(foreign, 2),
            "shift": round(first.effect, 3),
            "num_places": len(places),
            "num_null": len(tested.null),
        },
        counterfactual=_pairs(search, y, added, pixels, upper)
        if evidence.inputs(evidence.held_out) is not None
        else None,
        addition=stamp(pixels, by_place, 1 - upper),
        p_value=None if doubt else p_value(tested.strength, tested.null),
        doubt=doubt,
        inferred=True,
    )


def _of_direction(search: _Search, mark: Mark) -> _Seen:
    """A mark along a direction that was estimated: the two lumps of half 1, and whether there is a valley between them.

    Samples among which the mark was searched keep the values from the other folds: along the direction itself their
    separation would be too large.
    """
    evidence, means = search.evidence, search.means
    unseen = _along(search, mark, "train", _half(evidence, mark.label, 1))
    fitted = lumps(unseen[None])
    tells = float(fitted.separation[0]) >= _TOLD_BY_PIXELS and float(fitted.gain[0]) > 0

    def carries(y: int, along: Floats) -> Floats:
        # the mean of a class with carriers lies between both parts, that of another class has no carriers
        return fitted.of(along + (0.0 if y == mark.label else float(fitted.low[0])))

    presence = _presence(search, mark, list(means) if tells else [mark.label], carries)
    presence["train"][_donors(evidence, mark.label)] = mark.upper
    gain = float(fitted.gain[0])
    is_parted = are_parted(fitted, unseen, evidence.seed)
    return _Seen(presence, gain, float(fitted.separation[0]), is_parted, gain / len(unseen), search.null)


def _of_shape(search: _Search, mark: Mark) -> _Seen:
    """A mark of a known shape: those who are moved on half 1, compared with all shapes in the other classes."""
    assert mark.shape
    k, fitted, known = mark.shape.number, search.moved[mark.label], search.known[mark.label]
    strength, sign = float(fitted.strength[k]), float(np.sign(known.directions[k] @ mark.direction))
    is_same = np.sign(fitted.moved[k]) == sign

    def carries(y: int, along: Floats) -> Floats:
        centre = float((search.means[y] - search.means[mark.label]) @ known.directions[k])
        return known.upper(k, sign * along + centre, fitted)

    presence = _presence(search, mark, list(search.means), carries)
    null = np.concatenate([one.strength for y, one in search.moved.items() if y != mark.label])
    separation = float(fitted.separation[k])
    return _Seen(presence, float(fitted.gain[k]), separation, bool(strength > 0 and is_same), strength, null)


def _presence(
    search: _Search, mark: Mark, classes: Sequence[int], carries: Callable[[int, Floats], Floats]
) -> dict[str, NDArray[np.float32]]:
    """Who carries in each split, by the probability that `carries` gives to samples of a class; NaN where it is not known."""
    presence = {}
    for split in search.evidence.splits:
        label = search.evidence.label(split)
        presence[split] = np.full(len(label), np.nan, dtype=np.float32)
        if search.evidence.inputs(split) is None:
            continue
        for y in classes:
            index = np.flatnonzero(label == y)
            presence[split][index] = carries(y, _along(search, mark, split, index)) if len(index) else []
    return presence


def _along(search: _Search, mark: Mark, split: str, index: NDArray[np.int64]) -> Floats:
    """How far samples of one class go along the direction of a mark, from the mean of their class."""
    evidence, parts = search.evidence, [np.empty(0)]
    for start in range(0, len(index), _CHUNK):
        chosen = index[start : start + _CHUNK]
        centre = search.means[int(evidence.label(split)[chosen[0]])]
        parts.append((search.squares.values(_read(evidence, split, chosen)) - centre) @ mark.direction)
    return np.concatenate(parts)


def _place(pattern: Floats) -> tuple[str, Region]:
    """The smallest region that holds most of a pattern."""
    height, width, _ = pattern.shape
    energy = (pattern**2).sum(axis=2)
    whole = Region("whole image", np.ones((height, width), dtype=bool))
    for region in sorted(coarse(height, width), key=lambda one: int(one.mask.sum())):
        if energy[region.mask].sum() >= _MOST_PLACE * energy.sum() > 0:
            return region.name, region
    return whole.name, whole


def _pairs(search: _Search, y: int, added: Floats, pixels: Pixels, upper: Floats) -> Counterfactual | None:
    """Held-out samples of half 1 with the mark, at one of its places, and as a control with the difference of random other samples from the rest."""
    evidence, ask = search.evidence, search.ask
    split, rng = evidence.held_out, generator("audit marks pairs", evidence.seed, y)
    without = pixels[upper < 0.5]
    size = min(int((upper > 0.5).sum()), len(without) // 2)
    if size < 2:
        return None
    index = np.sort(rng.permutation(np.flatnonzero(evidence.half(split) == 1))[:_PAIRS])
    images = _read(evidence, split, index)
    controls = []
    for _ in range(_CONTROLS):
        chosen = np.zeros(len(without))
        chosen[rng.permutation(len(without))[:size]] = 1
        controls.append(difference(without, chosen, 1 - chosen))
    made = [with_added(images, np.stack(some)[np.arange(len(index)) % len(some)]) for some in (list(added), controls)]
    return Counterfactual.asked(index, made[0], made[1], ask, evidence.second_ask)
