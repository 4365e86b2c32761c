"""How a mark that was found on half 0 of the training samples looks on half 1, and who carries it in each split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.regions.contrasts import Contrasts
from spurcli.auditing.regions.known import Known, Moved
from spurcli.auditing.regions.lumps import lumps
from spurcli.auditing.regions.marks import Floats, Mark, are_parted
from spurcli.auditing.regions.parts import Parts
from spurcli.auditing.regions.pushes import Ask, Pixels
from spurcli.auditing.regions.squares import Squares
from spurcli.randomness import generator

Index = NDArray[np.int64]
MOST_DONORS = 400  # of a class, among which marks are searched
_MOST_SAMPLES = 1000  # of a class and half, whose pixels are compared
_MOST_CONTRASTED, _MOST_CONTRASTED_IN_ALL = 2500, 25_000  # of a class and half, and of all classes
_TOLD_BY_PIXELS = 2.0  # minimum separation to identify carriers of other classes
_CHUNK = 1024


@dataclass(frozen=True)
class Search:
    """What a search has found out: of each class the mean, the filters of known shapes, and who is moved along them on half 1.

    `null` is what directions of other classes part on half 1, in BIC per sample. `contrasts` are those of the classes with
    the others, and `parts` how the samples of half 1 fall into parts along them; both may be empty.
    """

    evidence: Evidence
    ask: Ask
    squares: Squares
    means: Mapping[int, Floats]
    known: Mapping[int, Known]
    moved: Mapping[int, Moved]
    null: Floats
    contrasts: Contrasts
    parts: Mapping[int, Parts]


@dataclass(frozen=True)
class Seen:
    """A mark on half 1: who carries it in each split (NaN where it is not known), the gain of two parts and whether they are clearly two.

    `strength` is the gain per sample, `null` the same of what is no mark.
    """

    presence: dict[str, NDArray[np.float32]]
    gain: float
    separation: float
    is_parted: bool
    strength: float
    null: Floats


def of_half(evidence: Evidence, y: int, number: int) -> Index:
    """The training samples of a class and half."""
    return np.flatnonzero((evidence.label("train") == y) & (evidence.half("train") == number))


def donors_of(evidence: Evidence, y: int) -> Index:
    """The samples of a class among which marks are searched."""
    return generator("audit marks donors", evidence.seed, y).permutation(of_half(evidence, y, 0))[:MOST_DONORS]


def members_of(evidence: Evidence, y: int, number: int, most: int = _MOST_SAMPLES) -> Index:
    """The samples of a class and half whose pixels are compared."""
    rng = generator("audit marks", evidence.seed, y, number)
    return np.sort(rng.permutation(of_half(evidence, y, number))[:most])


def contrasted(evidence: Evidence, classes: Sequence[int], number: int) -> dict[int, Index]:
    """Of each class the samples of a half whose contrast with the other classes is looked at: more, as rare carriers need them."""
    most = min(_MOST_CONTRASTED, max(_MOST_CONTRASTED_IN_ALL // len(classes), _MOST_SAMPLES // 2))
    return {y: members_of(evidence, y, number, most) for y in classes}


def read_of(evidence: Evidence, split: str, index: Index) -> Pixels:
    """The images of some samples of a split."""
    inputs: Any = evidence.inputs(split)
    return np.asarray(inputs.read(index))


def values_of(evidence: Evidence, squares: Squares, split: str, index: Index) -> Floats:
    """The values of some samples, float64 [n, d]."""
    starts = range(0, len(index), _CHUNK)
    return np.concatenate(
        [squares.values(read_of(evidence, split, index[start : start + _CHUNK])) for start in starts]
        or [np.empty((0, 0))]
    )


def seen(search: Search, mark: Mark) -> Seen:
    """How a mark looks on half 1, by what found it."""
    return (_of_shape if mark.shape else _of_part if mark.part else _of_direction)(search, mark)


def _of_direction(search: Search, mark: Mark) -> Seen:
    """A mark along a direction that was estimated: the two lumps of half 1, and whether there is a valley between them.

    Samples among which the mark was searched keep the values from the other folds: along the direction itself their
    separation would be too large.
    """
    evidence, means = search.evidence, search.means
    unseen = _along(search, mark, "train", of_half(evidence, mark.label, 1))
    fitted = lumps(unseen[None])
    tells = float(fitted.separation[0]) >= _TOLD_BY_PIXELS and float(fitted.gain[0]) > 0

    def carries(split: str, y: int, index: Index) -> Floats:
        # the mean of a class with carriers lies between both parts, that of another class has no carriers
        return fitted.of(_along(search, mark, split, index) + (0.0 if y == mark.label else float(fitted.low[0])))

    presence = _presence(evidence, list(means) if tells else [mark.label], carries)
    presence["train"][donors_of(evidence, mark.label)] = mark.upper
    gain = float(fitted.gain[0])
    is_parted = are_parted(fitted, unseen, evidence.seed)
    return Seen(presence, gain, float(fitted.separation[0]), is_parted, gain / len(unseen), search.null)


def _of_shape(search: Search, mark: Mark) -> Seen:
    """A mark of a known shape: those who are moved on half 1, compared with all shapes in the other classes."""
    assert mark.shape
    k, fitted, known = mark.shape.number, search.moved[mark.label], search.known[mark.label]
    strength, sign = float(fitted.strength[k]), float(np.sign(known.directions[k] @ mark.direction))
    is_same = np.sign(fitted.moved[k]) == sign

    def carries(split: str, y: int, index: Index) -> Floats:
        centre = float((search.means[y] - search.means[mark.label]) @ known.directions[k])
        return known.upper(k, sign * _along(search, mark, split, index) + centre, fitted)

    presence = _presence(search.evidence, list(search.means), carries)
    null = np.concatenate([one.strength for y, one in search.moved.items() if y != mark.label])
    separation = float(fitted.separation[k])
    return Seen(presence, float(fitted.gain[k]), separation, bool(strength > 0 and is_same), strength, null)


def _of_part(search: Search, mark: Mark) -> Seen:
    """A mark along a part of the contrast: the two parts of half 1, compared with those of all contrasts of the other classes."""
    assert mark.part
    evidence, k, y = search.evidence, mark.part.number, mark.label
    fitted, searched = search.parts[y], evidence.half("train") == 0

    def carries(split: str, other: int, index: Index) -> Floats:
        # only samples of the same class on half 0 have contributed as samples of this class
        held_back = searched[index] if split == "train" and other == y else None
        amount = search.contrasts.amounts(y, index, partial(read_of, evidence, split), held_back=held_back)
        return fitted.of(k, amount)

    presence = _presence(evidence, list(search.means), carries)
    strength = float(fitted.strength[k])
    null = np.concatenate([one.strength for other, one in search.parts.items() if other != y])
    return Seen(presence, float(fitted.gain[k]), float(fitted.separation[k]), strength > 0, strength, null)


def _presence(
    evidence: Evidence, classes: Sequence[int], carries: Callable[[str, int, Index], Floats]
) -> dict[str, NDArray[np.float32]]:
    """Who carries in each split, by the probability that `carries` gives to samples of a split and class; NaN where it is not known."""
    presence = {}
    for split in evidence.splits:
        label = evidence.label(split)
        presence[split] = np.full(len(label), np.nan, dtype=np.float32)
        if evidence.inputs(split) is None:
            continue
        for y in classes:
            index = np.flatnonzero(label == y)
            presence[split][index] = carries(split, y, index) if len(index) else []
    return presence


def _along(search: Search, mark: Mark, split: str, index: Index) -> Floats:
    """How far samples of one class go along the direction of a mark, from the mean of their class."""
    evidence, parts = search.evidence, [np.empty(0)]
    for start in range(0, len(index), _CHUNK):
        chosen = index[start : start + _CHUNK]
        centre = search.means[int(evidence.label(split)[chosen[0]])]
        parts.append((search.squares.values(read_of(evidence, split, chosen)) - centre) @ mark.direction)
    return np.concatenate(parts)
