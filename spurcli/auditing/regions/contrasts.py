"""Marks that nearly all images of a class have: parts of its contrast with the other classes along which its images fall into two parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.contrast import (
    FOLDS,
    MOST_VALUES,
    Contrast,
    Floats,
    Parts,
    Singles,
    Sums,
    Whitening,
    noise_of,
    parts_of,
)
from spurcli.auditing.regions.marks import (
    Group,
    Mark,
    Part,
    are_alike,
    beyond_chance,
    difference,
    error_of,
    foreignness,
    shift,
    visible,
)
from spurcli.auditing.regions.pushes import Ask, Pixels
from spurcli.auditing.regions.squares import Squares

Index = NDArray[np.int64]
Read = Callable[[Index], Pixels]
_WHITENED = 2000  # images from which the whitening is estimated
_SHOWN = 400  # images on each side from which the mark itself is estimated
_REFERENCE = 600  # images of other classes, which tell how much an image without the mark varies
_CHUNK = 256


@dataclass(frozen=True)
class Contrasts:
    """The contrast of each class with the others on half 0. Samples are given by their positions in a split, which tell their folds."""

    squares: Squares
    whitening: Whitening
    of_class: Mapping[int, Contrast]
    members: Mapping[int, Index]

    @classmethod
    def of(cls, shape: tuple[int, int, int], members: Mapping[int, Index], read: Read, seed: int) -> Contrasts:
        """Of images of a shape: `members` are training samples of half 0 by class.

        Where the contrast of a class shows likely carriers, it is replaced by the contrast of these carriers.
        """
        squares = Squares.of(shape, MOST_VALUES)
        each = max(1, _WHITENED // len(members))
        label = np.concatenate([np.full(len(index[:each]), y) for y, index in members.items()])
        some = np.concatenate([_values(squares, read(index[:each])) for index in members.values()])
        whitening = Whitening.of(some, label, seed)
        sums = {y: _sums(squares, whitening, read, index, np.ones(len(index))) for y, index in members.items()}
        first = cls(squares, whitening, {y: Contrast.of(y, sums) for y in members}, members)
        sharp = dict(first.of_class)
        for y, index in members.items():
            found = first.parts(y, index, read, is_searched=True)
            best = int(np.argmax(found.promise))
            if found.promise[best] > 0:
                sharp[y] = first.of_class[y].sharpened(_sums(squares, whitening, read, index, found.upper[best]))
        return cls(squares, whitening, sharp, members)

    def amounts(self, y: int, index: Index, read: Read, *, held_back: NDArray[np.bool_] | None = None) -> Floats:
        """How much of the contrast of class y samples have in each part, float64 [k, n].

        Samples of `held_back` bool [n] do not contribute to the contrast that they are measured by.
        """
        contrast = self.of_class[y]
        fold = None if held_back is None else np.where(held_back, index % FOLDS, FOLDS)
        found = [np.empty((len(contrast.masks), 0))]
        for start in range(0, len(index), _CHUNK):
            chosen = slice(start, start + _CHUNK)
            values, weights = self.whitening(_values(self.squares, read(index[chosen])))
            found.append(contrast.amounts(values, weights, None if fold is None else fold[chosen]))
        return np.concatenate(found, axis=1)

    def parts(self, y: int, index: Index, read: Read, *, is_searched: bool) -> Parts:
        """Whether samples of class y fall into two parts, for each part of the contrast. If they were searched, each by the other folds."""
        others = np.concatenate(
            [self.members[k][: _REFERENCE // (len(self.members) - 1)] for k in self.members if k != y]
        )
        noise = noise_of(self.amounts(y, others, read, held_back=np.ones(len(others), dtype=bool)))
        held_back = np.ones(len(index), dtype=bool) if is_searched else None
        return parts_of(self.amounts(y, index, read, held_back=held_back), noise)

    def marks(self, ask: Ask, group: Group, donors: Index, read: Read, *, most: int) -> list[Mark]:
        """The `most` marks of a class with the largest gain, each once; `donors` are those of the group."""
        y, index = group.label, self.members[group.label]
        found = self.parts(y, index, read, is_searched=True)
        order = [k for k in np.argsort(-found.strength, kind="stable").tolist() if found.strength[k] > 0]
        if not order:
            return []
        amount = self.amounts(y, donors, read, held_back=np.ones(len(donors), dtype=bool))
        marks: list[Mark] = []
        for k in order:
            upper = found.of(k, amount[k])
            if any(are_alike(upper, mark.upper) for mark in marks):
                continue
            marks.append(self._mark(ask, group, found, k, upper, read))
            if len(marks) == most:
                break
        return marks

    def _mark(self, ask: Ask, group: Group, found: Parts, k: int, upper: Floats, read: Read) -> Mark:
        index = self.members[group.label]
        some = np.concatenate([np.flatnonzero(side)[:_SHOWN] for side in (found.upper[k] > 0.5, found.upper[k] <= 0.5)])
        pixels, weights = read(index[some]), found.upper[k][some]
        added, error = difference(pixels, weights, 1 - weights), error_of(weights, 1 - weights)
        place = self.place(group.label, k) | visible(added, pixels, error)
        added = added * place[..., None]
        return Mark(
            group.label,
            np.empty(0),
            upper,
            float(found.gain[k]),
            float(found.separation[k]),
            beyond_chance(added, pixels, error),
            shift(ask, group, added),
            foreignness(group, upper),
            part=Part(k, place),
        )

    def place(self, y: int, k: int) -> NDArray[np.bool_]:
        """The pixels of a part, bool [height, width] of the image."""
        small = self.of_class[y].place(k, self.whitening.reach)
        height, width, channels = self.squares.shape
        every = np.repeat(small[..., None], channels, axis=2).astype(np.float64)
        return np.asarray(self.squares.images(every.reshape(1, -1))[0, :height, :width].any(axis=2))


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
