"""Marks: something added to some samples of a class, anywhere in the image or over the full image, detected as a lump along one direction of pixels.

Content varies in many directions; a mark adds the same to each of its carriers. So the samples of a class are looked at in
units of what the *other* classes vary by. There carriers are separated, mainly where content hardly varies: the search
goes through the directions of the smallest variance first (`_BANDS`), with less content at each start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.lump import has_two_lumps, has_valley
from spurcli.auditing.regions.known import Known
from spurcli.auditing.regions.lumps import Lumps, lumps
from spurcli.auditing.regions.pushes import Ask, Pixels, Scale, margins
from spurcli.auditing.regions.search import area
from spurcli.auditing.regions.shapes import Region
from spurcli.auditing.regions.squares import Squares
from spurcli.auditing.regions.templates import templates, tops

Floats = NDArray[np.float64]
_BANDS = (0.25, 0.5, 0.75, 1.0)  # shares of the directions, the smallest variance first
_AXES = 3  # principal axes of a band that a search starts from, in both directions
_SHRINKAGE = 0.05
_FOLDS, _ROUNDS = 4, 8
_ALIKE = 0.5  # correlation of who carries, from which two marks are one
_NEIGHBOURS = 10
_LEAST_SHIFT = 0.02  # of the class distance: a mark that moves the model less is ignored
LEAST_INDEPENDENCE = 0.5  # of a confirmed mark or region: below it, similar images tell who carries it
LEAST_SEPARATION = 2.0  # in spreads: two normal distributions nearer than this have one peak
_LEAST_GAIN = 10.0  # of BIC
_NULL = 400
_CLEAR = 4.5  # standard errors: by chance at most one pixel of a large image
_CHANCE = 3.0  # standard errors, from which a pixel belongs to the pattern of a mark
_MOVED = 0.5  # correlation of two patterns at the best shift, from which they are one mark at two places


@dataclass(frozen=True)
class Spectrum:
    """The directions [d, d] in which samples of some classes vary about their means, the smallest variance first."""

    vectors: Floats
    spread: Floats

    @classmethod
    def of(cls, scatter: Floats, size: int) -> Spectrum:
        variance, vectors = np.linalg.eigh(scatter / max(size, 1))
        return cls(vectors, np.sqrt(np.maximum(variance, 0) + _SHRINKAGE * max(float(variance.mean()), 1e-9)))

    def white(self, residual: Floats, count: int) -> Floats:
        """Float64 [n, count]: along the first `count` directions, in their own spread."""
        return np.asarray(residual @ (self.vectors[:, :count] / self.spread[:count]))

    def within(self, residual: Floats, count: int) -> Floats:
        """The part of each residual in the first `count` directions, float64 [n, d]."""
        return np.asarray(residual @ self.vectors[:, :count] @ self.vectors[:, :count].T)


@dataclass(frozen=True)
class Group:
    """Samples of class y on half 0: pixels [n, ...], `residual` float64 [n, d] about the mean of the class, and recipients of other classes."""

    label: int
    pixels: Pixels
    residual: Floats
    recipients: Pixels
    base: NDArray[np.float32]
    distance: float


@dataclass(frozen=True)
class Shape:
    """A known shape, the `number` of it, its pixels, and what carriers have there, float64 [height, width, channels]."""

    number: int
    region: Region
    added: Floats


@dataclass(frozen=True)
class Part:
    """A part of the contrast of a class with the others, the `number` of it, and its pixels, `place` bool [height, width]."""

    number: int
    place: NDArray[np.bool_]


@dataclass(frozen=True)
class Mark:
    """`direction` float64 [d] of residuals, empty for a part of a contrast: carriers of the class lie high. `upper` is who carries among the samples searched.

    `pattern` float64 [height, width, channels] is what carriers have in addition to samples without any mark, 0 where that
    may be chance; `effect` is how far that moves other images, in the model's class distance. `independence` is 1 if similar
    images do not carry it to a similar degree.
    """

    label: int
    direction: Floats
    upper: Floats
    gain: float
    separation: float
    pattern: Floats
    effect: float
    independence: float
    shape: Shape | None = None
    part: Part | None = None

    @property
    def rank_value(self) -> float:
        return max(self.effect, 0.0) * self.independence

    @property
    def is_content(self) -> bool:
        """Whether the class varies smoothly along it, or similar images share it, so that it could not be confirmed."""
        return self.independence < LEAST_INDEPENDENCE or self.separation < LEAST_SEPARATION


def with_added(images: Pixels, added: Floats) -> Pixels:
    """Images with something added, clipped to the range of pixels."""
    return np.clip(np.rint(images + added), 0, 255).astype(np.uint8)


def searched(
    ask: Ask, group: Group, spectrum: Spectrum, squares: Squares, *, pushers: int, most: int
) -> tuple[list[Mark], Floats]:
    """The marks of one class with the largest gain of two lumps over one smooth heap, each once; `pushers` recipients are asked.

    Also all directions that the search came to [k, d], the largest gain first.
    """
    found: list[tuple[float, Floats, Floats, float]] = []
    for share in _BANDS:
        count = max(2, round(share * len(spectrum.spread)))
        white = spectrum.white(group.residual, count)
        starts = np.concatenate([_along_axes(white), _pushing(ask, group, spectrum, squares, count, pushers)])
        fitted = lumps(_settled(white, starts))
        for k in range(len(starts)):
            own = np.zeros(len(spectrum.spread))
            own[:count] = templates(white, fitted.upper[k][None])[0] / spectrum.spread[:count]
            found.append((float(fitted.gain[k]), spectrum.vectors @ own, fitted.upper[k], float(fitted.separation[k])))
    found.sort(key=lambda one: -one[0])
    kept: list[tuple[float, Floats, Floats, float]] = []
    for one in found:
        if len(kept) < most and one[0] > _LEAST_GAIN and not any(are_alike(one[2], other[2]) for other in kept):
            kept.append(one)
    added, error = additions(group.pixels, np.array([upper for _, _, upper, _ in kept]))
    marks = [_mark(ask, group, *one, added[k], float(error[k])) for k, one in enumerate(kept)]
    return marks, np.stack([one[1] for one in found])


def joined(found: Sequence[Mark], shapes: Sequence[Mark]) -> list[Mark]:
    """Marks along estimated directions, and those of known shapes that have other carriers or take the place of content."""

    def alike(one: Mark, others: Sequence[Mark]) -> bool:
        return any(are_alike(one.upper, other.upper) for other in others)

    new = [mark for mark in shapes if not alike(mark, [other for other in found if not other.is_content])]
    return [*new, *(mark for mark in found if not alike(mark, new))]


def of_shapes(
    ask: Ask, group: Group, known: Known, squares: Squares, shapes: Sequence[tuple[Region, Floats]], *, most: int
) -> list[Mark]:
    """The marks of one class that are an addition of a known shape and of nothing else, each once."""
    fitted = known.fit(group.residual)
    marks: list[Mark] = []
    for k in np.argsort(-fitted.strength, kind="stable").tolist():
        upper = fitted.upper[k]
        if fitted.strength[k] < 0 or len(marks) == most:
            break
        if any(are_alike(upper, mark.upper) for mark in marks):
            continue
        region, shape = shapes[k]
        # how much of the shape moves a sample that far
        size = fitted.moved[k] / float(known.directions[k] @ shape.ravel())
        added = squares.images(size * shape.ravel()[None])[0]
        mask = squares.images(np.broadcast_to(region.mask[..., None], shape.shape).reshape(1, -1))[0].any(axis=2)
        own = Shape(k, Region(region.name, mask), added)
        direction = known.directions[k] * np.sign(fitted.moved[k])
        effect = shift(ask, group, added)
        foreign = foreignness(group, upper)
        marks.append(
            Mark(
                group.label,
                direction,
                upper,
                float(fitted.gain[k]),
                float(fitted.separation[k]),
                added,
                effect,
                foreign,
                own,
            )
        )
    return marks


def _along_axes(white: Floats) -> Floats:
    """The tenth of the samples furthest along each principal axis, in either direction: 0 or 1, [2·axes, n]."""
    _, _, axes = np.linalg.svd(white, full_matrices=False)
    values = axes[:_AXES] @ white.T
    return _highest(np.concatenate([values, -values]), 0.1)


def _highest(values: Floats, share: float) -> Floats:
    place = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1)
    return np.asarray(place < max(3, round(share * values.shape[1])), dtype=np.float64)


def _pushing(ask: Ask, group: Group, spectrum: Spectrum, squares: Squares, count: int, pushers: int) -> Floats:
    """Those whose residual, within the band and added to other images, raises the margin of the class most: [shares, n]."""
    if not pushers:
        return np.zeros((0, len(group.residual)))
    added = squares.images(spectrum.within(group.residual, count))
    raw = np.stack([margins(ask(with_added(image[None], added)), group.label) for image in group.recipients[:pushers]])
    return tops(Scale.of(raw.T).push(raw.T))


def _settled(white: Floats, upper: Floats) -> Floats:
    """How far each sample goes along its direction, float64 [k, n], after some rounds of: carriers → direction → carriers.

    Directions come from the other folds, so that no sample contributes to its own.
    """
    fold = np.arange(len(white)) % _FOLDS
    upper = 0.01 + 0.98 * upper
    along = np.zeros_like(upper)
    for number in range(_ROUNDS):
        for k in range(_FOLDS):
            along[:, fold == k] = templates(white[fold != k], upper[:, fold != k]) @ white[fold == k].T
        if number < _ROUNDS - 1:
            upper = _two_parts(along, upper)
    return along


def _two_parts(along: Floats, upper: Floats) -> Floats:
    """One step of EM of two Gaussians of one variance, for each row: the members of the higher one."""
    weight = np.clip(upper.mean(axis=1, keepdims=True), 0.01, 0.99)
    high = (upper * along).sum(axis=1, keepdims=True) / upper.sum(axis=1, keepdims=True)
    low = ((1 - upper) * along).sum(axis=1, keepdims=True) / (1 - upper).sum(axis=1, keepdims=True)
    variance = (upper * (along - high) ** 2 + (1 - upper) * (along - low) ** 2).mean(axis=1, keepdims=True) + 1e-9
    odds = np.log(weight / (1 - weight)) + ((along - low) ** 2 - (along - high) ** 2) / (2 * variance)
    return np.asarray(np.clip(1 / (1 + np.exp(-np.clip(odds, -30, 30))), 1e-6, 1 - 1e-6))


def are_alike(one: Floats, other: Floats) -> bool:
    return bool(abs(np.corrcoef(one, other)[0, 1]) > _ALIKE)


def additions(pixels: Pixels, uppers: Floats) -> tuple[Floats, Floats]:
    """What each of several marks adds, float64 [k, height, width, channels], and its variance in units of a pixel's, float64 [k].

    `uppers` [k, n] is who carries each. Fitted together by least squares: who lacks one mark may carry another, above all
    where one mark has several places.
    """
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    design = np.column_stack([np.ones(len(pixels)), *uppers])
    inverse = np.linalg.pinv(design)
    return (inverse @ flat)[1:].reshape(-1, *pixels.shape[1:]), (inverse**2).sum(axis=1)[1:]


def _mark(
    ask: Ask,
    group: Group,
    gain: float,
    direction: Floats,
    upper: Floats,
    separation: float,
    added: Floats,
    error: float,
) -> Mark:
    """The mark, turned so that it moves the model towards the class."""
    effect = shift(ask, group, added)
    other = shift(ask, group, -added)
    if other > effect:
        effect, direction, upper, added = other, -direction, 1 - upper, -added
    pattern = beyond_chance(added, group.pixels, error)
    return Mark(group.label, direction, upper, gain, separation, pattern, effect, foreignness(group, upper))


def shift(ask: Ask, group: Group, added: Floats) -> float:
    """How far what is added moves other images towards the class, in the model's class distance."""
    if not group.distance > 0:
        return 0.0
    moved = margins(ask(with_added(group.recipients, added)), group.label) - margins(group.base, group.label)
    return float(moved.mean()) / group.distance


