"""Training speed compared with a plain PyTorch loop over the same tensors.

    python benchmarks/train.py [--repeats 9] [--tiny]

All sides run in this process, in turn (A B C A B C …), from the same weights in the same order; the script checks that spurcli and the best
bare loop end with the same weights. It prints the speed relative to the bare loop: above 1 is faster. All sides keep freed memory, as
`spurcli train` does: otherwise the time of a side depends on the state of the heap. `--tiny` only checks that
the script works: one round on a few small images, whose numbers have no meaning.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.progress import Silent
from spurcli.randomness import generator
from spurcli.runtime.context import RunContext
from spurcli.runtime.malloc import keep_freed_memory
from spurcli.session import configure
from spurcli.settings import Settings
from spurcli.training import Trainer, fit
from spurcli.training.method import TrainingSamples, build_method


def run_context(settings: Settings, num_samples: int, shape: tuple[int, int, int]) -> RunContext:
    """Random images of 10 classes: their content does not matter for speed."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (num_samples, *shape), dtype=np.uint8)
    split = Split(rng.integers(0, 10, num_samples), ArrayImages(pixels))
    dataset = Dataset("made up", tuple("0123456789"), {"train": split})
    return RunContext(settings, dataset, torch.device("cpu"), Silent())


def ours(context: RunContext, epochs: int) -> nn.Module:
    train = context.dataset.splits["train"]
    trainer = Trainer(
        model=context.model(0),
        method=build_method("erm", {}, TrainingSamples(np.arange(len(train)), train.label, 10, 64)),
        feed=context.feed(train.inputs),
        preprocess=context.preprocess(),
        label=torch.from_numpy(train.label),
        num_classes=10,
        settings=context.settings.training,
        seed=0,
        called=context.model_called,
    )
    fit(trainer, until_epoch=epochs)
    return trainer.model


def bare(context: RunContext, epochs: int, *, best: bool = False) -> nn.Module:
    """A hand-written loop: tensors, a shuffled order, forward, backward, step, the mean loss of the epoch.

    The `best` loop has a fused optimizer, and channels_last for networks that convolve; the other one uses torch's defaults.
    """
    train, training = context.dataset.splits["train"], context.settings.training
    model = context.model(0).train()
    convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
    layout = torch.channels_last if best and convolves else torch.contiguous_format
    fused = best or None
    model.to(memory_format=layout)
    pixels = torch.from_numpy(train.inputs.read(np.arange(len(train)))).permute(0, 3, 1, 2).contiguous()
    label = torch.from_numpy(train.label)
    scale, shift = context.preprocess().scale, context.preprocess().shift
    if training.optimizer == "adam":
        optimizer: torch.optim.Optimizer = torch.optim.Adam(model.parameters(), training.learning_rate, fused=fused)
    else:
        momentum, decay = training.momentum, training.weight_decay
        optimizer = torch.optim.SGD(
            model.parameters(), training.learning_rate, momentum, weight_decay=decay, fused=fused
        )
    for epoch in range(epochs):
        order = torch.from_numpy(generator("order", 0, epoch).permutation(len(train)))
        loss_sum = torch.zeros(())
        for index in order.split(training.batch_size):
            inputs = pixels[index].float().mul_(scale).add_(shift).contiguous(memory_format=layout)
            loss = functional.cross_entropy(model(inputs), label[index], reduction="sum") / len(index)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(index)
        loss_sum.item()
    return model


def race(sides: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """CPU seconds of each side, measured in turn after one round that is not counted.

    With one thread, CPU time is the wall-clock time without the time of other processes.
    """
    times: list[list[float]] = [[] for _ in sides]
    for repeat in range(repeats + 1):
        for side, run in enumerate(sides):
            start = time.process_time()
            run()
            if repeat:
                times[side].append(time.process_time() - start)
    return times


CASES = {
    # name: recipe, its changes, samples, image, epochs
    "demo's mlp": ("demo", {}, 4000, (16, 16, 1), 6),
    "batches of 2": ("demo", {"training.batch_size": 2}, 1600, (4, 4, 1), 1),  # what a step takes without arithmetic
    "small_cnn": ("cifar10-cpu", {"preprocessing.flip": False, "training.schedule": "constant"}, 2000, (32, 32, 3), 2),
    "ResNet-20": (
        "cifar10",
        {"preprocessing.flip": False, "preprocessing.crop_padding": 0, "training.schedule": "constant"},
        512,
        (32, 32, 3),
        2,
    ),
}


# What --tiny makes of a case: fewer samples than two batches, images that a network of three stages can still halve.
TINY_SAMPLES, TINY_SIDE = 96, 8


def asked(description: str) -> tuple[int, bool]:
    """The --repeats and --tiny of the command line, after printing how time is measured."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--tiny", action="store_true", help="one round on a few small images, to see that it works")
    arguments = parser.parse_args()
    repeats: int = 1 if arguments.tiny else arguments.repeats
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, {repeats} repeats of each side in turn, CPU time")
    return repeats, arguments.tiny


def main() -> None:
    repeats, tiny = asked(__doc__ or "")
    if not tiny:
        keep_freed_memory()
    print(f"{'':13}{'samples a second':>18}   speed relative to a bare loop (fastest, median of pairs)")
    print(f"{'':13}{'ours':>9}{'bare':>9}   as torch comes   the best one (fused, channels_last)")
    for name, (recipe, changes, num_samples, shape, epochs) in CASES.items():
        if tiny:
            num_samples, shape, epochs = TINY_SAMPLES, (TINY_SIDE, TINY_SIDE, shape[2]), 1
        settings = configure(recipe=recipe, overrides={**changes, "training.epochs": epochs})
        context = run_context(settings, num_samples, shape)
        pairs = zip(ours(context, 1).parameters(), bare(context, 1, best=True).parameters(), strict=True)
        assert all(torch.equal(mine, other) for mine, other in pairs), f"{name}: the sides do not do the same"
        sides = (
            partial(ours, context, epochs),
            partial(bare, context, epochs),
            partial(bare, context, epochs, best=True),
        )
        mine, plain, best = race(sides, repeats)
        ratios = [
            f"{min(other) / min(mine):.3f}, {statistics.median(b / a for a, b in zip(mine, other, strict=True)):.3f}"
            for other in (plain, best)
        ]
        total = num_samples * epochs
        print(f"{name:13}{total / min(mine):9,.0f}{total / min(plain):9,.0f}   {ratios[0]}     {ratios[1]}", flush=True)


if __name__ == "__main__":
    main()
