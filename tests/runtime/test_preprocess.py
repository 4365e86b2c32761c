"""Normalisation and augmentation against slow loops; random numbers as a function of (seed, epoch, index)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import UsageError
from spurcli.runtime.preprocess import Draws, ImagePreprocess, uniform
from spurcli.settings import PreprocessingSettings

CPU = torch.device("cpu")
MASK = (1 << 64) - 1
GOLDEN, MIX1, MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def draw(index: int, seed: int, epoch: int, number: int) -> float:
    """splitmix64 of (seed, epoch, number, index) with Python's integers; the upper 24 bits as a fraction."""
    state = (index * GOLDEN + seed * MIX1 + epoch * MIX2 + (number + 1) * GOLDEN) & MASK
    state = ((state ^ (state >> 30)) * MIX1) & MASK
    state = ((state ^ (state >> 27)) * MIX2) & MASK
    state ^= state >> 31
    return (state >> 40) / (1 << 24)


def images(num_images: int, channels: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(height * 100 + width)
    return torch.from_numpy(rng.integers(0, 256, (num_images, channels, height, width), dtype=np.uint8))


def build(channels: int = 1, **options) -> ImagePreprocess:
    return ImagePreprocess.build(PreprocessingSettings(mean=(0.0,), std=(1 / 255,), **options), channels, CPU)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 2**63), st.integers(0, 1000), st.integers(0, 6))
def test_random_numbers_are_splitmix64(index, seed, epoch, number):
    assert uniform(torch.tensor([index]), seed, epoch, number).item() == draw(index, seed, epoch, number)


def test_random_numbers_are_uniform_and_draws_do_not_correlate():
    index = torch.arange(20000)
    for pair in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        first, second = uniform(index, 0, 0, 0), uniform(index, *pair)
        assert torch.histc(second, 10, 0, 1).sub(2000).abs().max() < 200
        assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1].item()) < 0.03


def test_normalisation_per_channel_against_a_loop():
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    pixels = images(4, 3, 5, 6)
    found = ImagePreprocess.build(PreprocessingSettings(mean=mean, std=std), 3, CPU).evaluation(pixels)
    assert found.dtype == torch.float32
    for sample in range(4):
        for channel in range(3):
            for row in range(5):
                for column in range(6):
                    raw = int(pixels[sample, channel, row, column])
                    expected = (raw / 255 - mean[channel]) / std[channel]
                    assert found[sample, channel, row, column].item() == pytest.approx(expected, abs=2e-6)


def test_one_mean_serves_all_channels_and_a_wrong_number_is_named():
    pixels = images(2, 3, 4, 4)
    one = ImagePreprocess.build(PreprocessingSettings(mean=(0.3,), std=(0.2,)), 3, CPU)
    three = ImagePreprocess.build(PreprocessingSettings(mean=(0.3,) * 3, std=(0.2,) * 3), 3, CPU)
    assert torch.equal(one.evaluation(pixels), three.evaluation(pixels))
    with pytest.raises(UsageError, match=r"preprocessing\.mean has 3 values for images of 1 channel"):
        ImagePreprocess.build(PreprocessingSettings(mean=(0.3,) * 3, std=(0.2,) * 3), 1, CPU)


def test_normalising_leaves_the_pixels_alone():
    pixels = images(2, 1, 4, 4)
    before = pixels.clone()
    build().evaluation(pixels)
    assert torch.equal(pixels, before)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 50), st.integers(1, 4), st.booleans())
