"""Batches: the same from memory and from worker processes, every sample once, nothing dropped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from operations import Counted  # the module is in tests/support
from PIL import Image

from spurcli.datasets import ArrayImages, FileImages
from spurcli.errors import InputError
from spurcli.runtime import feed as feed_module
from spurcli.runtime.feed import ImageFeed

CPU = torch.device("cpu")


@dataclass(frozen=True)
class OnDemand:
    """Array images that claim to be on disk."""

    pixels: np.ndarray
    resident = False

    @property
    def shape(self):
        return self.pixels.shape[1:]

    def __len__(self):
        return len(self.pixels)

    def read(self, indices):
        return self.pixels[indices]


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (23, 5, 4, 3), dtype=np.uint8)


def collect(feed: ImageFeed, order: np.ndarray, size: int, first: int = 0):
    found = list(feed.batches(order, size, first))
    return [index for index, _ in found], [batch for _, batch in found]


def test_resident_and_worker_batches_are_the_same(pixels):
    order = np.random.default_rng(1).permutation(23).astype(np.int64)
    expected = [torch.from_numpy(pixels[order[start : start + 4]]).permute(0, 3, 1, 2) for start in range(0, 23, 4)]
    feeds = [ImageFeed.build(ArrayImages(pixels), CPU, 0), ImageFeed.build(OnDemand(pixels), CPU, 0)]
    feeds += [ImageFeed(OnDemand(pixels), CPU, workers) for workers in (0, 2)]
    assert [feed.pixels is None for feed in feeds] == [False, False, True, True]
    for feed in feeds:
        index, batches = collect(feed, order, 4)
        assert torch.cat(index).tolist() == order.tolist()
        assert [len(batch) for batch in batches] == [4, 4, 4, 4, 4, 3]
        assert all(torch.equal(batch, wanted) for batch, wanted in zip(batches, expected, strict=True))


@pytest.mark.parametrize("place", ["pinned", "workers"])
def test_a_batch_is_one_copy_to_a_device_that_waits_for_none(pixels, place, monkeypatch):
    """Positions go there once. Of pinned pixels the chosen ones are pinned too: copies from other memory wait."""
    empty, pinned = torch.empty, []

    def without_device(*size, pin_memory=False, **options):
        if pin_memory:
            pinned.append(size[0][0])
        return empty(*size, **options)

    order = np.random.default_rng(1).permutation(23).astype(np.int64)
    in_memory = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous() if place == "pinned" else None
    feed = ImageFeed(OnDemand(pixels), torch.device("meta"), 0, in_memory)
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda _self: True)
    monkeypatch.setattr(torch, "empty", without_device)
    with Counted() as counted:
        index, batches = collect(feed, order, 4)
    assert counted.found["aten._to_copy.default"] == 1 + 6
    assert pinned == ([4, 4, 4, 4, 4, 3] if place == "pinned" else [])
    assert {tensor.device.type for tensor in (*index, *batches)} == {"meta"}


def test_what_is_gathered_from_pinned_memory_are_the_pixels(pixels, monkeypatch):
    empty, order = torch.empty, np.random.default_rng(1).permutation(23).astype(np.int64)
    feed = ImageFeed.build(ArrayImages(pixels), CPU, 0)
    expected = collect(feed, order, 4)[1]
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda _self: True)
    monkeypatch.setattr(torch, "empty", lambda *size, pin_memory=False, **options: empty(*size, **options))
    assert all(torch.equal(*both) for both in zip(collect(feed, order, 4)[1], expected, strict=True))


@pytest.mark.parametrize("resident", [True, False])
def test_starting_at_a_batch_slices_the_order(pixels, resident):
    feed = ImageFeed.build(ArrayImages(pixels), CPU, 0) if resident else ImageFeed(OnDemand(pixels), CPU, 0)
    order = np.arange(23, dtype=np.int64)[::-1].copy()
    whole = collect(feed, order, 5)
    for first in range(6):
        index, batches = collect(feed, order, 5, first)
        assert [part.tolist() for part in index] == [part.tolist() for part in whole[0][first:]]
        assert all(torch.equal(a, b) for a, b in zip(batches, whole[1][first:], strict=True))


@pytest.mark.parametrize(
    "order", [np.arange(3, 20), np.arange(23), np.array([0, 2, 1, 3]), np.array([4, 4, 6]), [7], []]
)
def test_runs_of_positions_give_what_single_positions_give(pixels, order):
    order = np.array(order, dtype=np.int64)
    index, batches = collect(ImageFeed.build(ArrayImages(pixels), CPU, 0), order, 4)
    assert [place for part in index for place in part.tolist()] == order.tolist()
    found = np.concatenate([batch.permute(0, 2, 3, 1).numpy() for batch in batches] or [pixels[order]])
    assert np.array_equal(found, pixels[order])


def test_inputs_too_large_for_memory_are_left_to_workers(pixels, monkeypatch):
    monkeypatch.setattr(feed_module, "RESIDENT_BYTES", pixels.nbytes - 1)
    assert ImageFeed.build(OnDemand(pixels), CPU, 0).pixels is None
    monkeypatch.setattr(feed_module, "RESIDENT_BYTES", pixels.nbytes)
    assert ImageFeed.build(OnDemand(pixels), CPU, 0).pixels is not None


@pytest.mark.parametrize(("num_samples", "workers"), [(8, 0), (9, 2)])
def test_a_single_batch_is_read_without_a_worker_process(pixels, monkeypatch, num_samples, workers):
    asked = []

    class Recorded(torch.utils.data.DataLoader):
        def __init__(self, *args, num_workers, **options):
            asked.append(num_workers)
            super().__init__(*args, num_workers=num_workers, **options)

    monkeypatch.setattr(feed_module, "DataLoader", Recorded)
    index, _ = collect(ImageFeed(OnDemand(pixels), CPU, 2), np.arange(num_samples), 8)
    assert torch.cat(index).tolist() == list(range(num_samples))
    assert asked == [workers]


@pytest.fixture
def files(tmp_path: Path) -> FileImages:
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 6), (number * 40, 0, 0)).save(path)
        paths.append(path)
    return FileImages(paths, 4)


def test_files_decoded_by_workers_keep_their_order(files):
    for workers in (0, 2):
        feed = ImageFeed.build(files, CPU, workers)
        assert feed.pixels is not None
        assert feed.pixels[:, 0, 0, 0].tolist() == [0, 40, 80, 120, 160, 200]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("damage", "message"), [(b"no image", "2.png cannot be decoded"), (None, "No such image: 2.png")]
)
def test_an_unreadable_image_is_named_without_a_worker_traceback(files, workers, damage, message):
    if damage is None:
        files.paths[2].unlink()
    else:
        files.paths[2].write_bytes(damage)
    for use in (
        lambda: ImageFeed.build(files, CPU, workers),
        lambda: list(ImageFeed(files, CPU, workers).batches(np.arange(6, dtype=np.int64), 2)),
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert message in caught.value.problem
        assert "\n" not in caught.value.problem
        assert "Traceback" not in str(caught.value)
        assert caught.value.hint
