"""How much a step asks of a device, counted without a GPU: operations are its kernels, reads of a number its waits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spurcli.runtime.preprocess import Draws, ImagePreprocess
from spurcli.settings import PreprocessingSettings
from spurcli.training import fit

CPU = torch.device("cpu")
WAIT = "aten._local_scalar_dense.default"


# what only looks at memory in another way starts nothing on a device
VIEWS = ("alias", "detach", "expand", "lift_fresh", "permute", "select", "slice", "t", "unsqueeze", "view")


def kernels(counted: Counter[str]) -> int:
    return sum(count for name, count in counted.items() if name.split(".")[1] not in VIEWS)


class Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))


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
