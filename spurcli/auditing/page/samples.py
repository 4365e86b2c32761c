"""Samples as a page shows them: pictures as data URIs with the region drawn, texts with words marked."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.terms import cut, spans
from spurcli.datasets import Inputs, Texts
from spurcli.datasets.inputs import files_of
from spurcli.errors import InputError

_LOSSLESS = 96  # up to this many pixels per side an image is stored as PNG, else as JPEG
_SMALL = 64  # up to this many pixels per side, pixels are shown as squares
_MAX_CHARACTERS = 1200
_QUALITY = 88


@dataclass(frozen=True)
class Shown:
    """A sample: an image as a data URI of `width` × `height`, or its texts, each in pieces that are marked or not.

    `box` is the region in percent of the image: left, top, width, height.
    """

    uri: str = ""
    width: int = 0
    height: int = 0
    texts: Sequence[Sequence[tuple[str, bool]]] = ()
    box: tuple[float, float, float, float] | None = None

    @property
    def is_small(self) -> bool:
        return 0 < max(self.width, self.height) <= _SMALL


def show(
    inputs: Inputs, indices: NDArray[np.int64], *, max_side: int = 256, where: JsonObject | None = None
) -> list[Shown]:
    """The samples at `indices`; `where` is the location in a finding: {"box": …} or {"words": …}."""
    where = where or {}
    if isinstance(inputs, Texts):
        words = [word for word in where.get("words") or [] if isinstance(word, str) and word]
        return [Shown(texts=[list(_pieces(_cut(text), words)) for text in sample]) for sample in inputs.read(indices)]
    box, files = where.get("box"), files_of(inputs)
    if files is not None and files.size < max_side:  # a model's small input hides what a person could recognise
        return [_picture(files.large(index, max_side), max_side, box, files.size) for index in indices.tolist()]
    pixels = inputs.read(indices)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise InputError("The samples are not images, so they cannot be shown", "Use images of one or three channels.")
    return [_picture(array, max_side, box) for array in pixels]


def _picture(array: NDArray[np.uint8], max_side: int, box: Any, size: int = 0) -> Shown:
    """`box` is in pixels of the array, or of the square of `size` pixels that the model gets."""
    from PIL import Image

    height, width = (size, size) if size else array.shape[:2]
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    if max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    kind = "png" if max(image.size) <= _LOSSLESS else "jpeg"
    image.save(buffer, format=kind.upper(), **({"optimize": True} if kind == "png" else {"quality": _QUALITY}))
    uri = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Shown(uri, *image.size, box=_percent(box, height, width))


def _percent(box: Any, height: int, width: int) -> tuple[float, float, float, float] | None:
    if box is None:
        return None
    top, left, bottom, right = (min(max(side, 0), end) for side, end in zip(box, (height, width) * 2, strict=True))
    if top >= bottom or left >= right:
        return None
    return 100 * left / width, 100 * top / height, 100 * (right - left) / width, 100 * (bottom - top) / height


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def _pieces(text: str, words: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """The text in pieces, whole words (or phrases) of `words` marked, as the audit counts them."""
    found = sorted({span for word in words for span in spans(text, tuple(cut(word)))})
    place = 0
    for start, end in found:
        if start < place:
            continue  # within another one
        if start > place:
            yield text[place:start], False
        yield text[start:end], True
        place = end
    if place < len(text):
        yield text[place:], False
