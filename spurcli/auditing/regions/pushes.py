"""Pushes: how far the region of a donor, copied into a recipient, raises the margin of a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.shapes import Region

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Ask = Callable[[Pixels], NDArray[np.float32]]
_CHUNK_BYTES = 1 << 25


def transplanted(recipients: Pixels, donors: Pixels, region: Region) -> Pixels:
    """Each recipient with the region of each donor: uint8 [donors, recipients, height, width, channels]."""
    images = np.broadcast_to(recipients, (len(donors), *recipients.shape)).copy()
    images[:, :, region.mask] = donors[:, None, region.mask]
    return images


def answers(ask: Ask, recipients: Pixels, donors: Pixels, region: Region) -> NDArray[np.float32]:
    """Logits float32 [donors, recipients, classes] of each recipient with the region of each donor."""
    per_donor = max(1, recipients.nbytes)
    step = max(1, _CHUNK_BYTES // per_donor)
    parts = []
    for start in range(0, len(donors), step):
        images = transplanted(recipients, donors[start : start + step], region)
        logits = ask(images.reshape(-1, *images.shape[2:]))
        parts.append(logits.reshape(len(images), len(recipients), -1))
    return np.concatenate(parts)


def margins(logits: NDArray[np.float32], y: int) -> Floats:
    """z_y less the highest other logit, float64 [...], of logits [..., classes]."""
    others = np.delete(logits, y, axis=-1).max(axis=-1)
    return np.asarray(logits[..., y].astype(np.float64) - others)


@dataclass(frozen=True)
class Scale:
    """What turns margins [donors, recipients] into one push a donor: of each recipient, the middle and the spread."""

    middle: Floats
    spread: Floats

    @classmethod
    def of(cls, found: Floats) -> Scale:
        """The median over donors, and 1.48 times the median absolute deviation from it, kept away from zero."""
        middle = np.median(found, axis=0)
        spread = 1.4826 * np.median(np.abs(found - middle), axis=0)
        typical = float(np.median(spread))
        if not typical > 0:
            typical = float(found.std()) or 1.0
        return cls(middle, np.maximum(spread, typical / 4))

    def push(self, found: Floats) -> Floats:
        """Push float64 [donors]: the mean over recipients of (margin − middle) / spread."""
        return np.asarray(((found - self.middle) / self.spread).mean(axis=-1))
