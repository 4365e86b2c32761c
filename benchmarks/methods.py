"""Training speed of each method against ERM in the same loop, per sample seen.

    python benchmarks/methods.py [--repeats 9] [--tiny]

All sides run alternately in this process, from the same weights, on the same number of batches per round. The script prints the speed
relative to ERM: 1 costs nothing. `--tiny`: see train.py.
"""

from __future__ import annotations

import statistics
from functools import partial

import numpy as np
import torch
from train import TINY_SIDE, asked, race, run_context  # the benchmark beside this one

from spurcli.runtime.context import RunContext
from spurcli.session import configure
from spurcli.training import Trainer, fit
from spurcli.training.method import Annotation, TrainingSamples, build_method

NUM_SAMPLES, BATCH, NUM_STEPS = 2040, 68, 30
# PDE's second half, where it differs from SUBG
METHODS = {
    "erm": {},
    "group_dro": {},
    "jtt": {"upweight": 20},
    "rwg": {},
    "pde": {"warmup_epochs": 1, "expansion_size": 500, "expansion_interval": 1, "rate_after_warmup": 1.0},
    "cnc": {},
}
CASES = {
    # name: recipe, its changes, image
    "demo's mlp": ("demo", {}, (16, 16, 1)),
    "small_cnn": ("cifar10-cpu", {"preprocessing.flip": False, "training.schedule": "constant"}, (32, 32, 3)),
    "ResNet-20": (
        "cifar10",
        {"preprocessing.flip": False, "preprocessing.crop_padding": 0, "training.schedule": "constant"},
        (32, 32, 3),
    ),
}


def trained(context: RunContext, name: str, num_steps: int) -> None:
    """Train a number of updates by one method."""
    label = context.dataset.splits["train"].label
    attribute = np.where(np.arange(NUM_SAMPLES) % 10 == 0, (label + 1) % 10, label)
    names = tuple(f"{y}/{a}" for y in range(10) for a in range(10))
    groups = Annotation(label * 10 + attribute, "made up", names)
    errors = Annotation(np.flatnonzero(attribute != label), "made up")
    kept = np.arange(NUM_SAMPLES, dtype=np.int64)
    samples = TrainingSamples(kept, label, 10, BATCH, groups, errors)
    trainer = Trainer(
        model=context.model(0),
        method=build_method(name, METHODS[name], samples),
        feed=context.feed(context.dataset.splits["train"].inputs),
        preprocess=context.preprocess(),
        label=torch.from_numpy(label),
        groups=groups,
        num_classes=10,
        settings=context.settings.training,
        seed=0,
    )
    records = fit(trainer, until_epoch=1, num_steps=num_steps).records
    seen = sum(record["samples_seen"] for record in records)
    assert seen > 0.9 * BATCH * num_steps, f"{name} saw {seen} samples"


def main() -> None:
    repeats, tiny = asked(__doc__ or "")
    num_steps = 2 if tiny else NUM_STEPS
    print(f"{'':12}" + "".join(f"{name:>16}" for name in METHODS if name != "erm") + "   (fastest, median of pairs)")
    for case, (recipe, changes, shape) in CASES.items():
        settings = configure(recipe=recipe, overrides={**changes, "training.batch_size": BATCH, "training.epochs": 99})
        if tiny:
            shape = (TINY_SIDE, TINY_SIDE, shape[2])
        context = run_context(settings, NUM_SAMPLES, shape)
        sides = [partial(trained, context, name, num_steps) for name in METHODS]
        times = dict(zip(METHODS, race(sides, repeats), strict=True))
        erm = times.pop("erm")
        cells = [
            f"{min(erm) / min(mine):.3f}, {statistics.median(a / b for a, b in zip(erm, mine, strict=True)):.3f}"
            for mine in times.values()
        ]
        print(f"{case:12}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
