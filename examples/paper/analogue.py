"""A replacement for Hard ImageNet's dog sleds and skis from CIFAR-10's photographs: a user-defined data set, analogue.py:planes.

There, snow goes with skis in training because the dog sleds that are kept are the ones with the least snow, and dog sleds before
snow are then taken for skis. Here the sky plays the snow, airplanes the skis and birds the dog sleds: in training there are few birds,
those with the least sky, and few airplanes, drawn at random; the other eight classes are as many as their share. The test split is
CIFAR-10's own. It shares with Hard ImageNet that the cue is a photograph's own and nobody labelled it, nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.datasets.cifar10 import load

AIRPLANE, BIRD = 0, 2


def planes(
    *, data_root: Path, num_birds: int = 400, num_planes: int = 800, num_others: int = 1500, draw_seed: int = 0
) -> Dataset:
    """Training: `num_birds` birds with the least sky, `num_planes` airplanes and `num_others` of each other class at random."""
    whole = load(data_root=data_root)
    train = whole.splits["train"]
    blueness = sky(np.asarray(train.inputs.read(np.arange(len(train)))))
    rng = np.random.default_rng(draw_seed)
    kept = []
    for label in range(len(whole.class_names)):
        members = np.flatnonzero(train.label == label)
        if label == BIRD:
            kept.append(members[np.argsort(blueness[members], kind="stable")[:num_birds]])
        else:
            kept.append(rng.permutation(members)[: num_planes if label == AIRPLANE else num_others])
    index = np.sort(np.concatenate(kept))
    test = whole.splits["test"]
    splits = {"train": _part(train, index), "test": _part(test, np.arange(len(test)))}
    return Dataset("planes", whole.class_names, splits, ("other", "sky"), confusion=(BIRD, AIRPLANE))


def sky(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much bluer than red the border of each image is, three pixels wide: float64 [n] of uint8 [n, 32, 32, 3], -255 to 255."""
    border = np.ones(pixels.shape[1:3], dtype=bool)
    border[3:-3, 3:-3] = False
    red_and_blue = pixels[:, border][:, :, (0, 2)].mean(axis=1)
    return np.asarray(red_and_blue[:, 1] - red_and_blue[:, 0])


def _part(split: Split, index: NDArray[np.int64]) -> Split:
    """Some samples of a split; sky where the border is bluer than red by 15, as in ../sky.py."""
    pixels = np.asarray(split.inputs.read(index))
    return Split(split.label[index], ArrayImages(pixels), (sky(pixels) > 15).astype(np.int64))
