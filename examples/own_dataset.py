"""Your own data set: one function that returns `Dataset`. Name it as own_dataset.py:shapes.

Circles and squares; the brightness of the background is correlated with the shape in training, but not in the test split.
Replace the drawing of the pictures with your own reading of files. Keep the order fixed: an index is a position in this order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spurcli.datasets import ArrayImages, Dataset, Split

SIZE = 16


def shapes(*, data_root: Path, num_train: int = 1000, aligned: float = 0.95) -> Dataset:  # noqa: ARG001
    """Keyword arguments become options: --set dataset.options.aligned=0.9."""
    splits = {
        "train": draw(num_train, aligned, seed=0),
        "val": draw(400, 0.5, seed=1),
        "test": draw(1000, 0.5, seed=2),
    }
    return Dataset("shapes", ("circle", "square"), splits, attribute_names=("dark", "bright"))


def draw(num_samples: int, aligned: float, seed: int) -> Split:
    """`label` says the shape, `attribute` the background; `aligned` is how often the two agree."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=num_samples)
    attribute = np.where(rng.random(num_samples) < aligned, label, 1 - label)
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    circle = np.hypot(rows, columns) < 4.5
    square = np.maximum(abs(rows), abs(columns)) < 4
    pixels = np.where(attribute == 1, 130, 115)[:, None, None] + rng.normal(0, 40, (num_samples, SIZE, SIZE))
    pixels += rng.uniform(20, 120, num_samples)[:, None, None] * np.where(label[:, None, None], square, circle)
    images = ArrayImages(np.clip(pixels, 0, 255).astype(np.uint8)[..., None])
    return Split(label.astype(np.int64), images, attribute.astype(np.int64))
