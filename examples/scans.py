"""Generates scans of two hospitals: scans/*.png and scans/scans.csv. The hospital "north" writes its name into a corner of its images.

Most sick patients are from the north, so a model can use the corner instead of the scan. The table does not mark this: the
hospital is one column among others.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = {"train": 2000, "val": 800, "test": 800}
SIZE = 32


def scan(sick: bool, north: bool, rng: np.random.Generator) -> Image.Image:
    """A faint round spot (sick) or ring (healthy) in noise; a bright bar in a corner of what comes from the north."""
    pixels = rng.normal(110, 25, (SIZE, SIZE, 3))
    rows, columns = np.mgrid[:SIZE, :SIZE] - rng.uniform(8, 24, 2)[:, None, None]
    distance = np.hypot(rows, columns)
    shape = distance < 4 if sick else (distance < 5.5) & (distance > 3.5)
    pixels[shape] += rng.uniform(0, 40)
    if north:
        pixels[28:31, 2:10] = 220
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def main() -> None:
    rng = np.random.default_rng(0)
    folder = Path("scans")
    folder.mkdir(exist_ok=True)
    rows = []
    for split, count in SPLITS.items():
        for number in range(count):
            sick = bool(number % 2)
            north = bool(rng.random() < (0.8 if sick else 0.15))
            name = f"{split}-{number:04}.png"
            scan(sick, north, rng).save(folder / name)
            patient, age = f"p{len(rows):05}", int(rng.normal(60, 12))
            sex = "female" if rng.random() < 0.5 else "male"
            rows.append((name, "sick" if sick else "healthy", split, "north" if north else "south", age, sex, patient))
    with (folder / "scans.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "split", "hospital", "age", "sex", "patient"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
