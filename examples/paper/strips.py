"""The strips of Fig. 9: pictures of a class from easy to hard. Pixels of a data set, so for one's own eyes only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from plan import Plan, settings_of

NUM_PICTURES, PER_ROW, SIDE = 24, 8, 96


def save_strips(plan: Plan, out: Path, seed: int) -> None:
    """Write OUT/pictures/fig9/<class>.jpg, from the easiest to the hardest row by row, of one seed's scores."""
    from collect import difficulty
    from PIL import Image

    from spurcli.datasets import load_dataset

    for point in plan.of("fig9"):
        path = out / point.world / f"seed{seed}" / "scores.h5"
        if not path.exists():
            print(f"fig9: {path} is not there yet: snakemake fig9", file=sys.stderr)
            continue
        world = plan.worlds[point.world]
        settings = settings_of(f"{world.data} {world.train}")
        dataset = load_dataset(
            settings.dataset.name,
            settings.dataset.options,
            data_root=settings.data_root,
            image_size=settings.preprocessing.decode_size,
        )
        values, label, _, class_names, _ = difficulty(path)
        members = np.flatnonzero(label == list(class_names).index(point.strip_of))
        members = members[np.argsort(values[members], kind="stable")]
        chosen = members[np.linspace(0, len(members) - 1, min(NUM_PICTURES, len(members))).round().astype(int)]
        strip = Image.new("RGB", (PER_ROW * SIDE, -(-len(chosen) // PER_ROW) * SIDE))
        for place, index in enumerate(chosen):
            pixels = dataset.splits["train"].inputs.read(np.array([index], dtype=np.int64))[0]
            picture = Image.fromarray(pixels.squeeze()).resize((SIDE, SIDE))
            strip.paste(picture, (place % PER_ROW * SIDE, place // PER_ROW * SIDE))
        target = out / "pictures" / "fig9" / f"{point.strip_of}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        strip.save(target, quality=90)
