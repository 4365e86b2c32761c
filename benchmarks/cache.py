"""Images per second from the decoded cache, compared with decoding the JPEGs in each epoch.

    python benchmarks/cache.py [--repeats 5] [--workers 2] [--data-root .data] [--tiny]

Both sides run alternately (A B A B …) over one shuffled epoch in batches of 64, from file or cache to a uint8 tensor
[m, channels, height, width] on the CPU. The script checks that all batches are equal. It also measures the share of a training loop's
time that is spent waiting for the next batch, with a small network on one thread. Wall-clock time: decoding uses
worker processes, as in training, and the cache one thread. `--tiny` only checks that the script works: one round on a few images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch.nn import functional

from spurcli.datasets import Dataset, FileImages, Split, load_dataset
from spurcli.datasets.decoded import MappedImages, cache_images, use_cache
from spurcli.errors import InputError
from spurcli.models.small_cnn import small_cnn
from spurcli.progress import Silent
from spurcli.runtime.feed import ImageFeed

CPU = torch.device("cpu")
BATCH = 64


def photographs(folder: Path, number: int) -> Dataset:
    """JPEGs of 500×375 pixels and some 60 kB, decoded to 224: colour fields and texture, with the size of photographs."""
    rng = np.random.default_rng(0)
    paths = []
    for index in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((500, 375))
        fine = Image.fromarray(rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(1))
        paths.append(folder / f"{index:05d}.jpg")
        Image.blend(coarse, fine, 0.35).save(paths[-1], quality=90)
    label = rng.integers(0, 2, number)
    return Dataset("photographs", ("a", "b"), {"train": Split(label, FileImages(paths, 224))})


def epoch(feed: ImageFeed, order: NDArray[np.int64]) -> int:
    return sum(len(index) for index, _ in feed.batches(order, BATCH))


def race(sides: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each side, measured in turn after one round that is not counted."""
    times: list[list[float]] = [[] for _ in sides]
    for repeat in range(repeats + 1):
        for side, run in enumerate(sides):
            start = time.perf_counter()
            run()
            if repeat:
                times[side].append(time.perf_counter() - start)
    return times


def forget(images: MappedImages) -> None:
    """Let the system drop its copy of the cache's file, so that the next epoch comes from the disk."""
    with Path(images.pixels.filename).open("rb") as stream:  # type: ignore[attr-defined]
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def waiting(feed: ImageFeed, order: NDArray[np.int64]) -> float:
    """The share of a training loop's time in which it waits for a batch; the first batch is not counted."""
    height, width, channels = feed.inputs.shape
    model = small_cnn(num_classes=2, input_shape=(channels, height, width))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, fused=True)
    batches = feed.batches(order, BATCH)
    next(batches)
    waited, began = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - began)
        inputs = batch[1].float().mul_(1 / 128).sub_(1)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(inputs), torch.zeros(len(inputs), dtype=torch.long)).backward()
        optimizer.step()


def measure(dataset: Dataset, root: Path, folder: Path, repeats: int, workers: int) -> None:
    start = time.perf_counter()
    cache_images(dataset, root, folder, num_workers=workers, progress=Silent())
    built = time.perf_counter() - start
    files = dataset.splits["train"].inputs
    mapped = use_cache(dataset, root, folder).splits["train"].inputs
    assert isinstance(files, FileImages)
    assert isinstance(mapped, MappedImages)
    feeds = [ImageFeed(files, CPU, workers), ImageFeed.build(mapped, CPU, workers)]
    order = np.random.default_rng(1).permutation(len(files))
    for mine, other in zip(*(feed.batches(order, BATCH) for feed in feeds), strict=True):
        assert torch.equal(mine[1], other[1]), "the sides do not give the same pixels"
    decoding, cached = race([partial(epoch, feed, order) for feed in feeds], repeats)
    cold = []
    for _ in range(repeats):
        forget(mapped)
        start = time.perf_counter()
        epoch(feeds[1], order)
        cold.append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(decoding, cached, strict=True)]
    speeds = " ".join(f"{len(files) / min(times):10,.0f}" for times in (decoding, cached, cold))
    waits = " ".join(f"{waiting(feed, order[: 20 * BATCH]):9.1%}" for feed in feeds)
    print(
        f"{dataset.name:12} {len(files):6,} {speeds}   {min(decoding) / min(cached):5.1f}, "
        f"{statistics.median(ratios):5.1f}   {waits}   {built:5.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data-root", type=Path, default=Path(".data"))
    parser.add_argument("--tiny", action="store_true", help="one round on a few images, to see that it works")
    asked = parser.parse_args()
    num_photographs = 1024
    if asked.tiny:
        asked.repeats, asked.workers, num_photographs = 1, 0, BATCH + 2
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, one thread, {asked.workers} workers, {asked.repeats} repeats in turn, wall clock"
    )
    print(f"{'':12} {'':6} {'images a second':>32}   {'ratio':12}   {'share of waiting':19}   seconds")
    print(
        f"{'':12} {'images':6} {'decoding':>10} {'cache':>10} {'from disk':>10}   best, median   decoding     cache   to build"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure(photographs(folder, num_photographs), folder, folder / "cache", asked.repeats, asked.workers)
        try:
            birds = load_dataset("waterbirds", data_root=asked.data_root, image_size=112)
        except InputError as error:
            print(f"Without Waterbirds: {error.problem}")
        else:
            measure(birds, asked.data_root, folder / "cache", asked.repeats, asked.workers)


if __name__ == "__main__":
    main()
