"""Images for peers_training.py, read in the same way by all tools: `load` is a spurcli data set, `tensors` is the input of the others.

This file is copied beside images.npz. All sides train the same network (`network`) on the same pixels in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

MEAN, STD = 0.498, 0.502
CLASSES, ATTRIBUTES = ("upright", "flat"), ("red", "blue")
SPLITS = ("train", "val", "test")


def load(*, data_root: Path) -> Any:  # noqa: ARG001 - every loader takes it
    from spurcli.datasets import ArrayImages, Dataset, Split

    splits = {}
    with np.load("images.npz") as file:
        for name in SPLITS:
            pixels, label, attribute = (file[f"{name}_{part}"] for part in ("pixels", "label", "attribute"))
            splits[name] = Split(label, ArrayImages(pixels), attribute)
    return Dataset("peers", CLASSES, splits, ATTRIBUTES)


def tensors(split: str) -> Any:
    """Pixels float32 [n, 3, height, width] as models take them, label and group int64 [n]."""
    import torch

    with np.load("images.npz") as file:
        pixels, label, attribute = (
            torch.from_numpy(file[f"{split}_{part}"]) for part in ("pixels", "label", "attribute")
        )
    return (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD, label, 2 * label + attribute


def network(weights: str = "") -> Any:
    import safetensors.torch
    import torch

    from spurcli.models import build_model

    torch.manual_seed(0)
    with np.load("images.npz") as file:
        height, width = file["val_pixels"].shape[1:3]
    model = build_model("small_cnn", {}, num_classes=2, input_shape=(3, height, width))
    if weights:
        model.load_state_dict(safetensors.torch.load_file(weights))
    return model


def write_made_up(path: Path, num_train: int, side: int = 64) -> None:
    """Noisy stripes, vertical or horizontal, red or blue: 90 % of a class have its colour in train, half in val and test."""
    rng, arrays = np.random.default_rng(0), {}
    for name, num_samples in zip(SPLITS, (num_train, num_train // 2, num_train), strict=True):
        label = rng.integers(2, size=num_samples)
        attribute = np.where(rng.random(num_samples) < (0.9 if name == "train" else 0.5), label, 1 - label)
        phase, place = rng.uniform(0, 6, (num_samples, 1, 1)), np.arange(side) * 0.4
        stripes = np.broadcast_to(np.sin(place + phase), (num_samples, side, side))
        stripes = np.where(label[:, None, None] == 0, stripes, stripes.swapaxes(1, 2))
        pixels = 128 + 25 * stripes[..., None] + rng.normal(0, 50, (num_samples, side, side, 3))
        pixels[np.arange(num_samples), :, :, 2 * attribute] += 40
        arrays |= {f"{name}_pixels": np.clip(pixels, 0, 255).astype(np.uint8)}
        arrays |= {f"{name}_label": label, f"{name}_attribute": attribute}
    np.savez(path, **arrays)


def write_waterbirds(path: Path, data_root: Path, num_train: int) -> None:
    """The same for Waterbirds at 112 pixels: the first samples of each split in a random order."""
    from spurcli.datasets import load_dataset
    from spurcli.session import configure

    preprocessing = configure(recipe="waterbirds-cpu").preprocessing
    dataset = load_dataset("waterbirds", {}, data_root=data_root, image_size=preprocessing.image_size)
    rng, arrays = np.random.default_rng(0), {}
    for name, num_samples in zip(SPLITS, (num_train, num_train // 2, num_train), strict=True):
        split = dataset.splits[name]
        chosen = np.sort(rng.permutation(len(split))[:num_samples])
        arrays |= {f"{name}_pixels": split.inputs.read(chosen)}
        arrays |= {f"{name}_label": split.label[chosen], f"{name}_attribute": split.attribute[chosen]}
    np.savez(path, **arrays)


def write_predictions(predicted: Any) -> None:
    """Classes int [n] of the test images, for the script to evaluate."""
    np.save("predicted.npy", np.asarray(predicted))
