"""Images in which a property was changed afterwards: the rest of the image does not go with it.

A brighter photo of a dark scene has a natural brightness, but too high a brightness for its scene. So a change that is hidden by the natural variation
of a property can be visible in what the rest of the image does not explain.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing import pixels as of_pixels
from spurcli.auditing.candidates import Candidate, Hit
from spurcli.auditing.changing import spaced
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.lump import valley
from spurcli.datasets import Texts, Vectors

HIGH, LOW = "high for the rest of the image", "low for the rest of the image"
GREY = "0 (grey)"
_NO_COLOUR = 0.01  # saturation of a grey image, which a photograph in colours does not have; JPEG may add a trace
_FEWEST_GREY, _MOST_BETWEEN = 10, 0.1  # grey images, and those of nearly no colour as a share of them
_BATCH = 256
_MOST = 2000  # training images of the class, and of the others, for the fit
_RIDGE = 1e-3


def set_apart(evidence: Evidence, hit: Hit, values: Mapping[str, NDArray[np.float64]]) -> Candidate | None:
    """The carriers among the images of all splits, if what the rest of the image does not explain of the property has two lumps in the class.

    `values` are those of the property by split, float64 [n]. Carriers are the images above the valley, or below it if the hit
    has its carriers there. None without two lumps: also if the values have two, but the rest of the image explains them.
    """
    source, name = evidence.source, hit.candidate.column
    if name == "saturation" and (grey := _grey(evidence, hit, values)):
        return grey
    index, is_class = _chosen(evidence, hit.label_index)
    typical, scale = (
        float(np.median(values[source])),
        {split: of_pixels.scaled(part, name) for split, part in values.items()},
    )
    called = f"forms {name} {hash(index.tobytes())}"  # of several classes with the same samples they are computed once
    forms = evidence.once(called, source, lambda: _forms(evidence, source, index, name, typical))
    weights = _explained(scale[source][index], forms, evidence.label(source)[index])
    mine = (scale[source][index] - forms @ weights)[is_class]
    border = valley(mine, evidence.seed)
    if border is None:
        return None
    above, has = mine > border, hit.candidate.presence[source][index[is_class]] > 0.5
    is_high = bool(has[above].mean() >= has[~above].mean())
    presence = {}
    for split, part in scale.items():
        every = _forms(evidence, split, np.arange(len(part), dtype=np.int64), name, typical)
        presence[split] = ((part - every @ weights > border) == is_high).astype(np.float32)
    return Candidate(name, HIGH if is_high else LOW, presence)


def _grey(evidence: Evidence, hit: Hit, values: Mapping[str, NDArray[np.float64]]) -> Candidate | None:
    """Images without colour, if the hit is about them. Their pixels cannot get colours back, so the rest of the image always explains them."""
    mine = evidence.label(evidence.source) == hit.label_index
    own, has = values[evidence.source][mine], hit.candidate.presence[evidence.source][mine] > 0.5
    grey, between = own <= _NO_COLOUR, (own > _NO_COLOUR) & (own <= 3 * _NO_COLOUR)
    if not _FEWEST_GREY <= grey.sum() < len(own) or between.sum() > _MOST_BETWEEN * grey.sum():
        return None
    if 2 * grey[has].sum() < has.sum():  # most carriers of the hit have colours
        return None
    return Candidate(
        hit.candidate.column, GREY, {split: (part <= _NO_COLOUR).astype(np.float32) for split, part in values.items()}
    )


def _chosen(evidence: Evidence, y: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Training images of the class and of the others, and which of them are of the class."""
    is_class = evidence.label(evidence.source) == y
    index = np.sort(np.concatenate([spaced(np.flatnonzero(side), _MOST) for side in (is_class, ~is_class)]))
    return index, is_class[index]


def _forms(evidence: Evidence, split: str, index: NDArray[np.int64], name: str, typical: float) -> NDArray[np.float64]:
    thin = evidence.once("thinned images", split, lambda: _Thinned(evidence, split))
    parts = [
        _known(of_pixels.forms(thin.read(index[start : start + _BATCH]), name, typical))
        for start in range(0, len(index), _BATCH)
    ]
    return np.concatenate(parts)


class _Thinned:
    """The images of a split with few pixels, each read once: several properties are examined, and reading takes most of the time."""

    def __init__(self, evidence: Evidence, split: str) -> None:
        inputs = evidence.inputs(split)
        assert inputs is not None
        assert not isinstance(inputs, Texts | Vectors)
        self._inputs, self._is_read = inputs, np.zeros(len(inputs), dtype=bool)
        shape = of_pixels.thinned(inputs.read(np.arange(1, dtype=np.int64))).shape[1:]
        self._pixels = np.empty((len(inputs), *shape), dtype=np.uint8)  # takes memory only where it is written

    def read(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        missing = index[~self._is_read[index]]
        if len(missing):
            self._pixels[missing] = of_pixels.thinned(self._inputs.read(missing))
            self._is_read[missing] = True
        return self._pixels[index]


def _known(forms: NDArray[np.float32] | None) -> NDArray[np.float64]:
    assert forms is not None  # a hit that was found by changing the property
    return forms.astype(np.float64)


def _explained(
    values: NDArray[np.float64], forms: NDArray[np.float64], label: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weights [d] of the forms [n, d] that explain the values [n] within the classes (ridge regression)."""
    inside = np.column_stack([values, forms])
    for y in np.unique(label):
        inside[label == y] -= np.median(inside[label == y], axis=0)
    target, rest = inside[:, 0], inside[:, 1:]
    scale = np.maximum(rest.std(axis=0), 1e-9)
    rest = rest / scale
    penalty = _RIDGE * len(rest) * np.eye(rest.shape[1])
    return np.asarray(np.linalg.solve(rest.T @ rest + penalty, rest.T @ target) / scale)
