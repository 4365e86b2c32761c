"""Marks that few, some or nearly all images of a class have: parts of its contrast with the other classes, by which its images fall into two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.contrast import FOLDS, MOST_VALUES, Contrast, Floats, Singles, Sums, Whitening
from spurcli.auditing.regions.marks import (
    Group,
    Mark,
    Part,
    are_alike,
    beyond_chance,
    difference,
    error_of,
    foreignness,
    independence,
    shift,
    visible,
)
from spurcli.auditing.regions.parts import Parts, parts_of
from spurcli.auditing.regions.pushes import Ask, Pixels
from spurcli.auditing.regions.squares import Squares

Index = NDArray[np.int64]
Read = Callable[[Index], Pixels]
_WHITENED = 2000  # images from which the whitening is estimated
_SHARPENED = 4  # parts of a class whose likely carriers get a contrast of their own: a mark may have several places
_SEPARATED = 4.0  # spreads between two parts that nobody would take for one
_MOST_CLIPPED = 0.05  # of the values in the place of a mark
_SHOWN = 400  # images on each side from which the mark itself is estimated
_LEAST_SHOWN = 20
_REFERENCE = 600  # images of other classes, which tell how much an image without the mark varies
_CHUNK = 256


@dataclass(frozen=True)
class Contrasts:
    """The contrast of each class with the others on half 0. Samples are given by their positions in a split, which tell their folds."""

    squares: Squares
    whitening: Whitening
    of_class: Mapping[int, Sequence[Contrast]]
    members: Mapping[int, Index]

    @classmethod
    def of(cls, shape: tuple[int, int, int], members: Mapping[int, Index], read: Read, seed: int) -> Contrasts:
        """Of images of a shape: `members` are training samples of half 0 by class.

        Where parts of the contrast of a class show likely carriers, the contrasts of these carriers follow it.
        """
        squares = Squares.of(shape, MOST_VALUES)
        each = max(1, _WHITENED // len(members))
        label = np.concatenate([np.full(len(index[:each]), y) for y, index in members.items()])
        some = np.concatenate([_values(squares, read(index[:each])) for index in members.values()])
        whitening = Whitening.of(some, label, seed)
        sums = {y: _sums(squares, whitening, read, index, np.ones(len(index))) for y, index in members.items()}
        first = cls(squares, whitening, {y: [Contrast.of(y, sums)] for y in members}, members)
        every: dict[int, list[Contrast]] = {}
        for y, index in members.items():
            (contrast,), found = first.of_class[y], first.parts(y, index, read, is_searched=True)
            every[y] = [contrast]
            for k in _distinct(found, found.promise, _SHARPENED):
                carriers = _sums(squares, whitening, read, index, found.upper[k])
                every[y].append(contrast.sharpened(k, carriers))
        return cls(squares, whitening, every, members)

    def amounts(self, y: int, index: Index, read: Read, *, held_back: NDArray[np.bool_] | None = None) -> Floats:
        """How much of the contrast of class y samples have in each part, and how precisely it is known, float64 [2, k, n].

        Samples of `held_back` bool [n] do not contribute to the contrast that they are measured by.
        """
        contrasts = self.of_class[y]
        fold = None if held_back is None else np.where(held_back, index % FOLDS, FOLDS)
        found = [np.empty((2, sum(len(one.masks) for one in contrasts), 0))]
        for start in range(0, len(index), _CHUNK):
            chosen = slice(start, start + _CHUNK)
            values, weights = self.whitening(_values(self.squares, read(index[chosen])))
            place = None if fold is None else fold[chosen]
            found.append(np.concatenate([one.amounts(values, weights, place) for one in contrasts], axis=1))
        return np.concatenate(found, axis=2)

    def parts(self, y: int, index: Index, read: Read, *, is_searched: bool) -> Parts:
        """Whether samples of class y fall into two parts, for each part of the contrast. If they were searched, each by the other folds."""
        others = np.concatenate(
            [self.members[k][: _REFERENCE // (len(self.members) - 1)] for k in self.members if k != y]
        )
        unmarked = self.amounts(y, others, read, held_back=np.ones(len(others), dtype=bool))
        held_back = np.ones(len(index), dtype=bool) if is_searched else None
        return parts_of(self.amounts(y, index, read, held_back=held_back), unmarked)

    def marks(self, ask: Ask, group: Group, donors: Index, read: Read, *, most: int) -> list[Mark]:
        """The `most` marks of a class with the largest gain, each once; `donors` are those of the group."""
        y, index = group.label, self.members[group.label]
        found = self.parts(y, index, read, is_searched=True)
        order = _distinct(found, found.strength, most)
        if not order:
            return []
        amount = self.amounts(y, donors, read, held_back=np.ones(len(donors), dtype=bool))
        return [self._mark(ask, group, found, k, found.of(k, amount), read) for k in order]

    def _mark(self, ask: Ask, group: Group, found: Parts, k: int, upper: Floats, read: Read) -> Mark:
        index = self.members[group.label]
        some = np.concatenate([np.flatnonzero(side)[:_SHOWN] for side in (found.upper[k] > 0.5, found.upper[k] <= 0.5)])
        pixels, weights = read(index[some]), found.upper[k][some]
        place = self.place(group.label, k)
        kept = not_clipped(pixels, weights, place)
        pixels, weights = pixels[kept], weights[kept]
        added, error = difference(pixels, weights, 1 - weights), error_of(weights, 1 - weights)
        place = place | visible(added, pixels, error)
        added = added * place[..., None]
        return Mark(
            group.label,
            np.empty(0),
            upper,
            float(found.gain[k]),
            float(found.separation[k]),
            beyond_chance(added, pixels, error),
            shift(ask, group, added),
            # by the mark in its place, as the others may have it elsewhere, or by all that differs, as clipped images are darker or brighter
            max(independence(group.pixels - upper[:, None, None, None] * added, upper), foreignness(group, upper)),
            part=Part(k, place),
        )

    def place(self, y: int, k: int) -> NDArray[np.bool_]:
        """The pixels of a part, bool [height, width] of the image."""
        for contrast in self.of_class[y]:
            if k < len(contrast.masks):
                break
            k -= len(contrast.masks)
        small = contrast.place(k, self.whitening.reach)
        height, width, channels = self.squares.shape
        every = np.repeat(small[..., None], channels, axis=2).astype(np.float64)
        return np.asarray(self.squares.images(every.reshape(1, -1))[0, :height, :width].any(axis=2))


def not_clipped(pixels: Pixels, weights: Floats, place: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The images [n] that show what is added: in others it is clipped, so they seem to lack it, and differ in content from those that have it.

    All images, if too few of either side are left.
    """
    inside = pixels[:, place]
    kept = ((inside <= 1) | (inside >= 254)).reshape(len(pixels), -1).mean(axis=1) < _MOST_CLIPPED
    enough = min(weights[kept].sum(), (1 - weights[kept]).sum()) >= _LEAST_SHOWN
    return np.asarray(kept if enough else np.ones(len(pixels), dtype=bool))


