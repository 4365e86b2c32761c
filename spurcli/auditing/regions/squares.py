"""Images as few enough values: means over squares of pixels, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.regions.pushes import Pixels

Floats = NDArray[np.float64]
MOST_VALUES = 768  # of an image; larger ones are averaged over squares


@dataclass(frozen=True)
class Squares:
    """Images [n, height, width, channels] as values [n, d], means over squares of `side` pixels, and back."""

    shape: tuple[int, int, int]
    side: int

    @classmethod
    def of(cls, shape: tuple[int, int, int], most: int = MOST_VALUES) -> Squares:
        side, (height, width, channels) = 1, shape
        while -(-height // side) * -(-width // side) * channels > most and side < max(height, width):
            side += 1
        return cls(shape, side)

    @property
    def grid(self) -> tuple[int, int]:
        return -(-self.shape[0] // self.side), -(-self.shape[1] // self.side)

    def values(self, pixels: Pixels) -> Floats:
        height, width, channels = self.shape
        (tall, wide), side = self.grid, self.side
        more = ((0, 0), (0, tall * side - height), (0, wide * side - width), (0, 0))
        padded = np.pad(pixels, more, mode="edge").reshape(len(pixels), tall, side, wide, side, channels)
        return np.asarray(padded.mean(axis=(2, 4), dtype=np.float64).reshape(len(pixels), -1))

    def images(self, values: Floats) -> Floats:
        """Each value over its whole square, float64 [n, height, width, channels]."""
        wide = values.reshape(len(values), *self.grid, self.shape[2])
        return np.asarray(wide.repeat(self.side, axis=1).repeat(self.side, axis=2)[:, : self.shape[0], : self.shape[1]])
