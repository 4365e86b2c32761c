"""Which regions of an image are tried: cells of two grids, half-overlapping bands, rings along the border, the centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The cells of the grid of four by four, row by row.
_PLACES = (
    ("upper left corner", "top left of centre", "top right of centre", "upper right corner"),
    ("left edge above centre", "centre upper left", "centre upper right", "right edge above centre"),
    ("left edge below centre", "centre lower left", "centre lower right", "right edge below centre"),
    ("lower left corner", "bottom left of centre", "bottom right of centre", "lower right corner"),
)


@dataclass(frozen=True)
class Region:
    """A set of pixels, `mask` bool [height, width], and the smallest `box` around it: top, left, bottom, right."""

    name: str
    mask: NDArray[np.bool_]

    @property
    def box(self) -> tuple[int, int, int, int]:
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def where(self) -> str:
        """The region in words, for a sentence."""
        top, left, bottom, right = self.box
        words = f"rows {top} to {bottom - 1}, columns {left} to {right - 1}"
        return words if self.mask[top:bottom, left:right].all() else f"the border within {words}"


def rectangle(height: int, width: int, box: tuple[int, int, int, int], name: str = "region") -> Region:
    """The pixels of a box: top, left, bottom, right, the last two exclusive."""
    top, left, bottom, right = box
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = True
    return Region(name, mask)


def coarse(height: int, width: int) -> list[Region]:
    """The regions tried first: 4×4 cells, bands an eighth of the image wide and half-overlapping, two rings, the centre."""
    found = _grid(height, width, 4)
    for name, length in (("rows", height), ("columns", width)):
        step = max(1, length // 16)
        for start in range(0, length - step, step):
            stop = min(start + 2 * step, length)
            box = (start, 0, stop, width) if name == "rows" else (0, start, height, stop)
            found.append(rectangle(height, width, box, f"{name} {start}-{stop - 1}"))
    for part in (16, 8):
        thick = max(1, min(height, width) // part)
        ring = np.ones((height, width), dtype=bool)
        ring[thick : height - thick, thick : width - thick] = False
        found.append(Region(f"border {thick}", ring))
    found.append(rectangle(height, width, (height // 4, width // 4, 3 * height // 4, 3 * width // 4), "centre"))
    return _distinct(found)


def finer(region: Region) -> list[Region]:
    """Parts of a region: halves and quarters of its box that are at least a pixel wide; none of a ring."""
    height, width = region.mask.shape
    top, left, bottom, right = region.box
    if not region.mask[top:bottom, left:right].all():
        return []
    down, across = (top + bottom) // 2, (left + right) // 2
    is_band = (right - left) == width or (bottom - top) == height
    found = []
    for name, part in (
        ("top", (top, left, down, right)),
        ("bottom", (down, left, bottom, right)),
        ("left", (top, left, bottom, across)),
        ("right", (top, across, bottom, right)),
        ("top left", (top, left, down, across)),
        ("top right", (top, across, down, right)),
        ("bottom left", (down, left, bottom, across)),
        ("bottom right", (down, across, bottom, right)),
    ):
        if part[0] < part[2] and part[1] < part[3] and not (is_band and " " in name):
            found.append(rectangle(height, width, part, f"{region.name}, {name} part"))
    return [part for part in _distinct(found) if part.mask.sum() < region.mask.sum()]


def _grid(height: int, width: int, parts: int) -> list[Region]:
    rows = np.linspace(0, height, min(parts, height) + 1).astype(int).tolist()
    columns = np.linspace(0, width, min(parts, width) + 1).astype(int).tolist()
    has_places = len(rows) == len(columns) == len(_PLACES) + 1
    return [
        rectangle(
            height,
            width,
            (rows[i], columns[j], rows[i + 1], columns[j + 1]),
            _PLACES[i][j] if has_places else f"cell {i + 1},{j + 1}",
        )
        for i in range(len(rows) - 1)
        for j in range(len(columns) - 1)
    ]


def _distinct(regions: list[Region]) -> list[Region]:
    """Without those that cover the same pixels as an earlier one, or the whole image."""
    seen: set[bytes] = set()
    kept = []
    for region in regions:
        key = region.mask.tobytes()
        if key not in seen and region.mask.any() and not region.mask.all():
            kept.append(region)
        seen.add(key)
    return kept