def with_parts(marks: Sequence[Mark], parts: Sequence[Mark]) -> list[Mark]:
    """Marks and parts of a contrast; of two with the same carriers the known shape, or a direction if it separates them clearly."""

    def prefers(mark: Mark, part: Mark) -> bool:
        return are_alike(mark.upper, part.upper) and (
            mark.shape is not None or mark.separation >= min(part.separation, _SEPARATED)
        )

    new = [part for part in parts if not any(prefers(mark, part) for mark in marks)]
    return [*new, *(mark for mark in marks if not any(are_alike(mark.upper, part.upper) for part in new))]


def _distinct(found: Parts, value: Floats, most: int) -> list[int]:
    """The series of the highest positive values that have different images with the mark, at most `most`."""
    kept: list[int] = []
    for k in np.argsort(-value, kind="stable").tolist():
        if not value[k] > 0 or len(kept) == most:
            break
        if not any(are_alike(found.upper[k], found.upper[other]) for other in kept):
            kept.append(k)
    return kept


def _values(squares: Squares, pixels: Pixels) -> Singles:
    return squares.values(pixels).reshape(len(pixels), *squares.grid, squares.shape[2]).astype(np.float32)


def _sums(squares: Squares, whitening: Whitening, read: Read, index: Index, share: Floats) -> Sums:
    """Of some samples, each counted by its share, float64 [n]."""
    parts = []
    for start in range(0, len(index), _CHUNK):
        chosen = slice(start, start + _CHUNK)
        values, weights = whitening(_values(squares, read(index[chosen])))
        counted = weights * share[chosen, None, None, None].astype(np.float32)
        parts.append(Sums.of(values, counted, index[chosen] % FOLDS))
    return Sums(np.sum([one.value for one in parts], axis=0), np.sum([one.weight for one in parts], axis=0))
