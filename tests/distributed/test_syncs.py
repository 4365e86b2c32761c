"""No step of a training makes the host wait for the device: counted, as no GPU need be at hand."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from spurcli.progress import Silent
from spurcli.registries import METHODS
from spurcli.training import fit

# Each of these reads a tensor on the host, whatever the device.
READS = ("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__int__", "__float__", "__index__", "__array__")
# Operators whose result, or its shape, the host must wait for.
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")


class Waits(TorchDispatchMode):
    """Counts such operators, and indexing with a mask, which is a nonzero inside."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name.startswith("index") and isinstance(args[1], list | tuple) else ()
        if name in WAITS or any(isinstance(each, torch.Tensor) and each.dtype == torch.bool for each in indices):
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def counting(name: str, found: Counter[str]) -> Callable[..., Any]:
    plain = getattr(torch.Tensor, name)

    def read(tensor, *args, **options):
        found[name] += 1
        return plain(tensor, *args, **options)

    return read


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    found: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch, Waits(found):
        for name in READS:
            patch.setattr(torch.Tensor, name, counting(name, found))
        yield found


class Between(Silent):
    """Counts what happens from the end of step `begin` to the end of step `end`."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end, self.step, self.found = begin, end, 0, Counter[str]()
        self.stack = contextlib.ExitStack()

    def advance(self, num_samples: int) -> None:
        self.step += num_samples > 0
        if self.step == self.begin and num_samples:
            self.found = self.stack.enter_context(counted())
        if self.step == self.end and num_samples:
            self.stack.close()


STEPS = [name for name in METHODS.entries if name != "dfr"]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", STEPS)
def test_ten_steps_wait_for_nothing(runs, name, precision):
    between = Between(1, 11)
    size = 5 if name == "cnc" else 8
    trainer = runs.trainer(runs.World(), name, progress=between, batch_size=size, epochs=1, precision=precision)
    plain = trainer.method.order
    trainer.method.order = lambda seed, epoch: np.tile(plain(seed, epoch), 20)[: 16 * size]
    with between.stack:
        fit(trainer, until_epoch=1)
    assert between.step >= 11
    assert not between.found


def test_the_count_finds_what_waits():
    x = torch.arange(4.0)
    with counted() as found:
        x.sum().item()
        bool(x[0] > 0)
        x[x > 1]
        x.cpu()
        x.tolist()
    assert found["item"] == found["__bool__"] == found["cpu"] == found["tolist"] == 1
    assert found["index"] == 1
