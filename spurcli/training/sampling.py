"""Which samples an epoch visits, for methods that give every group (or class) the same weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spurcli.randomness import generator


def shuffled(positions: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """`positions` in an order that is a function of (seed, epoch)."""
    return generator("order", seed, epoch).permutation(positions)


def equally_often(positions: NDArray[np.int64], stratum: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """As many draws with replacement as there are `positions`, each from a stratum drawn evenly; empty ones do not count.

    That is sampling with weights 1 / size of the sample's stratum. `stratum` int64 [n] belongs to `positions` int64 [n].
    """
    rng = generator("balanced order", seed, epoch)
    by_stratum = np.argsort(stratum, kind="stable")
    _, start, size = np.unique(stratum[by_stratum], return_index=True, return_counts=True)
    drawn = rng.integers(0, len(size), len(positions))
    member = rng.integers(0, size[drawn])
    return np.asarray(positions[by_stratum[start[drawn] + member]])


def balanced_subset(positions: NDArray[np.int64], stratum: NDArray[np.int64], *seed: int) -> NDArray[np.int64]:
    """The same number of each non-empty stratum, that of the smallest, drawn at random without replacement; ascending.

    `seed` is one number, or several: those of one draw of many.
    """
    rng = generator("balanced subset", *seed)
    codes, size = np.unique(stratum, return_counts=True)
    chosen = [rng.choice(positions[stratum == code], size.min(), replace=False) for code in codes]
    return np.sort(np.concatenate(chosen))
