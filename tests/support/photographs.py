"""Made-up photographs: smooth in all directions as natural images are, some with much texture and some with little."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spurcli.auditing.evidence import Evidence
from spurcli.datasets import ArrayImages, Dataset, Split

SIDE = 20


def smooth(rng, count, side=SIDE):
    """Images float32 [count, side, side, 3] whose spectrum falls with the frequency; the channels go together."""
    frequency = np.sqrt(np.fft.fftfreq(side)[:, None] ** 2 + np.fft.rfftfreq(side)[None] ** 2)
    spectrum = 1 / np.maximum(frequency, 1 / side) ** 1.5
    both = rng.normal(size=(count, 1, side, side)) + 0.4 * rng.normal(size=(count, 3, side, side))
    images = np.fft.irfft2(np.fft.rfft2(both) * spectrum, s=(side, side)).transpose(0, 2, 3, 1)
    contrast = rng.uniform(0.3, 1.5, (count, 1, 1, 1))
    return (128 + 30 * contrast * images / images.std()).astype(np.float32)


def patch(level):
    """A square that is brighter or darker in each channel, float64 [side, side, 3]."""
    added = np.zeros((SIDE, SIDE, 3))
    added[3:7, 3:7] = level * np.array([1, -1, 1])
    return added


@dataclass(frozen=True)
class Linear:
    """A model: logits are linear in the pixels."""

    dataset: Dataset
    weight: np.ndarray

    def logits(self, split):
        return self.ask(self.dataset.splits[split].inputs.pixels)

    def embedding(self, _split):
        return None

    def ask(self, pixels):
        return (pixels.reshape(len(pixels), -1) / 255 @ self.weight).astype(np.float32)


def evidence(added, *, share, num_classes, seed=5):
    """Photographs with a blob for each class; a share of class 1 has something added, and the model leans on it."""
    rng = np.random.default_rng(seed)
    blobs = np.zeros((num_classes, SIDE, SIDE, 3))
    for y in range(num_classes):
        blobs[y, 10:14, 4 * y + 2 : 4 * y + 5] = 60
    weight = blobs.reshape(num_classes, -1).T / 600
    if np.abs(added).max() > 0:
        weight[:, 1] += 0.5 * added.ravel() / np.abs(added).max()
    splits, carries = {}, {}
    for name, size in (("train", 400 * num_classes), ("val", 200 * num_classes)):
        label = np.arange(size) % num_classes
        pixels = smooth(rng, size) + blobs[label]
        carries[name] = (label == 1) & (rng.random(size) < share)
        pixels[carries[name]] += added
        splits[name] = Split(label, ArrayImages(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)))
    dataset = Dataset("photographs", tuple("abcd"[:num_classes]), splits)
    labels = {name: split.label for name, split in splits.items()}
    return Evidence(labels, dataset.class_names, Linear(dataset, weight), held_out="val", dataset=dataset), carries
