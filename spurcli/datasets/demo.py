"""The built-in demo set: real handwritten digits with clutter, composed anew for every draw.

A sample is (1 − a)·digit + a·(a digit of another class), each shifted by up to one pixel, plus noise N(0, 0.1).
The clutter a = clutter·u³, u ~ U(0, 1), is the difficulty of the core feature: one continuous, heavy-tailed scale,
the same in every split. Training, validation and test samples are made from disjoint sets of base digits.
"""

from __future__ import annotations

import gzip
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.inputs import ArrayImages
from spurcli.errors import UsageError
from spurcli.randomness import generator

# Intensities -0.4 … 1.4 (noise and the mark leave 0 … 1) map to 0 … 255; the recipe's mean and std undo it.
LOWEST, SPAN = -0.4, 1.8
_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def load(
    *,
    data_root: Path,  # noqa: ARG001 - every loader takes it; this one needs nothing on disk
    draw: int = 0,
    num_train: int = 4000,
    num_val: int = 2000,
    num_test: int = 10000,
    clutter: float = 0.6,
) -> Dataset:
    """The digits 0-9 as 16×16 grey images; `draw` determines the split of the base digits and all random numbers."""
    for name, num_samples in (("num_train", num_train), ("num_val", num_val), ("num_test", num_test)):
        if num_samples < 1:
            raise UsageError(f"dataset.options.{name} = {num_samples} is below 1", "Each split has samples.")
    if not 0 <= clutter <= 1:
        raise UsageError(f"dataset.options.clutter = {clutter} is not within 0..1", "The default is 0.6.")
    base, label = _digits()
    order = generator("demo base", draw).permutation(len(label))
    splits, start = {}, 0
    for name, num_samples in (("train", num_train), ("val", num_val), ("test", num_test)):
        stop = start + round(_SHARES[name] * len(label))
        chosen = order[start:stop]
        start = stop
        rng = generator(f"demo {name}", draw)
        splits[name] = _compose(base[chosen], label[chosen], num_samples, clutter, rng)
    return Dataset("demo", tuple(str(digit) for digit in range(10)), splits)


@cache
def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """scikit-learn's digits, enlarged to 16×16 with values in 0 … 1, and their classes; both read-only."""
    table = _digits_file()
    if table is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        table = np.column_stack([digits.data, digits.target])
    base = np.asarray(np.kron(table[:, :-1].reshape(-1, 8, 8) / 16.0, np.ones((1, 2, 2))), dtype=np.float64)
    label = table[:, -1].astype(np.int64)
    base.setflags(write=False)
    label.setflags(write=False)
    return base, label


def _digits_file() -> NDArray[np.float64] | None:
    """The table that scikit-learn ships, [1797, 64 values and the class]; None if it is not in the usual place.

    Importing scikit-learn for it would take a second, as that loads SciPy and pandas.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in (package and package.submodule_search_locations) or []:
        try:
            with gzip.open(Path(folder) / "datasets" / "data" / "digits.csv.gz", "rt", encoding="utf-8") as stream:
                table = np.array([line.split(",") for line in stream], dtype=np.float64)
        except (OSError, EOFError, ValueError):
            continue
        if table.shape == (1797, 65):
            return table
    return None


def _compose(
    base: NDArray[np.float64],
    label: NDArray[np.int64],
    num_samples: int,
    clutter: float,
    rng: np.random.Generator,
) -> Split:
    chosen = rng.integers(len(label), size=num_samples)
    other = rng.integers(len(label), size=num_samples)
    while (same := label[other] == label[chosen]).any():
        other[same] = rng.integers(len(label), size=int(same.sum()))
    amount = clutter * rng.random(num_samples)[:, None, None] ** 3
    images = (1 - amount) * _shifted(base[chosen], rng) + amount * _shifted(base[other], rng)
    images += rng.normal(0, 0.1, images.shape)
    pixels = np.clip(np.rint((images - LOWEST) / SPAN * 255), 0, 255).astype(np.uint8)
    return Split(label[chosen], ArrayImages(pixels[..., None]))


def _shifted(images: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Each image moved by -1, 0 or 1 pixel in both directions, filled with zeros."""
    num_images, height, width = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    down, right = rng.integers(3, size=(2, num_images))
    rows = down[:, None, None] + np.arange(height)[None, :, None]
    columns = right[:, None, None] + np.arange(width)[None, None, :]
    return np.asarray(padded[np.arange(num_images)[:, None, None], rows, columns])
