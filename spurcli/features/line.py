"""The vertical line of CIFAR-10S."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import UsageError
from spurcli.features import gaussian


def line(
    pixels: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    channel: int = 0,
    position: int = 16,
    width: int = 1,
    value: int = 255,
    noise: float = 0.0,
) -> NDArray[np.uint8]:
    """Set `width` columns from `position` of one channel to `value` (0-255), plus Gaussian noise of sd `noise`.

    Width is the strength of the feature (S1 < S2 < S3 in the paper, Sec. 2); its noise makes it harder to learn.
    """
    height, image_width, channels = pixels.shape
    if not (0 <= channel < channels and position >= 0 and width >= 1 and position + width <= image_width):
        raise UsageError(
            f"A line {width} wide at column {position} of channel {channel} does not fit {image_width}×{height}×{channels}",
            f"Add {_fitting(channel, width, pixels.shape)}",
        )
    changed = pixels.copy()
    column = np.full((height, width), float(value))
    if noise:
        column += gaussian(rng, noise, column.shape)
    changed[:, position : position + width, channel] = np.clip(np.rint(column), 0, 255)
    return changed


def _fitting(channel: int, width: int, shape: tuple[int, ...]) -> str:
    """The settings that put the line into the middle of images of this shape."""
    _, image_width, channels = shape
    settings = []
    if not 1 <= width <= image_width:
        width = 1
        settings.append("--set feature.width=1")
    if not 0 <= channel < channels:
        settings.append("--set feature.channel=0")
    return " ".join([f"--set feature.position={(image_width - width) // 2}", *settings])
