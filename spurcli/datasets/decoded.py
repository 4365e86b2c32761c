"""The decoded cache: images decoded and resized once to uint8 pixels, so that later stages do not decode them again.

Each split is stored on its own, under a key of its fingerprint, where its images come from and what was done to them. Loading
uses what is there and compares a few images with what they are decoded to now, so that a cache of other images, of another Pillow or
with damaged bytes is detected and not used.
"""

from __future__ import annotations

import hashlib
import mmap
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.space import in_words
from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.cache import (
    Blocks,
    Key,
    cached_folder,
    damaged,
    is_whole,
    open_cached,
    require_space,
    write_cached,
)
from spurcli.datasets.inputs import EncodedImages
from spurcli.progress import Progress
from spurcli.results import CachedSplit

DECODER = 2  # of `decode_square`: a change that gives other pixels needs a new number
_NUM_COMPARED = 5
_BATCH = 64


@dataclass(frozen=True)
class MappedImages:
    """Decoded images on disk: `pixels` uint8 [n, channels, height, width], mapped and never held in memory. `encoded` are the images themselves."""

    pixels: NDArray[np.uint8]
    encoded: EncodedImages | None = None
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.pixels.shape[1:]
        return height, width, channels

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 [m, height, width, channels]: a view of planes, as torch requires."""
        batch = np.asarray(self.pixels)[indices].transpose(0, 2, 3, 1)
        owner = getattr(self.pixels, "_mmap", None)
        if owner is not None and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)  # otherwise everything that was read would count as this process's memory
        return batch


def use_cache(dataset: Dataset, data_root: Path, cache_root: Path) -> Dataset:
    """The data set with those splits mapped that are in the cache: the same pixels, bit for bit.

    Raises InputError if the cache is damaged, or differs from what decoding gives.
    """
    if not cache_root.is_dir():
        return dataset
    splits = {name: _mapped(split, data_root, cache_root) for name, split in dataset.splits.items()}
    return replace(dataset, splits=splits)


def cache_images(
    dataset: Dataset, data_root: Path, cache_root: Path, *, num_workers: int, progress: Progress
) -> dict[str, CachedSplit]:
    """Write the pixels of all splits that are decoded; per split what was done, its bytes, its folder.

    `done` is "written", "there" (and checked whole), "replaced" (what was there was damaged or outdated), or "nothing"
    (pixels in memory, images of your own kind).

    Raises InputError if they do not fit on the disk, before any work, or if an image cannot be decoded.
    """
    found: dict[str, CachedSplit] = {}
    to_write = {}
    for name, split in dataset.splits.items():
        key, images = image_key(split, data_root), split.inputs
        found[name] = {"num_samples": len(split), "done": "nothing"}
        if key is None or not isinstance(images, EncodedImages):
            continue
        folder = cached_folder(cache_root, key)
        found[name] |= {"done": "written", "bytes": _decoded_bytes(images), "folder": folder.name}
        if folder.exists():
            progress.say(f"Checking the cache of {name}")
            check = partial(_require_whole, images, cache_root, key)
            found[name]["done"] = "there" if is_whole(cache_root, key, check, progress) else "replaced"
        if found[name]["done"] != "there":
            to_write[name] = key, images
    if to_write:
        total = sum(_decoded_bytes(images) for _, images in to_write.values())
        require_space(cache_root, total)
        progress.say(f"Writing {in_words(total)} of pixels to {cache_root}: {', '.join(to_write)}")
    for name, (key, images) in to_write.items():
        progress.start(f"decoding {name}", len(images))
        if not write_cached(cache_root, key, _blocks(images, num_workers, progress), progress):
            found[name]["done"] = "there"
    return found


def image_key(split: Split, data_root: Path) -> Key | None:
    """Everything that a split's pixels depend on, as JSON; None unless they are decoded from encoded images."""
    images = split.inputs
    if not isinstance(images, EncodedImages):
        return None
    digest, root = hashlib.sha256(), f"{data_root}/"
    for source in images.sources():
        digest.update(source.removeprefix(root).encode(errors="surrogateescape") + b"\n")
    return {
        "kind": "pixels",
        "fingerprint": split.fingerprint.to_json(),
        "sources": {"kind": type(images).__qualname__, "sha256": digest.hexdigest()},
        "transform": {"size": images.size, "squash": images.squash, "decoder": DECODER},
    }


def _mapped(split: Split, data_root: Path, cache_root: Path) -> Split:
    key, images = image_key(split, data_root), split.inputs
    if key is None or not isinstance(images, EncodedImages):
        return split
    mapped = _open(images, cache_root, key)
    return split if mapped is None else replace(split, inputs=mapped)


def _open(images: EncodedImages, cache_root: Path, key: Key) -> MappedImages | None:
    """The mapped twin of `images`, a few compared with their files."""
    arrays = open_cached(cache_root, key)
    if arrays is None:
        return None
    folder, pixels = cached_folder(cache_root, key), arrays.get("pixels")
    height, width, channels = images.shape
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape != (len(images), channels, height, width):
        raise damaged(folder, "it does not hold these images")
    mapped = MappedImages(pixels, images)
    for position in np.unique(np.linspace(0, len(images) - 1, _NUM_COMPARED).astype(np.int64)):
        chosen = np.array([position])
        if not np.array_equal(images.read(chosen), mapped.read(chosen)):
            raise damaged(
                folder,
                f"the pixels of image {position:,} of {len(images):,} are different now "
                "(the image or Pillow changed, or the cache is damaged)",
            )
    return mapped


def _require_whole(images: EncodedImages, cache_root: Path, key: Key) -> None:
    """Raise InputError unless a few images equal the cached ones, and all files have the same size as before."""
    _open(images, cache_root, key)
    sizes = (open_cached(cache_root, key) or {}).get("num_bytes")
    if sizes is None or not np.array_equal(sizes, images.num_bytes()):
        raise damaged(cached_folder(cache_root, key), "images have changed since")


def _blocks(images: EncodedImages, num_workers: int, progress: Progress) -> dict[str, Blocks]:
    num_images, (height, width, channels) = len(images), images.shape
    planes = _decoded(images, max(num_workers, 1), progress)
    return {
        "pixels": Blocks(np.dtype(np.uint8), (num_images, channels, height, width), planes),
        "num_bytes": Blocks(np.dtype(np.int64), (num_images,), (images.num_bytes() for _ in range(1))),
    }


def _decoded_bytes(images: EncodedImages) -> int:
    return len(images) * int(np.prod(images.shape))


def _decoded(images: EncodedImages, num_workers: int, progress: Progress) -> Iterator[NDArray[np.uint8]]:
    """Planes uint8 [m, channels, height, width] of consecutive images, a few batches ahead.

    Threads: Pillow decodes and resizes outside Python's lock, and no process outlives a builder that is killed.
    """
    starts = range(0, len(images), _BATCH)
    pool = ThreadPoolExecutor(num_workers)

    def read(start: int) -> NDArray[np.uint8]:
        positions = np.arange(start, min(start + _BATCH, len(images)), dtype=np.int64)
        return np.ascontiguousarray(images.read(positions).transpose(0, 3, 1, 2))

    try:
        ahead = deque(pool.submit(read, start) for start in starts[: 2 * num_workers])
        for start in starts[len(ahead) :]:
            planes = ahead.popleft().result()
            ahead.append(pool.submit(read, start))
            yield planes
            progress.advance(len(planes))
        for future in ahead:
            yield future.result()
            progress.advance(len(future.result()))
    finally:
        pool.shutdown(cancel_futures=True)
