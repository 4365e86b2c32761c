"""A square patch in a corner, set or added."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import UsageError
from spurcli.features import gaussian

_CORNERS = ("top-left", "top-right", "bottom-left", "bottom-right")


def patch(
    pixels: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    size: int = 3,
    corner: str = "top-left",
    value: int = 255,
    mode: str = "set",
    noise: float = 0.0,
) -> NDArray[np.uint8]:
    """Set a `size`×`size` corner of all channels to `value`, or add `value` to it (`mode` = set / add).

    `noise` is the standard deviation of Gaussian noise on the patch, in pixel units of 0-255.
    """
    height, width, _ = pixels.shape
    if corner not in _CORNERS or mode not in ("set", "add") or not 1 <= size <= min(height, width):
        raise UsageError(
            f"A patch of size {size}, corner {corner!r}, mode {mode!r} does not fit a {width}×{height} image",
            f"Corners: {', '.join(_CORNERS)}; modes: set, add.",
        )
    rows = slice(0, size) if corner.startswith("top") else slice(height - size, height)
    columns = slice(0, size) if corner.endswith("left") else slice(width - size, width)
    changed = pixels.astype(np.float64)
    region = changed[rows, columns]
    region[...] = value if mode == "set" else region + value
    if noise:
        region += gaussian(rng, noise, region.shape)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
