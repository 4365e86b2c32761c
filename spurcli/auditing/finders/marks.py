"""Marks over the whole image or at a fixed place: a tint, a frame, a line, noise, a watermark. Does something added to some images move the model?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.regions.contrasts import Contrasts, not_clipped, with_parts
from spurcli.auditing.regions.known import Known, known_shapes
from spurcli.auditing.regions.marked import (
    MOST_DONORS,
    Search,
    contrasted,
    donors_of,
    members_of,
    of_half,
    read_of,
    seen,
    values_of,
)
from spurcli.auditing.regions.marks import (
    LEAST_INDEPENDENCE,
    LEAST_SEPARATION,
    Floats,
    Group,
    Mark,
    Spectrum,
    beyond_chance,
    difference,
    error_of,
    foreign_gains,
    grouped,
    independence,
    joined,
    of_shapes,
    ordered,
    searched,
    visible,
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
_CANDIDATES, _SHAPES, _PARTS = 6, 2, 3  # of a class
_RECIPIENTS, _PUSHERS = 20, 4
_SHARE = 0.1  # of the passes that regions may take
_SECONDS, _CONTRAST = 1.0, 1.2  # for MOST_DONORS samples of a class, and for the contrast of a class
_LEAST_NULL = 60  # with fewer, none of three suspects could be confirmed
_MOST_PLACE = 0.8  # of a mark's energy lies in the region that names it
_REFERENCE = 2000  # samples of other classes, whose place along known shapes is compared with
_CONTROLS, _PAIRS = 8, 400


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` marks that move the model most and that are foreign to the images that carry them."""
    ask = evidence.ask
    if ask is None or evidence.kind != "images" or evidence.source != "train":
        return []
    classes = [y for y in evidence.classes(_MOST_CLASSES) if of_half(evidence, y, 0).size >= _LEAST_SAMPLES]
    inputs: Any = evidence.inputs("train")
    if len(classes) < 2 or evidence.left() <= 0:
        return []
    evidence.progress.start("marks", len(classes))
    squares = Squares.of(inputs.shape)
    means, parts = _residuals(evidence, squares, classes)
    scatter = {y: parts[0][y].T @ parts[0][y] for y in classes}
    shapes = known_shapes(*squares.grid, inputs.shape[2])

    of_train = partial(read_of, evidence, "train")
    contrasts = Contrasts.of(inputs.shape, contrasted(evidence, classes, 0), of_train, seed=evidence.seed)
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
        of_parts = contrasts.marks(ask, group, donors_of(evidence, y), of_train, most=_PARTS)
        marks += with_parts(joined(found, own), of_parts)
        evidence.progress.advance(1)
    groups = grouped(ordered(marks), most=most)
    moved = (
        {y: known[y].fit(parts[1][y][:MOST_DONORS]) for y in classes}
        if any(mark.shape for each in groups for mark in each)
        else {}
    )
    is_part = any(mark.part for each in groups for mark in each)
    unseen = contrasted(evidence, classes, 1) if is_part else {}
    apart = {y: contrasts.parts(y, index, of_train, is_searched=False) for y, index in unseen.items()}
    null = foreign_gains(directions, parts[1])
    search = Search(evidence, ask, squares, means, known, moved, null, contrasts, apart)
    return [_finding(search, group) for group in groups]


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find`: the computation in each class, and the model calls."""
    inputs = evidence.inputs("train") if evidence.source == "train" else None
    if evidence.ask is None or inputs is None:
        return 0.0
    sizes = np.sort(np.bincount(evidence.label("train")))[-_MOST_CLASSES:] // 2
    donors = np.minimum(sizes, MOST_DONORS)
    asked = min(_allowed(evidence, inputs), 4 * _PUSHERS * int(donors.sum())) + 2 * _CANDIDATES * _RECIPIENTS * len(
        sizes
    )
    return float(_SECONDS * donors.sum() / MOST_DONORS + _CONTRAST * len(sizes) + evidence.pace * asked)


def _allowed(evidence: Evidence, inputs: Any) -> float:
    """The maximum number of model calls for donors, by the size of the images and the budget."""
    height, width, _ = inputs.shape
    return _SHARE * passes(height, width, evidence.left(), 1 / max(evidence.pace, 1e-9))


def _residuals(
    evidence: Evidence, squares: Squares, classes: list[int]
) -> tuple[dict[int, Floats], list[dict[int, Floats]]]:
    """The mean of each class on half 0, and the residuals about it of some samples of both halves."""
    means: dict[int, Floats] = {}
    parts: list[dict[int, Floats]] = [{}, {}]
    for y in classes:
        for half in (0, 1):
            values = values_of(evidence, squares, "train", members_of(evidence, y, half))
            if half == 0:
                means[y] = values.mean(axis=0)
            parts[half][y] = values - means[y]
    return means, parts


def _group(evidence: Evidence, ask: Ask, squares: Squares, y: int, mean: Floats) -> Group:
    label, rng = evidence.label("train"), generator("audit marks group", evidence.seed, y)
    donors = read_of(evidence, "train", donors_of(evidence, y))
    others = np.flatnonzero((label != y) & (evidence.half("train") == 0))
    recipients = read_of(evidence, "train", rng.permutation(others)[:_RECIPIENTS])
    low, mine = margins(evidence.logits(evidence.held_out), y), evidence.label(evidence.held_out) == y
    distance = float(np.median(low[mine]) - np.median(low[~mine])) if mine.any() and not mine.all() else 0.0
    return Group(y, donors, squares.values(donors) - mean, recipients, ask(recipients), distance)


def _finding(search: Search, group: Sequence[Mark]) -> Finding:
    """A finding of a mark, or of one at several places: the clearest is tested, the others, whose pattern is the same, must have two parts."""
    # the amounts of a contrast have known variances, so their gains can be compared
    group = sorted(group, key=lambda mark: (mark.part is None, -mark.gain if mark.part else 0.0))
    evidence, (first, y) = search.evidence, (group[0], group[0].label)
    asked = [seen(search, mark) for mark in group]
    tested = asked[0]
    places = [
        (mark, one.presence)
        for mark, one in zip(group, asked, strict=True)
        if mark is first or (one.gain > 0 and one.separation > LEAST_SEPARATION)
    ]
    presence = {split: 1 - np.prod([1 - one[split] for _, one in places], axis=0) for split in tested.presence}
    sample = _sample(evidence, y, presence["train"])
    pixels, upper = read_of(evidence, "train", sample), presence["train"][sample].astype(np.float64)
    by_place = np.stack([one["train"][sample] for _, one in places]).astype(np.float64)
    if first.part and len(places) == 1:
        kept = not_clipped(pixels, upper, first.part.place)
        pixels, upper, by_place = pixels[kept], upper[kept], by_place[:, kept]
    plain = np.stack([difference(pixels, mine, 1 - upper) for mine in by_place])
    foreign = independence(pixels - np.tensordot(by_place.T, plain, 1), upper)
    error = [error_of(mine, 1 - upper) for mine in by_place]
    every = np.ones(pixels.shape[1:3], dtype=bool)
    within = np.stack(
        [
            mark.part.place | visible(own, pixels, each) if mark.part else every
            for (mark, _), own, each in zip(places, plain, error, strict=True)
        ]
    )[..., None]
    added = np.stack(
        [mark.shape.added if mark.shape else own for (mark, _), own in zip(places, plain * within, strict=True)]
    )
    if first.shape and len(places) == 1:
        place, region = first.shape.region.name, first.shape.region
    else:
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
        counterfactual=_pairs(search, y, added, pixels, upper, within)
        if evidence.inputs(evidence.held_out) is not None
        else None,
        addition=stamp(pixels, by_place, 1 - upper, within=within),
        p_value=None if doubt else p_value(tested.strength, tested.null),
        doubt=doubt,
        inferred=True,
    )


def _sample(evidence: Evidence, y: int, presence: NDArray[np.float32]) -> NDArray[np.int64]:
    """Training samples of the class, as many with the mark as without it where there are enough."""
    index = generator("audit marks sample", evidence.seed, y).permutation(np.flatnonzero(evidence.label("train") == y))
    has = presence[index] > 0.5
    return np.sort(np.concatenate([index[has][:MOST_DONORS], index[~has][:MOST_DONORS]]))


def _place(pattern: Floats) -> tuple[str, Region]:
    """The smallest region that holds most of a pattern."""
    height, width, _ = pattern.shape
    energy = (pattern**2).sum(axis=2)
    whole = Region("whole image", np.ones((height, width), dtype=bool))
    for region in sorted(coarse(height, width), key=lambda one: int(one.mask.sum())):
        if energy[region.mask].sum() >= _MOST_PLACE * energy.sum() > 0:
            return region.name, region
    return whole.name, whole


def _pairs(
    search: Search, y: int, added: Floats, pixels: Pixels, upper: Floats, within: NDArray[np.bool_]
) -> Counterfactual | None:
    """Held-out samples of half 1 with the mark, at one of its places, and as a control with the difference of random other samples from the rest.

    `within` bool [places, height, width, 1] is where each mark lies; the controls are limited to the same pixels.
    """
    evidence, ask = search.evidence, search.ask
    split, rng = evidence.held_out, generator("audit marks pairs", evidence.seed, y)
    without = pixels[upper < 0.5]
    size = min(int((upper > 0.5).sum()), len(without) // 2)
    if size < 2:
        return None
    index = np.sort(rng.permutation(np.flatnonzero(evidence.half(split) == 1))[:_PAIRS])
    images = read_of(evidence, split, index)
    controls = []
    for number in range(_CONTROLS):
        chosen = np.zeros(len(without))
        chosen[rng.permutation(len(without))[:size]] = 1
        controls.append(difference(without, chosen, 1 - chosen) * within[number % len(within)])
    made = [with_added(images, np.stack(some)[np.arange(len(index)) % len(some)]) for some in (list(added), controls)]
    return Counterfactual.asked(index, made[0], made[1], ask, evidence.second_ask)
