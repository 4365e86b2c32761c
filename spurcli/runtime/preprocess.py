"""From raw uint8 batches to model inputs, on the device; augmentation as a function of (seed, epoch, index).

Nothing here keeps a generator: the random numbers of a sample are a hash of its position, so a resumed run, another
batch size or another number of workers sees the same crops and flips.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import torch
from torch.nn import functional

from spurcli.errors import UsageError
from spurcli.settings import PreprocessingSettings
from spurcli.words import counted

_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _xor_shift(x: torch.Tensor, bits: int) -> torch.Tensor:
    # int64 shifts are arithmetic: the mask makes them logical
    return x ^ ((x >> bits) & ((1 << (64 - bits)) - 1))


def uniform(index: torch.Tensor, seed: int, epoch: int, draw: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), float32 [m], one for each `index` int64 [m]: splitmix64 of (seed, epoch, draw, index)."""
    start = (seed * _MIX1 + epoch * _MIX2 + (draw + 1) * _GOLDEN) & ((1 << 64) - 1)
    x = index * _signed(_GOLDEN) + _signed(start)
    x = _xor_shift(x, 30) * _signed(_MIX1)
    x = _xor_shift(x, 27) * _signed(_MIX2)
    x = _xor_shift(x, 31)
    return ((x >> 40) & 0xFFFFFF).to(torch.float32) / (1 << 24)


@dataclass
class Draws:
    """`uniform` for all samples of a split at once: an epoch's numbers are computed when its first batch asks, batches pick theirs.

    A batch's own take some fifteen operations each, which is most of what a small image's augmentation costs on a GPU. Where the
    number of samples is not known (0) they are computed for the batch; the numbers are the same.
    """

    num_samples: int
    epoch: tuple[int, int, torch.device] | None = None
    tables: dict[int, torch.Tensor] = field(default_factory=dict)

    def of(self, index: torch.Tensor, seed: int, epoch: int, draw: int) -> torch.Tensor:
        """Draw number `draw` of the samples `index` int64 [m]: float32 [m] in [0, 1)."""
        if not self.num_samples:
            return uniform(index, seed, epoch, draw)
        if self.epoch != (wanted := (seed, epoch, index.device)):
            self.epoch, self.tables = wanted, {}
        if draw not in self.tables:
            everything = torch.arange(self.num_samples, device=index.device)
            self.tables[draw] = uniform(everything, seed, epoch, draw)
        return self.tables[draw][index]


class Preprocess(Protocol):
    """Converts the samples that a feed reads into inputs of the model."""

    def evaluation(self, samples: Any) -> Any:
        """The plain view."""
        ...

    def training(self, samples: Any, index: torch.Tensor, seed: int, epoch: int) -> Any:
        """The augmented view of the samples `index` int64 [m] in `epoch`."""
        ...


class AsRead:
    """Token ids and embeddings are model inputs unchanged; neither has an augmented view."""

    def evaluation(self, samples: Any) -> Any:
        return samples

    def training(self, samples: Any, index: torch.Tensor, seed: int, epoch: int) -> Any:  # noqa: ARG002
        return samples


