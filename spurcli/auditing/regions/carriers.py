"""Which samples carry the content of a region of a class: a probability for every sample of every split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.lumps import Lumps, lumps
from spurcli.auditing.regions.pushes import Ask, Pixels, Scale, answers, margins
from spurcli.auditing.regions.search import Floats, joint, strongest
from spurcli.auditing.regions.shapes import Region
from spurcli.auditing.regions.templates import Whitening, along, crossed, templates, tops, values_of

Read = Callable[[str, NDArray[np.int64]], Pixels]
_CHUNK = 2048
_TOLD_BY_PIXELS = 2.0  # minimum separation along the template to identify carriers of other classes


@dataclass(frozen=True)
class Carriers:
    """`presence` {split: float32 [n]}; `separation` of the two parts of the class's training samples, in spreads."""

    presence: dict[str, NDArray[np.float32]]
    separation: float


def carriers(
    ask: Ask,
    read: Read,
    labels: Mapping[str, NDArray[np.int64]],
    y: int,
    region: Region,
    recipients: Pixels,
    *,
    most: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Carriers:
    """Push and template of every sample of class y, from the model's answers; of other classes by the template alone.

    NaN where it is not known: samples of other classes if the template does not separate, and those beyond the `most`
    of a class that the budget allows.
    """
    mine = np.flatnonzero(labels["train"] == y)
    if most is not None and len(mine) > most:
        mine = np.sort(np.random.default_rng(0).permutation(mine)[:most])
    raw, values = _asked(ask, read, "train", mine, y, region, recipients, advance)
    scale = Scale.of(raw)
    push = scale.push(raw)
    of_push, best = strongest(push[None], crossed(values, tops(push))[None])
    both = lumps(joint(of_push, best, push[None], 0)[None])
    whitening = Whitening.of(values)
    white = whitening(values)
    direction = templates(white, both.upper)
    # the template of all replaces those of the folds, on the same scale
    own = along(white, direction)[0]
    along_folds = best.values[0]
    stretch = float(np.std(along_folds) / max(np.std(own), 1e-9))
    offset = float(np.median(along_folds) - stretch * np.median(own))
    presence = {split: np.full(len(label), np.nan, dtype=np.float32) for split, label in labels.items()}
    presence["train"][mine] = both.upper[0]
    tells = float(best.found.separation[0]) >= _TOLD_BY_PIXELS and float(best.found.gain[0]) > 0
    for split, label in labels.items():
        if split != "train":
            same = np.flatnonzero(label == y)[:most]
            if len(same):
                raw, values = _asked(ask, read, split, same, y, region, recipients, advance)
                projected = offset + stretch * along(whitening(values), direction)[0]
                presence[split][same] = _of_both(of_push, best.found, both, scale.push(raw), projected)
        if not tells:
            continue
        others = np.flatnonzero(label != y)
        for start in range(0, len(others), _CHUNK):
            part = others[start : start + _CHUNK]
            projected = offset + stretch * along(whitening(values_of(read(split, part), region.mask)), direction)[0]
            presence[split][part] = best.found.of(projected)
    return Carriers(presence, float(both.separation[0]))


def _of_both(of_push: Lumps, of_template: Lumps, both: Lumps, push: Floats, projected: Floats) -> Floats:
    first = (push - of_push.low[0]) / max(of_push.low_spread[0], 1e-9)
    second = (projected - of_template.low[0]) / max(of_template.low_spread[0], 1e-9)
    return both.of(first + second)


def _asked(
    ask: Ask,
    read: Read,
    split: str,
    index: NDArray[np.int64],
    y: int,
    region: Region,
    recipients: Pixels,
    advance: Callable[[int], None],
) -> tuple[Floats, Floats]:
    """Margins [n, recipients] and the region's pixels [n, values] of some samples."""
    found, values = [], []
    for start in range(0, len(index), _CHUNK):
        pixels = read(split, index[start : start + _CHUNK])
        found.append(margins(answers(ask, recipients, pixels, region), y))
        values.append(values_of(pixels, region.mask))
        advance(len(pixels) * len(recipients))
    return np.concatenate(found), np.concatenate(values)
