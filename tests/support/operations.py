"""Counts what a piece of code asks of a device, without a GPU: operations are its kernels, reads of a number its waits."""

from __future__ import annotations

from collections import Counter

from torch.utils._python_dispatch import TorchDispatchMode

WAIT = "aten._local_scalar_dense.default"
# what takes memory, or looks at it in another way, starts nothing on a device
NO_KERNEL = (
    "alias",
    "detach",
    "empty",
    "expand",
    "lift_fresh",
    "permute",
    "select",
    "slice",
    "split",
    "t",
    "unsqueeze",
    "view",
)


def kernels(counted: Counter[str]) -> int:
    return sum(count for name, count in counted.items() if name.split(".")[1] not in NO_KERNEL)


class Counted(TorchDispatchMode):
    """Counts operations by name, those of a backward pass among them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.found[str(func)] += 1
        return func(*args, **(kwargs or {}))
