"""The strips of Fig. 9: pictures of a class from easy to hard. Pixels of a data set, so for one's own eyes only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from collect import difficulty
from plan import Plan
from words import settings_of

NUM_PICTURES = 24


def save_strips(plan: Plan, out: Path, seed: int) -> None:
    """Write OUT/pictures/fig9/<class>/NN.jpg, NN from the easiest to the hardest, of one seed's scores."""
    from PIL import Image

    from spurcli.datasets import load_dataset

    for spectrum in plan.of("fig9")[1]:
        path = out / spectrum.world / f"seed{seed}" / "scores.h5"
        if not path.exists():
            print(f"fig9: {path} is not there yet: snakemake fig9", file=sys.stderr)
            continue
        world = plan.worlds[spectrum.world]
        settings = settings_of(f"{world.data} {world.train}")
        dataset = load_dataset(
            settings.dataset.name,
            settings.dataset.options,
            data_root=settings.data_root,
            image_size=settings.preprocessing.decode_size,
        )
        values, label, _, class_names, _ = difficulty(path)
        members = np.flatnonzero(label == list(class_names).index(spectrum.class_name))
        members = members[np.argsort(values[members], kind="stable")]
        chosen = members[np.linspace(0, len(members) - 1, min(NUM_PICTURES, len(members))).round().astype(int)]
        folder = out / "pictures" / "fig9" / spectrum.class_name
        folder.mkdir(parents=True, exist_ok=True)
        for place, index in enumerate(chosen):
            pixels = dataset.splits["train"].inputs.read(np.array([index], dtype=np.int64))[0]
            Image.fromarray(pixels.squeeze()).save(folder / f"{place:02d}.jpg", quality=90)