def test_crop_and_flip_against_a_loop(seed, epoch, padding, flip):
    height, width = 5, 7
    pixels, index = images(6, 2, height, width), torch.tensor([3, 900, 12, 7, 5, 100000])
    found = build(2, crop_padding=padding, flip=flip).training(pixels, index, seed, epoch)
    for sample, position in enumerate(index.tolist()):
        down = int(draw(position, seed, epoch, 0) * (2 * padding + 1)) - padding
        right = int(draw(position, seed, epoch, 1) * (2 * padding + 1)) - padding
        flipped = flip and draw(position, seed, epoch, 2) < 0.5
        for channel in range(2):
            for row in range(height):
                for column in range(width):
                    y, x = row + down, (width - 1 - column if flipped else column) + right
                    inside = 0 <= y < height and 0 <= x < width
                    expected = float(pixels[sample, channel, y, x]) if inside else 0.0
                    assert found[sample, channel, row, column].item() == pytest.approx(expected, abs=1e-3)


def reflect(position: float, size: int) -> float:
    """Mirror at the outer edges of the pixels, then stay inside."""
    while not -0.5 <= position <= size - 0.5:
        position = -1 - position if position < -0.5 else 2 * size - 1 - position
    return min(max(position, 0.0), size - 1.0)


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    y, x = reflect(y, height), reflect(x, width)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = plane[top, left] * (1 - (x - left)) + plane[top, right] * (x - left)
    lower = plane[bottom, left] * (1 - (x - left)) + plane[bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


@pytest.mark.parametrize(("low", "high"), [(0.08, 1.0), (0.7, 1.0)])
def test_resized_crop_against_a_loop(low, high):
    seed, epoch, size = 5, 2, 6
    pixels, index = images(5, 1, size, size), torch.tensor([0, 4, 77, 1234, 99])
    found = build(resized_crop_scale=(low, high)).training(pixels, index, seed, epoch)
    for sample, position in enumerate(index.tolist()):
        area = low + (high - low) * draw(position, seed, epoch, 3)
        ratio = 0.75 * ((4 / 3) / 0.75) ** draw(position, seed, epoch, 4)
        width, height = min((area * ratio) ** 0.5, 1), min((area / ratio) ** 0.5, 1)
        left, top = (1 - width) * draw(position, seed, epoch, 5), (1 - height) * draw(position, seed, epoch, 6)
        plane = pixels[sample, 0].numpy().astype(float)
        for row in range(size):
            for column in range(size):
                # the centre of the output pixel, as a share of the crop, as a place in the image
                y = (top + height * (row + 0.5) / size) * size - 0.5
                x = (left + width * (column + 0.5) / size) * size - 0.5
                assert found[sample, 0, row, column].item() == pytest.approx(bilinear(plane, y, x), abs=0.02)


def test_augmentation_is_a_function_of_seed_epoch_and_index_alone():
    everything = {"crop_padding": 2, "flip": True, "resized_crop_scale": (0.3, 1.0)}
    preprocess, pixels, index = build(1, **everything), images(12, 1, 6, 6), torch.arange(100, 112)
    whole = preprocess.training(pixels, index, 1, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    for size in (1, 5, 12):
        parts = [preprocess.training(pixels[chosen], index[chosen], 1, 4) for chosen in order.split(size)]
        assert torch.equal(torch.cat(parts), whole[order])
    at_once = replace(preprocess, draws=Draws(112))  # the numbers of all samples of an epoch
    for seed, epoch in ((1, 4), (1, 5), (1, 4), (2, 4)):
        expected = preprocess.training(pixels, index, seed, epoch)
        assert torch.equal(at_once.training(pixels, index, seed, epoch), expected)
    assert not torch.equal(preprocess.training(pixels, index, 2, 4), whole)
    assert not torch.equal(preprocess.training(pixels, index, 1, 5), whole)
    assert not torch.equal(preprocess.training(pixels, index + 1, 1, 4), whole)


def test_channels_last_changes_the_layout_only():
    pixels = images(3, 3, 8, 8)
    options = PreprocessingSettings(mean=(0.5,), std=(0.5,), flip=True)
    plain = ImagePreprocess.build(options, 3, CPU)
    last = ImagePreprocess.build(options, 3, CPU, channels_last=True)
    index = torch.arange(3)
    assert last.training(pixels, index, 0, 0).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(plain.training(pixels, index, 0, 0), last.training(pixels, index, 0, 0))
