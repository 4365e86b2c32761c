"""Near-duplicates across splits by perceptual hashes: a held-out image that is also in the training data is not a valid test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_BITS = 6  # bits of 256 that may differ
_BANDS = 8  # bands of 4 bytes: hashes that differ in 6 bits agree in at least one band
_MOST_ALIKE = 50  # images that agree in a band; more are plain images, not copies


def near_duplicates(hashes: Mapping[str, NDArray[np.uint8]], source: str) -> dict[str, list[tuple[int, int]]]:
    """For each other split pairs (its position, that in `source`) of images whose hashes differ in at most 6 bits."""
    bits = {split: np.unpackbits(part, axis=1).sum(axis=1) for split, part in hashes.items()}
    found: dict[str, list[tuple[int, int]]] = {}
    known = [_banded(hashes[source], band) for band in range(_BANDS)]
    for split, part in hashes.items():
        if split == source:
            continue
        pairs: dict[int, int] = {}
        for band in range(_BANDS):
            for row, key in enumerate(_keys(part, band)):
                for other in known[band].get(key, ()):
                    if row in pairs or min(bits[split][row], 256 - bits[split][row]) < 16:
                        break  # a plain image: its hash has no information
                    if int(np.unpackbits(part[row] ^ hashes[source][other]).sum()) <= _BITS:
                        pairs[row] = other
        found[split] = sorted(pairs.items())
    return found


def _banded(hashes: NDArray[np.uint8], band: int) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for row, key in enumerate(_keys(hashes, band)):
        places.setdefault(key, []).append(row)
    return {key: rows for key, rows in places.items() if len(rows) <= _MOST_ALIKE}


def _keys(hashes: NDArray[np.uint8], band: int) -> list[bytes]:
    return [row.tobytes() for row in np.ascontiguousarray(hashes[:, 4 * band : 4 * band + 4])]
