"""Embeddings as inputs: one standardised tensor in memory, from which batches are picked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spurcli.datasets.inputs import Vectors
from spurcli.runtime.feed import WHOLE, batch_bounds, own_part

_ROWS = 1 << 13
# A dimension that varies less than this share of the one that varies most is constant except for rounding.
_CONSTANT = 1e-6


@dataclass(frozen=True)
class Standardisation:
    """`mean` and `scale` float32 [d]: of the training split each dimension gets mean 0 and standard deviation 1.

    A dimension that does not vary there is only centred.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def of(cls, train: Vectors) -> Standardisation:
        """From all samples of the training split, independent of any list; summed in float64, by blocks."""
        blocks = [train.values[start : start + _ROWS] for start in range(0, len(train), _ROWS)]
        mean = sum(block.sum(0, dtype=np.float64) for block in blocks) / len(train)
        variance = sum(np.square(block - mean).sum(0) for block in blocks) / len(train)
        std = np.sqrt(variance)
        varies = std > _CONSTANT * std.max()
        return cls(mean.astype(np.float32), (1 / np.where(varies, std, 1.0)).astype(np.float32))

    def apply(self, vectors: Vectors) -> torch.Tensor:
        """The vectors standardised, float32 [n, d]."""
        result = torch.empty(vectors.values.shape, dtype=torch.float32)
        mean, scale = torch.from_numpy(self.mean), torch.from_numpy(self.scale)
        for start in range(0, len(vectors), _ROWS):
            block = torch.from_numpy(vectors.values[start : start + _ROWS])
            torch.mul(block - mean, scale, out=result[start : start + _ROWS])
        return result


@dataclass(frozen=True)
class VectorFeed:
    """Reads standardised embeddings by position as float32 [m, d] on `device`."""

    inputs: Vectors
    device: torch.device
    values: torch.Tensor

    @classmethod
    def build(cls, inputs: Vectors, device: torch.device, standardisation: Standardisation) -> VectorFeed:
        return cls(inputs, device, standardisation.apply(inputs).to(device))

    def training_order(self, order: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> NDArray[np.int64]:  # noqa: ARG002
        """`order` itself: vectors of one length cost the same in any batch."""
        return order

    def reading_order(self, begin: int, end: int) -> NDArray[np.int64]:
        """Positions begin … end − 1."""
        return np.arange(begin, end, dtype=np.int64)

    def batches(
        self,
        order: NDArray[np.int64],
        batch_size: int,
        first: int = 0,
        share: slice = WHOLE,
        *,
        joins_lone: bool = False,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield (index int64 [m], vectors) for consecutive batches of `order`, starting with batch number `first`."""
        positions = torch.from_numpy(np.ascontiguousarray(order)).to(self.device)
        for bounds in batch_bounds(len(order), batch_size, joins_lone=joins_lone)[first:]:
            begin, end = own_part(*bounds, share, joins_lone=joins_lone)
            index = positions[begin:end]
            yield index, self.values[index]
