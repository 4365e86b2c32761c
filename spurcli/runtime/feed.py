"""Getting batches of raw pixels to the device.

Inputs that fit stay in memory as one uint8 tensor (on the device where that is a GPU with room); others are decoded
by worker processes. Inputs in the decoded cache are read from there and not loaded into memory, except on a GPU with
room. All give the same batches for the same positions, laid out alike, so that results are the same bit for bit.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from spurcli.datasets import ArrayImages, Images, Inputs
from spurcli.datasets.decoded import MappedImages
from spurcli.datasets.injected import InjectedImages
from spurcli.errors import SpurError
from spurcli.progress import Progress, Silent
from spurcli.runtime.launch import launched

RESIDENT_BYTES = 2 << 30
_DEVICE_SHARE = 0.4
_DECODE_BATCH = 64
WHOLE = slice(None)


class Feed(Protocol):
    """Reads samples by position, ready on `device`. `inputs` is what is read: images or texts."""

    @property
    def inputs(self) -> Inputs: ...

    @property
    def device(self) -> torch.device: ...

    def training_order(self, order: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:
        """`order` in the best sequence for training, a function of (order, batch_size, seed, epoch)."""
        ...

    def reading_order(self, begin: int, end: int) -> NDArray[np.int64]:
        """Positions begin … end − 1 in the fastest order to read."""
        ...

    def batches(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        first: int = 0,
        share: slice = WHOLE,
        *,
        joins_lone: bool = False,
    ) -> Iterator[tuple[torch.Tensor, Any]]:
        """Yield (index int64 [m], samples) for consecutive batches of `order`, starting with batch number `first`.

        The last batch may be smaller, or with `joins_lone` larger by one; no sample is dropped or padded with others. Of
        each batch only this process's `share` is read, which of the last may be none.
        """
        ...


def batch_bounds(num_samples: int, batch_size: int, *, joins_lone: bool = False) -> list[tuple[int, int]]:
    """Where each batch begins and ends. With `joins_lone` a last batch of one sample is part of the one before it."""
    starts = list(range(0, num_samples, batch_size))
    if joins_lone and len(starts) > 1 and num_samples - starts[-1] == 1:
        starts.pop()
    stops = [*starts[1:], num_samples] if starts else []
    return list(zip(starts, stops, strict=True))


def own_part(begin: int, end: int, share: slice, *, joins_lone: bool = False) -> tuple[int, int]:
    """Which positions of the batch begin … end − 1 are those of `share`.

    With `joins_lone` the process before takes a last sample that another one would have alone.
    """
    first = min(begin + (share.start or 0), end)
    last = end if share.stop is None else min(begin + share.stop, end)
    if joins_lone and end - last == 1:
        return first, end
    if joins_lone and last == end and last - first == 1 and first > begin:
        return first, first
    return first, last


@dataclass(frozen=True)
class ImageFeed:
    """Reads pixels by position as uint8 [m, channels, height, width] on `device`."""

    inputs: Images
    device: torch.device
    num_workers: int
    pixels: torch.Tensor | None = None

    @classmethod
    def build(
        cls, inputs: Images, device: torch.device, num_workers: int, progress: Progress | None = None
    ) -> ImageFeed:
        """Decode `inputs` into memory now if they fit, else leave them to the workers, or to the cache if they are there."""
        size = len(inputs) * int(np.prod(inputs.shape))
        if _is_mapped(inputs):
            num_workers = 0
        if size > RESIDENT_BYTES or (_is_mapped(inputs) and device.type != "cuda"):
            return cls(inputs, device, num_workers)
        array = inputs.pixels if isinstance(inputs, ArrayImages) else _decode_all(inputs, num_workers, progress)
        pixels = torch.from_numpy(np.ascontiguousarray(array)).permute(0, 3, 1, 2).contiguous()
        if device.type == "cuda" and size < _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            pixels = pixels.to(device)
        elif device.type == "cuda":
            pixels = pixels.pin_memory()
        return cls(inputs, device, num_workers, pixels)

    def training_order(self, order: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:  # noqa: ARG002
        """`order` itself: images of one size cost the same in any batch."""
        return order

    def reading_order(self, begin: int, end: int) -> NDArray[np.int64]:
        """Positions begin … end − 1 in the fastest order to read."""
        return np.arange(begin, end, dtype=np.int64)

    def batches(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        first: int = 0,
        share: slice = WHOLE,
        *,
        joins_lone: bool = False,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (index int64 [m], pixels) for consecutive batches of `order`, starting with batch number `first`."""
        bounds = batch_bounds(len(order), batch_size, joins_lone=joins_lone)[first:]
        parts = [own_part(begin, end, share, joins_lone=joins_lone) for begin, end in bounds]
        # at once: a copy of one batch's positions from ordinary memory would wait for the device
        positions = torch.from_numpy(order).to(self.device)
        if self.pixels is not None:
            there = self.pixels.device == self.device
            rows, pinned = positions if there else torch.from_numpy(order), self.pixels.is_pinned()
            in_order = _is_consecutive(order)  # as in scoring: views then, no copies
            for begin, end in parts:
                place = int(order[begin]) if begin < end else 0
                if in_order:
                    pixels = self.pixels[place : place + end - begin]
                else:
                    pixels = _pinned(self.pixels, rows[begin:end]) if pinned else self.pixels[rows[begin:end]]
                yield positions[begin:end], pixels.to(self.device, non_blocking=True)
            return
        read = [order[begin:end] for begin, end in parts if begin < end]
        pixels_of = _read_all(self.inputs, read, self.num_workers, pin=self.device.type == "cuda")
        for begin, end in parts:
            pixels = next(pixels_of) if begin < end else torch.empty((0, *self.inputs.shape), dtype=torch.uint8)
            pixels = pixels.to(self.device, non_blocking=True)
            yield positions[begin:end], pixels.permute(0, 3, 1, 2).contiguous()


