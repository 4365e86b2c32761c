"""Properties of images, computed from their pixels; some of them can be changed in an image to test the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # [m, height, width, channels]
Floats = NDArray[np.float32]
_PARTS, _LARGEST = 16, 64  # of the sorted pixel values, and pixels per side of the images whose values are sorted
_TAILS = (
    0.002,
    0.01,
)  # shares of the darkest and brightest values, whose ends say how far the values of an image reach
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Property:
    """`measure` gives float32 [m]; `change` the same images with the property at a wanted value, as far as pixels allow.

    `beside` gives float32 [m, d], what the change leaves as it is and natural images share with the property. A change of a property with a `least` value multiplies it,
    so its logarithm is compared, of at least this value.
    """

    measure: Callable[[Floats], Floats]
    change: Callable[[Floats, float], Floats] | None = None
    needs_colour: bool = False
    beside: Callable[[Floats], Floats] | None = None
    least: float = 0.0


def measured(pixels: Pixels) -> dict[str, Floats]:
    """All properties of some images by name, float32 [m] each."""
    values = pixels.astype(np.float32)
    return {
        name: each.measure(values) for name, each in PROPERTIES.items() if not each.needs_colour or pixels.shape[3] == 3
    }


def changed(pixels: Pixels, name: str, wanted: float) -> Pixels | None:
    """The images with a property at the value `wanted`; None for a property that cannot be changed by itself."""
    change = PROPERTIES[name].change
    if change is None:
        return None
    return np.clip(np.rint(change(pixels.astype(np.float32), wanted)), 0, 255).astype(np.uint8)


def thinned(pixels: Pixels) -> Pixels:
    """Every second, third, … row and column of large images, at most 64 pixels per side."""
    step = -(-max(pixels.shape[1:3]) // _LARGEST)
    return np.ascontiguousarray(pixels[:, ::step, ::step])


def forms(pixels: Pixels, name: str, wanted: float) -> Floats | None:
    """What the images look like apart from the property, float32 [m, d]: means of sixteenths of the sorted pixel values, with the property at
    the value `wanted`, and their ends; and what is `beside` the property. A change of the property does not change them, except where pixels were cut off at 0 or 255.
    None as of `changed`.
    """
    known = PROPERTIES[name]
    if known.change is None:
        return None
    values = pixels.astype(np.float32)
    changed = known.change(values, wanted)
    flat = np.sort(changed.reshape(len(changed), -1, changed.shape[3]), axis=1)
    parts = [part.mean(axis=1) for part in np.array_split(flat, min(_PARTS, flat.shape[1]), axis=1)]
    last = flat.shape[1] - 1
    ends = [flat[:, round(place * last)] for share in (0.0, *_TAILS) for place in (share, 1 - share)]
    beside = [] if known.beside is None else [known.beside(values)]
    return _float32(np.concatenate([*parts, *ends, *beside], axis=1))


def scaled(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Values of a property on the scale on which a change moves all images equally far."""
    least = PROPERTIES[name].least
    return np.log(np.maximum(values, least)) if least else values


def _float32(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float32)


def _grey(values: Floats) -> Floats:
    return _float32(values @ _LUMA if values.shape[3] == 3 else values.mean(axis=3))


