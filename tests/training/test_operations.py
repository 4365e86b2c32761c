"""How much a step asks of a device, counted without a GPU: operations are its kernels, reads of a number its waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import torch
from operations import WAIT, Counted, kernels  # the module is in tests/support

from spurcli.datasets import ArrayImages, Dataset, Split
from spurcli.progress import Silent
from spurcli.runtime.context import RunContext
from spurcli.runtime.preprocess import Draws, ImagePreprocess
from spurcli.session import configure
from spurcli.settings import PreprocessingSettings
from spurcli.training import Trainer, fit
from spurcli.training.method import TrainingSamples, build_method

CPU = torch.device("cpu")


def of_training(build_trainer, **changes) -> Counter[str]:
    with Counted() as counted:
        fit(build_trainer(**changes), until_epoch=1)
    return counted.found


def test_a_step_waits_for_nothing_and_an_epoch_as_often_whatever_its_length(build_trainer):
    short, long = (of_training(build_trainer, batch_size=size, epochs=1, joins_lone=False) for size in (24, 4))
    steps = 12 - 2
    assert short[WAIT] == long[WAIT] <= 4
    assert kernels(long - short) <= 34 * steps, (long - short).most_common()


def test_augmentation_takes_few_operations_a_batch():
    """The random numbers of a batch took 45 more."""
    settings = PreprocessingSettings(crop_padding=4, flip=True)
    preprocess = replace(ImagePreprocess.build(settings, 3, CPU), draws=Draws(50))
    pixels, index = torch.zeros((8, 3, 8, 8), dtype=torch.uint8), torch.arange(8)
    preprocess.training(pixels, index, 0, 1)
    with Counted() as counted:
        preprocess.training(pixels, index, 0, 1)
    assert kernels(counted.found) <= 21, counted.found


def of_recipe(name: str, num_samples: int, batch_size: int) -> Counter[str]:
    """An epoch of a recipe on as many small random images of ten classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (num_samples, 8, 8, 3), dtype=np.uint8)
    split = Split(rng.integers(0, 10, num_samples), ArrayImages(pixels))
    dataset = Dataset("made up", tuple("0123456789"), {"train": split})
    settings = configure(recipe=name, overrides={"training.batch_size": batch_size, "training.epochs": 1})
    context = RunContext(settings, dataset, CPU, Silent())
    trainer = Trainer(
        model=context.model(0),
        method=build_method("erm", {}, TrainingSamples(np.arange(num_samples), split.label, 10, batch_size)),
        feed=context.feed(split.inputs),
        preprocess=context.preprocess(),
        label=torch.from_numpy(split.label),
        num_classes=10,
        settings=settings.training,
        seed=0,
        called=context.model_called,
        joins_lone=False,
    )
    with Counted() as counted:
        fit(trainer, until_epoch=1)
    return counted.found


def test_a_step_of_resnet20_with_the_recipes_augmentation():
    """21 convolutions and batch norms, each with a count of batches, and 19 ReLUs, forward and backward, are 145 of them."""
    short, long = (of_recipe("cifar10", num_samples, 4) for num_samples in (8, 24))
    assert short[WAIT] == long[WAIT]
    assert kernels(long - short) <= 200 * 4, (long - short).most_common()