@dataclass(frozen=True)
class ImagePreprocess:
    """Turns pixels uint8 [m, channels, height, width] into float32 model inputs on their device."""

    scale: torch.Tensor
    shift: torch.Tensor
    settings: PreprocessingSettings
    channels_last: bool = False
    draws: Draws = field(default_factory=lambda: Draws(0))

    @classmethod
    def build(
        cls,
        settings: PreprocessingSettings,
        channels: int,
        device: torch.device,
        *,
        channels_last: bool = False,
        num_samples: int = 0,
    ) -> ImagePreprocess:
        if len(settings.mean) not in (1, channels):
            raise UsageError(
                f"preprocessing.mean has {counted(len(settings.mean), 'value')} for images of {counted(channels, 'channel')}",
                "Give one value, or one per channel.",
            )
        mean = torch.tensor(settings.mean, dtype=torch.float64).expand(channels)
        std = torch.tensor(settings.std, dtype=torch.float64).expand(channels)
        scale = (1 / (255 * std)).to(torch.float32).view(1, -1, 1, 1)
        shift = (-mean / std).to(torch.float32).view(1, -1, 1, 1)
        return cls(scale.to(device), shift.to(device), settings, channels_last, Draws(num_samples))

    def evaluation(self, samples: torch.Tensor) -> torch.Tensor:
        """The plain view: (x / 255 − mean) / std of the image's centre."""
        return self._laid_out(self._normalised(self._centre(samples)))

    def training(self, samples: torch.Tensor, index: torch.Tensor, seed: int, epoch: int) -> torch.Tensor:
        """The augmented view of the samples `index` int64 [m] in `epoch`."""
        settings = self.settings
        draw = partial(self.draws.of, index, seed, epoch)
        pixels = samples if settings.resized_crop_scale else self._centre(samples)
        if settings.crop_padding:
            pixels = _padded_crop(pixels, settings.crop_padding, draw)
        if settings.flip:
            flipped = (draw(2) < 0.5).view(-1, 1, 1, 1)
            pixels = torch.where(flipped, pixels.flip(-1), pixels)
        inputs = self._normalised(pixels)
        if settings.resized_crop_scale:
            inputs = _resized_crop(inputs, settings, draw)
        return self._laid_out(inputs)

    def _centre(self, pixels: torch.Tensor) -> torch.Tensor:
        """The centre image_size × image_size of images that were decoded to a larger resize_size."""
        size = self.settings.image_size
        if not self.settings.resize_size or not size:
            return pixels
        top, left = (pixels.shape[2] - size) // 2, (pixels.shape[3] - size) // 2
        return pixels[:, :, top : top + size, left : left + size]

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        # in place: fresh memory for each of three steps costs more than the arithmetic
        return pixels.to(torch.float32).mul_(self.scale).add_(self.shift)

    def _laid_out(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.contiguous(memory_format=torch.channels_last) if self.channels_last else inputs


def _padded_crop(pixels: torch.Tensor, padding: int, draw: Callable[[int], torch.Tensor]) -> torch.Tensor:
    """Pad with zeros on all sides, then crop a window of the original size at a random place."""
    height, width = pixels.shape[2:]
    padded = functional.pad(pixels, (padding,) * 4)
    span = 2 * padding + 1
    down = (draw(0) * span).long()
    right = (draw(1) * span).long()
    rows = down[:, None] + torch.arange(height, device=pixels.device)
    columns = right[:, None] + torch.arange(width, device=pixels.device)
    batch = torch.arange(len(pixels), device=pixels.device)
    # advanced indices around a slice move to the front: [m, height, width, channels]
    return padded[batch[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _resized_crop(
    inputs: torch.Tensor, settings: PreprocessingSettings, draw: Callable[[int], torch.Tensor]
) -> torch.Tensor:
    """A crop of random area (a share of the image) and aspect ratio, resized to the input's size.

    torchvision's RandomResizedCrop of the decoded square. One draw per sample, clipped to the image, where torchvision redraws up to ten times.
    """
    low, high = settings.resized_crop_scale
    area = low + (high - low) * draw(3)
    log_low, log_high = torch.tensor(settings.resized_crop_ratio).log().tolist()
    ratio = torch.exp(log_low + (log_high - log_low) * draw(4))
    width = (area * ratio).sqrt().clamp(max=1.0)
    height = (area / ratio).sqrt().clamp(max=1.0)
    centre_x = (1 - width) * (2 * draw(5) - 1)
    centre_y = (1 - height) * (2 * draw(6) - 1)
    zero = torch.zeros_like(width)
    matrix = torch.stack([width, zero, centre_x, zero, height, centre_y], dim=1).view(-1, 2, 3)
    height_out, width_out = inputs.shape[2:]
    if settings.resize_size and settings.image_size:
        height_out = width_out = settings.image_size
    grid = functional.affine_grid(matrix, [*inputs.shape[:2], height_out, width_out], align_corners=False)
    return functional.grid_sample(inputs, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