def _border_mask(values: Floats) -> NDArray[np.bool_]:
    height, width = values.shape[1:3]
    ring = max(1, min(height, width) // 16)
    mask = np.ones((height, width), dtype=bool)
    mask[ring:-ring, ring:-ring] = False
    return mask


def _brightness(values: Floats) -> Floats:
    return _float32(_grey(values).mean(axis=(1, 2)))


def _contrast(values: Floats) -> Floats:
    return _float32(_grey(values).std(axis=(1, 2)))


def _saturation(values: Floats) -> Floats:
    highest = values.max(axis=3)
    return _float32(((highest - values.min(axis=3)) / np.maximum(highest, 1)).mean(axis=(1, 2)))


def _hue(values: Floats) -> Floats:
    """Mean hue in degrees: the direction of the mean colour, weighted by the saturation of each pixel."""
    red, green, blue = np.moveaxis(values, 3, 0)
    across, along = np.sqrt(3) * (green - blue), 2 * red - green - blue
    angle = np.degrees(np.arctan2(across.mean(axis=(1, 2)), along.mean(axis=(1, 2))))
    return _float32(angle % 360)


def _sharpness(values: Floats) -> Floats:
    """log of the mean square of the Laplacian, less that of the contrast: fine detail as a share of all."""
    grey = _grey(values)
    middle = grey[:, 1:-1, 1:-1]
    edges = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * middle
    if not edges.size:
        return np.zeros(len(values), dtype=np.float32)
    return _float32(np.log((edges**2).mean(axis=(1, 2)) + 1) - np.log(grey.var(axis=(1, 2)) + 1))


def _border(channel: int | None) -> Callable[[Floats], Floats]:
    def measure(values: Floats) -> Floats:
        ring = values[:, _border_mask(values)]
        return _float32(ring.mean(axis=(1, 2)) if channel is None else ring[:, :, channel].mean(axis=1))

    return measure


def _inside_border(values: Floats) -> Floats:
    """Means of the four sides of two rings inside the border, float32 [m, 8 · channels]: natural images go on at the border."""
    height, width = values.shape[1:3]
    ring, found = max(1, min(height, width) // 16), []
    for inset in (ring, 2 * ring):
        inner = values[:, inset : height - inset, inset : width - inset]
        if min(inner.shape[1:3]) <= ring:
            continue
        sides = inner[:, :ring], inner[:, -ring:], inner[:, :, :ring], inner[:, :, -ring:]
        found += [side.mean(axis=(1, 2)) for side in sides]
    return _float32(np.concatenate(found, axis=1)) if found else np.zeros((len(values), 0), dtype=np.float32)


def _border_variation(values: Floats) -> Floats:
    """Standard deviation along the border: near zero in a frame of one colour."""
    return _float32(values[:, _border_mask(values)].std(axis=1).mean(axis=1))


def _shift(values: Floats, wanted: float) -> Floats:
    return _float32(values + (wanted - _brightness(values))[:, None, None, None])


def _stretch(values: Floats, wanted: float) -> Floats:
    centre = values.mean(axis=(1, 2), keepdims=True)
    return _float32(centre + (values - centre) * (wanted / np.maximum(_contrast(values), 1))[:, None, None, None])


def _colour(values: Floats, wanted: float) -> Floats:
    grey = _grey(values)[..., None]
    factor = np.clip(wanted / np.maximum(_saturation(values), 1e-3), 0, 4)[:, None, None, None]
    return _float32(grey + (values - grey) * factor)


def _paint(channel: int | None) -> Callable[[Floats, float], Floats]:
    def change(values: Floats, wanted: float) -> Floats:
        mask, painted = _border_mask(values), values.copy()
        delta = wanted - _border(channel)(values)
        if channel is None:
            painted[:, mask] += delta[:, None, None]
        else:
            painted[:, mask, channel] += delta[:, None]
        return painted

    return change


PROPERTIES: Mapping[str, Property] = {
    "brightness": Property(_brightness, _shift),
    "contrast": Property(_contrast, _stretch, least=1.0),
    "saturation": Property(_saturation, _colour, needs_colour=True, least=0.01),
    "hue": Property(_hue, needs_colour=True),
    "sharpness": Property(_sharpness),
    "border brightness": Property(_border(None), _paint(None), beside=_inside_border),
    "border red": Property(_border(0), _paint(0), needs_colour=True, beside=_inside_border),
    "border green": Property(_border(1), _paint(1), needs_colour=True, beside=_inside_border),
    "border blue": Property(_border(2), _paint(2), needs_colour=True, beside=_inside_border),
    "border variation": Property(_border_variation),
}


def hashes(pixels: Pixels) -> NDArray[np.uint8]:
    """A perceptual hash of each image, uint8 [m, 32]: which of two neighbours on a 17 × 16 grid is brighter (dHash, 256 bits)."""
    grey = _grey(pixels.astype(np.float32))
    return np.packbits(np.diff(_resized(grey, 16, 17), axis=2).reshape(len(grey), -1) > 0, axis=1)


def _resized(grey: Floats, height: int, width: int) -> Floats:
    """Means of equal blocks (nearest rows and columns where the image is smaller)."""
    rows = (np.arange(height) * grey.shape[1]) // height
    columns = (np.arange(width) * grey.shape[2]) // width
    if grey.shape[1] < height or grey.shape[2] < width:
        return _float32(grey[:, rows][:, :, columns])
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=1), columns, axis=2)
    sizes = np.diff(np.append(rows, grey.shape[1]))[:, None] * np.diff(np.append(columns, grey.shape[2]))[None]
    return _float32(sums / sizes)
