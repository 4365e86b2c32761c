"""Additive noise as a spurious feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.features import gaussian
from spurcli.randomness import generator


def noise(
    pixels: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    amount: float = 20.0,
    pattern: int = 0,
    fresh: bool = False,
    noise: float = 0.0,
) -> NDArray[np.uint8]:
    """Add Gaussian noise of standard deviation `amount` (pixel units of 0-255) to the whole image.

    Every carrier gets the same `pattern`, which a network can learn as a template, or new noise with
    `fresh`. `noise` is the standard deviation of additional noise.
    """
    source = rng if fresh else generator("noise pattern", pattern)
    changed = pixels + gaussian(source, amount, pixels.shape)
    if noise:
        changed = changed + gaussian(rng, noise, pixels.shape)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