def foreignness(group: Group, upper: Floats) -> float:
    # the plain difference makes the means of both sides equal, as independence() wants them
    return independence(group.pixels - upper[:, None, None, None] * difference(group.pixels, upper, 1 - upper), upper)


def difference(pixels: Pixels, upper: Floats, rest: Floats) -> Floats:
    """The mean image by the weights `upper` less that by the weights `rest`, float64 [height, width, channels]."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    mean = upper @ flat / max(upper.sum(), 1e-9) - rest @ flat / max(rest.sum(), 1e-9)
    return np.asarray(mean.reshape(pixels.shape[1:]))


def error_of(upper: Floats, rest: Floats) -> float:
    """The variance of the difference of two means by weights, in units of a pixel's variance."""
    return float(1 / max(upper.sum(), 1.0) + 1 / max(rest.sum(), 1.0))


def visible(added: Floats, pixels: Pixels, error: float) -> NDArray[np.bool_]:
    """The pixels [height, width] in which an addition is clearly larger than expected from its error."""
    return np.asarray((added**2 > _CLEAR**2 * error * pixels.var(axis=0, dtype=np.float64)).any(axis=2))


def beyond_chance(added: Floats, pixels: Pixels, error: float) -> Floats:
    """An addition where it is larger than expected from its error, else 0; `error` is its variance in units of a pixel's."""
    return np.where(added**2 > _CHANCE**2 * error * pixels.var(axis=0, dtype=np.float64), added, 0.0)


