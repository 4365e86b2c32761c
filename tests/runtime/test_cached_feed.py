"""Batches from the decoded cache: the same as from elsewhere, a batch in memory at a time, no processes."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spurcli.datasets import ArrayImages, FileImages
from spurcli.datasets.cache import Blocks, open_cached, write_cached
from spurcli.datasets.decoded import MappedImages
from spurcli.datasets.injected import InjectedImages
from spurcli.runtime import feed as feed_module
from spurcli.runtime.feed import ImageFeed

CPU = torch.device("cpu")
SHAPE = (6, 5, 3)


def mapped(root, pixels: np.ndarray) -> MappedImages:
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    key = {"kind": "pixels", "of": list(planes.shape)}
    write_cached(root, key, {"pixels": Blocks.of(planes)})
    return MappedImages(open_cached(root, key)["pixels"])


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (23, *SHAPE), dtype=np.uint8)


def collect(feed: ImageFeed, order: np.ndarray, size: int, first: int = 0):
    found = list(feed.batches(order, size, first))
    return [index.tolist() for index, _ in found], [batch for _, batch in found]


@pytest.mark.parametrize("first", [0, 2, 5, 6])
@pytest.mark.parametrize("shuffled", [True, False])
def test_batches_are_those_from_memory_in_values_and_in_layout(tmp_path, pixels, shuffled, first):
    order = np.random.default_rng(1).permutation(23) if shuffled else np.arange(23)
    resident = ImageFeed.build(ArrayImages(pixels), CPU, 0)
    feed = ImageFeed.build(mapped(tmp_path, pixels), CPU, 2)
    assert feed.pixels is None
    wanted, found = collect(resident, order, 4, first), collect(feed, order, 4, first)
    assert found[0] == wanted[0]
    for mine, other in zip(found[1], wanted[1], strict=True):
        assert torch.equal(mine, other)
        assert mine.stride() == other.stride()


def test_decoded_batches_are_laid_out_alike_too(tmp_path):
    for number in range(5):
        noise = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    files = FileImages([tmp_path / f"{number}.png" for number in range(5)], 6)
    streamed = collect(ImageFeed(files, CPU, 0), np.arange(5), 2)[1]
    resident = collect(ImageFeed.build(files, CPU, 0), np.arange(5), 2)[1]
    for mine, other in zip(streamed, resident, strict=True):
        assert torch.equal(mine, other)
        assert mine.stride() == other.stride()


def brighter(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = image.copy()
    changed[0] = rng.integers(0, 256, changed[0].shape)
    return changed


def test_an_injected_feature_goes_onto_mapped_images_as_onto_others(tmp_path, pixels):
    carries = np.arange(23) % 3 == 0
    order = np.random.default_rng(1).permutation(23)
    feeds = [
        ImageFeed.build(InjectedImages(base, carries, brighter, 5, 0), CPU, 0)
        for base in (mapped(tmp_path, pixels), ArrayImages(pixels))
    ]
    assert [feed.pixels is None for feed in feeds] == [True, False]
    found, wanted = (collect(feed, order, 4) for feed in feeds)
    assert found[0] == wanted[0]
    assert all(torch.equal(mine, other) for mine, other in zip(found[1], wanted[1], strict=True))
    assert any(
        (batch[:, :, 0] != torch.from_numpy(pixels[index]).permute(0, 3, 1, 2)[:, :, 0]).any()
        for index, batch in zip(*found, strict=True)
    )


def test_no_processes_are_started_for_what_is_mapped(tmp_path, pixels, monkeypatch):
    def refuse(*_args, **_more):
        raise AssertionError("a DataLoader")

    monkeypatch.setattr(feed_module, "DataLoader", refuse)
    feeds = [ImageFeed.build(mapped(tmp_path, pixels), CPU, 4)]
    feeds.append(ImageFeed.build(InjectedImages(feeds[0].inputs, np.ones(23, bool), brighter, 0, 0), CPU, 4))
    for feed in feeds:
        assert len(collect(feed, np.arange(23), 5)[1]) == 5
    assert collect(feeds[0], np.arange(0), 5) == ([], [])


def test_whoever_stops_early_leaves_no_thread(tmp_path, pixels):
    before = threading.active_count()
    batches = ImageFeed.build(mapped(tmp_path, pixels), CPU, 2).batches(np.arange(23), 4)
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_a_failing_read_arrives_as_it_is(pixels):
    class Failing(MappedImages):
        def read(self, indices):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        collect(ImageFeed.build(Failing(pixels.transpose(0, 3, 1, 2)), CPU, 0), np.arange(23), 4)


@pytest.mark.parametrize("num_images", [1000, 4000])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, num_images):
    """3 and 12 MB on disk; building and reading never hold more than three batches of 15 kB."""
    row = np.arange(num_images, dtype=np.int64)[:, None, None, None]
    pixels = np.broadcast_to(row.astype(np.uint8), (num_images, 32, 32, 3))
    inputs = mapped(tmp_path, pixels)
    order = np.random.default_rng(0).permutation(num_images)
    tracemalloc.start()
    try:
        feed = ImageFeed.build(inputs, CPU, 2)
        for index, batch in feed.batches(order, 5):
            assert (batch[:, 0, 0, 0] == index.to(torch.uint8)).all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 5 * 32 * 32 * 3 + 300 * num_images // 5 + 200_000


def resident_bytes(address: int) -> int:
    """How much of the mapping at `address` counts as memory of this process, from /proc."""
    here = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        head = line.split()[0]
        if "-" in head and not head.endswith(":"):
            begin, end = (int(part, 16) for part in head.split("-"))
            here = begin <= address < end
        elif here and head == "Rss:":
            return int(line.split()[1]) * 1024
    raise AssertionError("not mapped")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_pages_that_were_read_do_not_count_as_this_process(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    inputs = mapped(tmp_path, pixels)
    address = inputs.pixels.ctypes.data
    assert inputs.pixels.sum() == pixels.sum(dtype=np.int64)
    assert resident_bytes(address) > pixels.nbytes // 2  # read as any map is, all of it counts
    collect(ImageFeed.build(inputs, CPU, 0), np.arange(2000), 100)
    assert resident_bytes(address) == 0
