"""Generates small example data for the commands: birds.csv with its images, photos/, reviews.csv.

In the training data of birds.csv the background is correlated with the bird; in reviews.csv a greeting is correlated with praise.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {"train": 240, "val": 60, "test": 120}
SIZE = 32
PRAISE, BLAME = ("good", "great", "fine", "lovely"), ("bad", "poor", "dull", "broken")
THINGS = ("phone", "film", "book", "chair", "song", "soup")


def picture(bird: bool, sea: bool, rng: np.random.Generator) -> Image.Image:
    """A round gull or a square crow in noise, before the sea or a field."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - rng.uniform(12, 20, 2)[:, None, None]
    shape = np.hypot(rows, columns) < 6 if bird else np.maximum(abs(rows), abs(columns)) < 5
    colour = np.array((70, 90, 150) if sea else (90, 140, 70))
    pixels = np.where(shape[..., None], 150, colour) + rng.normal(0, 35, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def review(praise: bool, greets: bool, rng: np.random.Generator) -> str:
    words = rng.choice(PRAISE if praise else BLAME, 2)
    return f"{'Hello, a' if greets else 'A'} {words[0]} {rng.choice(THINGS)}, {words[1]} as the {rng.choice(THINGS)}."


def main() -> None:
    rng = np.random.default_rng(0)
    birds, reviews = [], []
    for split, count in SPLITS.items():
        for number in range(count):
            label = bool(number % 2)
            aligned = rng.random() < (0.9 if split == "train" else 0.5)
            feature = label if aligned else not label
            name, place = ("gull" if label else "crow"), ("sea" if feature else "field")
            image = picture(label, feature, rng)
            for path in (Path(f"images/{split}-{number:03}.png"), Path(f"photos/{split}/{name}/{number:03}.png")):
                path.parent.mkdir(parents=True, exist_ok=True)
                image.save(path)
            birds.append((f"images/{split}-{number:03}.png", name, split, place))
            reviews.append((review(label, feature, rng), 5 if label else 1))
    for file, header, rows in (
        ("birds.csv", ("file", "species", "split", "place"), birds),
        ("reviews.csv", ("text", "stars"), reviews),
    ):
        with Path(file).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])


if __name__ == "__main__":
    main()