def independence(plain: Floats, upper: Floats) -> float:
    """1 − (2·AUC − 1) of carrying, predicted from the most similar images; `plain` are the images without the mark.

    At most 1: an AUC below .5 has no meaning, because the means of both sides were made equal.
    """
    flat = plain.reshape(len(plain), -1).astype(np.float32)
    square = (flat**2).sum(axis=1)
    apart = square[:, None] + square[None] - 2 * flat @ flat.T
    np.fill_diagonal(apart, np.inf)
    count = min(_NEIGHBOURS, len(flat) - 1)
    guess = upper[np.argpartition(apart, count - 1, axis=1)[:, :count]].mean(axis=1)
    return 1 - max(0.0, 2 * area(guess, upper > 0.5) - 1)


def ordered(marks: Sequence[Mark]) -> list[Mark]:
    """The marks that move the model, in the order of a search: those that could be confirmed first, each by effect × independence.

    Content of a class moves the model far, but varies smoothly, or similar images share it.
    """
    moving = [mark for mark in marks if mark.effect >= _LEAST_SHIFT]
    # a known shape passed more than the rules of is_content
    return sorted(moving, key=lambda mark: (mark.is_content, mark.shape is None, -mark.rank_value))


def grouped(marks: Sequence[Mark], *, most: int) -> list[list[Mark]]:
    """The first marks, each with those of its class that show the same pattern at other places.

    What shows the pattern of an earlier one at its own place is left out: a lump of other samples that holds a part of its carriers.
    """
    groups: list[list[Mark]] = []
    for mark in marks:
        mine, moved = next(
            ((group, each) for group in groups if (each := _moved(group, mark)) is not None), (None, None)
        )
        if mine is None and len(groups) < most:
            groups.append([mark])
        elif mine is not None and moved:
            mine.append(mark)
    return groups