def _pinned(pixels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The pixels of `rows` in pinned memory, from where a copy does not wait for the device; indexing would leave it."""
    out = torch.empty((len(rows), *pixels.shape[1:]), dtype=pixels.dtype, pin_memory=True)
    return torch.index_select(pixels, 0, rows, out=out)


def _is_consecutive(order: NDArray[np.int64]) -> bool:
    """Whether `order` is consecutive; a shuffled one is detected by its ends."""
    if len(order) and order[-1] - order[0] != len(order) - 1:
        return False
    return bool((np.diff(order) == 1).all())


@dataclass(frozen=True)
class _Batches(torch.utils.data.Dataset[NDArray[np.uint8] | SpurError]):
    """Item i is the whole batch i: one message per batch between processes."""

    inputs: Images
    batches: list[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> NDArray[np.uint8] | SpurError:
        try:
            return self.inputs.read(self.batches[number])
        except SpurError as error:  # raised in a worker it would arrive wrapped in that worker's traceback
            return error


def _read_all(
    inputs: Images, batches: list[NDArray[np.int64]], num_workers: int, *, pin: bool
) -> Iterator[torch.Tensor]:
    """Pixels uint8 [m, height, width, channels] of each batch, in order."""
    if _is_mapped(inputs):
        yield from _read_ahead(inputs, batches, pin=pin)
        return
    # nothing is computed beside the only batch, and a fork makes the kernel copy the pages that are written after it
    workers = min(num_workers, len(batches)) if len(batches) > 1 else 0
    with warnings.catch_warnings():
        # torch counts cores and considers two workers too many for one core; but workers also wait for disks
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        prepare = None if launched().is_alone else _outlive_signals
        loader = iter(
            DataLoader(
                _Batches(inputs, batches), batch_size=None, num_workers=workers, pin_memory=pin, worker_init_fn=prepare
            )
        )
    for pixels in loader:
        if isinstance(pixels, SpurError):
            raise pixels
        yield pixels


def _outlive_signals(_worker: int) -> None:
    """torchrun signals the whole process group, and the process needs its readers until it has saved its state."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _read_ahead(inputs: Images, batches: list[NDArray[np.int64]], *, pin: bool) -> Iterator[torch.Tensor]:
    """As `_read_all`, without processes: one thread reads a batch while the one before it is used."""

    def read(chosen: NDArray[np.int64]) -> torch.Tensor:
        pixels = torch.from_numpy(inputs.read(chosen))
        return pixels.pin_memory() if pin else pixels

    with ThreadPoolExecutor(1) as reader:
        ahead = [reader.submit(read, chosen) for chosen in batches[:1]]
        for following in batches[1:]:
            pixels = ahead.pop().result()
            ahead.append(reader.submit(read, following))
            yield pixels
        for last in ahead:
            yield last.result()


def _is_mapped(inputs: Images) -> bool:
    """Whether reading is a copy from the decoded cache, with an injected feature or without."""
    return isinstance(inputs, MappedImages) or (isinstance(inputs, InjectedImages) and _is_mapped(inputs.base))


def _decode_all(inputs: Images, num_workers: int, progress: Progress | None) -> NDArray[np.uint8]:
    positions = np.arange(len(inputs), dtype=np.int64)
    batches = [positions[start : start + _DECODE_BATCH] for start in range(0, len(positions), _DECODE_BATCH)]
    array = np.empty((len(inputs), *inputs.shape), dtype=np.uint8)
    report = progress or Silent()
    report.start("reading images", len(inputs))
    for chosen, pixels in zip(batches, _read_all(inputs, batches, num_workers, pin=False), strict=True):
        array[chosen] = pixels.numpy()
        report.advance(len(chosen))
    return array
