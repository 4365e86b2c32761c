"""Random numbers by purpose: the same seed used for two purposes must never give the same numbers.

(Carriers and their random control were once drawn with equal numbers: the control removed exactly the carriers.)
"""

from __future__ import annotations

import hashlib

import numpy as np


def generator(purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on `purpose` and `numbers` alone; counter-based, the same on every machine."""
    digest = hashlib.sha256("/".join([purpose, *map(str, numbers)]).encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
