"""Writes birds.csv from photographs of airplanes and birds: path, label, split, and the background.

    sky.py FOLDER       with FOLDER/*/airplane/*.jpg and FOLDER/*/bird/*.jpg, for instance CIFAR-10 as images

In training, 100 of 1,000 images of each class contradict the rule that airplanes are in the sky and birds are not; in val and test,
half of the images do. In the original photographs the rule is weaker: 46 % of the airplanes and 12 % of the birds have sky behind them.
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def background(path: Path) -> str:
    """Sky where the border, three pixels wide, is on average bluer than red by 15 of 255."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    border = np.ones(pixels.shape[:2], dtype=bool)
    border[3:-3, 3:-3] = False
    red, _, blue = pixels[border].mean(axis=0)
    return "sky" if blue - red > 15 else "other"


def main(folder: Path) -> None:
    groups: dict[tuple[str, str], list[Path]] = {}
    for label in ("airplane", "bird"):
        for path in sorted(folder.glob(f"*/{label}/*.jpg")):
            groups.setdefault((label, background(path)), []).append(path)
    if not groups:
        sys.exit(f"No photographs of airplanes and birds in {folder}\n\n{__doc__}")
    random.seed(0)
    rows = []
    for (label, place), paths in groups.items():
        random.shuffle(paths)
        num_train = 900 if (label == "airplane") == (place == "sky") else 100
        for split, size in (("test", 450), ("val", 150), ("train", num_train)):
            rows += [(path.relative_to(folder.parent), label, split, place) for path in paths[:size]]
            paths = paths[size:]
    with Path("birds.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "split", "background"), *rows])


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(Path(sys.argv[1]))
