"""What a training method supplies to the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from spurcli.errors import InputError, UsageError
from spurcli.parts import METHODS
from spurcli.randomness import generator


@dataclass(frozen=True)
class TrainingSamples:
    """What a method may know about the samples it trains on: positions, labels and groups, all int64 [num_kept]."""

    kept: NDArray[np.int64]
    label: NDArray[np.int64]
    num_classes: int
    group: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """One batch on the device: positions and labels int64 [m], groups if known; `global_size` over all devices."""

    index: torch.Tensor
    label: torch.Tensor
    group: torch.Tensor | None
    global_size: int


class Method(Protocol):
    """Loss, sampling order and state. The loop does the rest."""

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions to visit in `epoch` (counted from 0), a function of (seed, epoch) alone."""
        ...

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """This device's share of the loss of the global batch: per-sample sums are divided by `global_size`."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors that a resumed run needs."""
        ...

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None: ...


def build_method(name: str, options: Mapping[str, Any], samples: TrainingSamples) -> Method:
    """Build a method by registered name or the user's own `file.py:attr`: called with the samples and its options."""
    factory = METHODS.load(name)
    try:
        method: Method = factory(samples, **options)
    except TypeError as error:
        raise UsageError(f"Method {name!r} could not be built: {error}", "Check method.options.") from error
    for part in ("order", "loss", "state", "load_state"):
        if not callable(getattr(method, part, None)):
            raise InputError(
                f"Method {name!r} has no {part}()", "See spurcli.training.method.Method for what it needs."
            )
    return method


def shuffled(kept: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """`kept` in an order that is a function of (seed, epoch)."""
    return generator("order", seed, epoch).permutation(kept)