def _moved(group: Sequence[Mark], other: Mark) -> bool | None:
    """Whether a mark shows the pattern of the first one in the group at another place than all in it; None if it does not show it."""
    one, sizes = group[0], [float(np.linalg.norm(mark.pattern) * np.linalg.norm(other.pattern)) for mark in group]
    if one.label != other.label or not sizes[0] > 0:
        return None
    first, second = (np.fft.rfft2(mark.pattern, axes=(0, 1)) for mark in (one, other))
    height, width, _ = one.pattern.shape
    alike = np.fft.irfft2(first * second.conj(), s=(height, width), axes=(0, 1)).sum(axis=2)
    if not alike.max() > _MOVED * sizes[0]:
        return None
    return not any(
        float((mark.pattern * other.pattern).sum()) > _MOVED * size for mark, size in zip(group, sizes, strict=True)
    )


def are_parted(found: Lumps, values: Floats, seed: int) -> bool:
    """Whether `values` float64 [n], whose lumps are `found`, fall into two parts with a valley between them.

    By the mixture that `lumps` found, which sees few carriers, or by `has_two_lumps`, which sees a wide upper part.
    """
    if not (found.gain[0] > 0 and found.separation[0] > LEAST_SEPARATION):
        return False
    return has_valley(values, float(found.low[0]), float(found.high[0])) or has_two_lumps(values, seed)


def foreign_gains(directions: dict[int, Floats], residuals: dict[int, Floats]) -> Floats:
    """The null, on half 1: by how much directions found in one class part *another* class in two lumps.

    In BIC for each sample, so that classes of other sizes compare. About `_NULL` of them, the best directions of each class.
    """
    each = -(-_NULL // max(1, len(directions) * (len(directions) - 1)))
    null = []
    for y, residual in residuals.items():
        foreign = [found[:each] for other, found in directions.items() if other != y]
        if foreign:
            null.append(lumps(np.concatenate(foreign) @ residual.T).gain / len(residual))
    return np.concatenate(null) if null else np.empty(0)
