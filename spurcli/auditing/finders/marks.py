"""Marks over the whole image or at a fixed place: a tint, a frame, a line, noise, a watermark. Does something added to some images move the model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.regions.lumps import Lumps, lumps
from spurcli.auditing.regions.marks import (
    LEAST_INDEPENDENCE,
    LEAST_SEPARATION,
    Floats,
    Group,
    Mark,
    Spectrum,
    Squares,
    are_parted,
    beyond_chance,
    difference,
    foreign_gains,
    grouped,
    independence,
    ordered,
    searched,
    with_added,
)
from spurcli.auditing.regions.plan import passes
from spurcli.auditing.regions.pushes import Ask, Pixels, margins
from spurcli.auditing.regions.search import p_value
from spurcli.auditing.regions.shapes import Region, coarse
from spurcli.auditing.stamps import stamp
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.randomness import generator

_MOST_CLASSES = 20
_LEAST_SAMPLES = 20  # of a class and half; fewer show no lump
_MOST_SAMPLES = 1000  # of a class and half, whose pixels are compared
_MOST_DONORS = 400  # of a class, among which marks are searched
_CANDIDATES = 6  # of a class
_RECIPIENTS, _PUSHERS = 20, 4
_SHARE = 0.1  # of the passes that regions may take
_SECONDS = 1.0  # for _MOST_DONORS samples of a class
_LEAST_NULL = 60  # with fewer, none of three suspects could be confirmed
_TOLD_BY_PIXELS = 2.0  # minimum separation to identify carriers of other classes
_MOST_PLACE = 0.8  # of a mark's energy lies in the region that names it
_CONTROLS, _PAIRS, _CHUNK = 8, 400, 1024


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
    marks, directions = [], {}
    for y in classes:
        others = [other for other in classes if other != y]
        size = sum(len(parts[0][other]) for other in others)
        spectrum = Spectrum.of(np.sum([scatter[other] for other in others], axis=0), size)
        group = _group(evidence, ask, squares, y, means[y])
        pushers = int(min(_allowed(evidence, inputs) / (4 * len(classes) * len(group.pixels)), _PUSHERS))
        found, directions[y] = searched(ask, group, spectrum, squares, pushers=pushers, most=_CANDIDATES)
        marks += found
        evidence.progress.advance(1)
    null = foreign_gains(directions, parts[1])
    groups = grouped(ordered(marks), most=most)
    return [_finding(evidence, ask, squares, group, null, means) for group in groups]


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


def _finding(
    evidence: Evidence,
    ask: Ask,
    squares: Squares,
    group: Sequence[Mark],
    null: Floats,
    means: Mapping[int, Floats],
) -> Finding:
    """A finding of a mark, or of one at several places: the first is tested, the others, whose pattern is the same, must have two parts."""
    first, y = group[0], group[0].label
    asked = [(mark, *_presence(evidence, squares, mark, means)) for mark in group]
    _, _, fitted, is_parted = asked[0]
    each = [
        asked[0][1],
        *(found for _, found, fit, _ in asked[1:] if fit.gain[0] > 0 and fit.separation[0] > LEAST_SEPARATION),
    ]
    presence = {split: 1 - np.prod([1 - one[split] for one in each], axis=0) for split in each[0]}
    index = np.flatnonzero(evidence.label("train") == y)
    sample = np.sort(generator("audit marks sample", evidence.seed, y).permutation(index)[: 2 * _MOST_DONORS])
    pixels, upper = _read(evidence, "train", sample), presence["train"][sample].astype(np.float64)
    by_place = np.stack([one["train"][sample] for one in each]).astype(np.float64)
    added = np.stack([difference(pixels, mine, 1 - upper) for mine in by_place])
    foreign = independence(pixels - np.tensordot(by_place.T, added, 1), upper)
    error = 1 / np.maximum(by_place.sum(axis=1), 1) + 1 / max((1 - upper).sum(), 1)
    pattern = np.abs([beyond_chance(one, pixels, each) for one, each in zip(added, error, strict=True)]).max(axis=0)
    place, region = _place(pattern)
    gain = float(fitted.gain[0])
    doubt = ""
    if len(null) < _LEAST_NULL:
        doubt = "too few directions of other classes to compare with"
    elif not is_parted:
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
            "gain": round(gain, 1),
            "separation": round(float(fitted.separation[0]), 1),
            "independence": round(foreign, 2),
            "shift": round(first.effect, 3),
            "num_places": len(each),
            "num_null": len(null),
        },
        counterfactual=_pairs(evidence, ask, y, added, pixels, upper)
        if evidence.inputs(evidence.held_out) is not None
        else None,
        addition=stamp(pixels, by_place, 1 - upper),
        p_value=None if doubt else p_value(gain / fitted.upper.shape[1], null),
        doubt=doubt,
        inferred=True,
    )


def _presence(
    evidence: Evidence, squares: Squares, mark: Mark, means: Mapping[int, Floats]
) -> tuple[dict[str, NDArray[np.float32]], Lumps, bool]:
    """The carriers in each split, the two lumps of half 1, and whether there is a valley between them. NaN if not known.

    Samples among which the mark was searched keep the values from the other folds: along the direction itself they
    would be too far apart.
    """
    unseen = _along(evidence, squares, mark, means, "train", _half(evidence, mark.label, 1))
    fitted = lumps(unseen[None])
    tells = float(fitted.separation[0]) >= _TOLD_BY_PIXELS and float(fitted.gain[0]) > 0
    presence = {}
    for split in evidence.splits:
        presence[split] = np.full(len(evidence.label(split)), np.nan, dtype=np.float32)
        if evidence.inputs(split) is None:
            continue
        for y in means if tells else [mark.label]:
            index = np.flatnonzero(evidence.label(split) == y)
            # the mean of a class with carriers lies between both parts, that of another class has no carriers
            offset = 0.0 if y == mark.label else float(fitted.low[0])
            along = _along(evidence, squares, mark, means, split, index) + offset
            presence[split][index] = fitted.of(along) if len(index) else []
    presence["train"][_donors(evidence, mark.label)] = mark.upper
    return presence, fitted, are_parted(fitted, unseen, evidence.seed)


def _along(
    evidence: Evidence, squares: Squares, mark: Mark, means: Mapping[int, Floats], split: str, index: NDArray[np.int64]
) -> Floats:
    """The projection of samples of one class on the direction of a mark, from the mean of their class."""
    parts = [np.empty(0)]
    for start in range(0, len(index), _CHUNK):
        chosen = index[start : start + _CHUNK]
        centre = means[int(evidence.label(split)[chosen[0]])]
        parts.append((squares.values(_read(evidence, split, chosen)) - centre) @ mark.direction)
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


def _pairs(evidence: Evidence, ask: Ask, y: int, added: Floats, pixels: Pixels, upper: Floats) -> Counterfactual | None:
    """Held-out samples of half 1 with the mark, at one of its places, and as a control with the difference of random other samples from the rest."""
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
