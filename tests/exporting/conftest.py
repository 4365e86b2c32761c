"""A small folder of images with scores and a list, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import spurcli as package

PLACES = ("sea", "field")


def write_birds(folder: Path) -> None:
    """birds.csv and its images: 16 of train, 4 of val, 4 of test; two classes, two places."""
    lines = ["file,species,split,place"]
    rng = np.random.default_rng(0)
    for number in range(24):
        split = "train" if number < 16 else "val" if number < 20 else "test"
        name = f"images/{'a' if number % 3 else 'b'}/{number // 2}.v{number % 2}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
        lines.append(f"{name},{('crow', 'gull')[number % 2]},{split},{PLACES[number // 2 % 2]}")
    (folder / "birds.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def made_birds(tmp_path_factory) -> Path:
    """birds.csv, scores.h5 by the untrained model, keep.txt without a quarter of each class, groups.txt."""
    folder = tmp_path_factory.mktemp("birds")
    write_birds(folder)
    roles = {
        f"dataset.options.{role}": name
        for role, name in (("image", "file"), ("label", "species"), ("attribute", "place"))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = {**roles, "preprocessing.image_size": 8}
        package.score(dataset="birds.csv", recipe="own-images-cpu", epoch=0, set=settings, workers=0)
        package.prune(fraction="0.25", per_class=True)
        package.prune(fraction="0.25", per_class=True, kind="remove")
    return folder


@pytest.fixture
def birds(made_birds, tmp_path, spurcli) -> Path:
    """A copy of `made_birds`, the current folder."""
    shutil.copytree(made_birds, tmp_path, dirs_exist_ok=True)
    return tmp_path
