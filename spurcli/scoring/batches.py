"""The predictions of several batches of a model, scored at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from spurcli.artifacts.logit_checks import TOLERANCE
from spurcli.scoring.formulas import Formula, Prediction, sum_of_squares

_VALUES = (
    1 << 15
)  # logits in a block: the block fits into a CPU cache, and the fixed cost of each operation is spread over many samples


class Block:
    """Keeps logits until there are enough to score: forty small operations per batch take as long as a small network.

    `label` int64 [n] are those of all samples. `varies` counts the blocks whose logits are not all equal to those of the first sample.
    """

    def __init__(self, label: torch.Tensor, num_classes: int, *, has_bias: bool) -> None:
        self._label, self._has_bias = label, has_bias
        self._num_wanted = max(_VALUES // num_classes, 1)
        self._index: list[torch.Tensor] = []
        self._logits: list[torch.Tensor] = []
        self._squares: list[torch.Tensor] = []
        self._num_held = 0
        self._first: torch.Tensor | None = None
        self.varies = torch.zeros(1, dtype=torch.int64, device=label.device)

    @property
    def is_full(self) -> bool:
        return self._num_held >= self._num_wanted

    def add(self, index: torch.Tensor, logits: torch.Tensor, embedding: torch.Tensor | None) -> None:
        """Take the samples `index` int64 [m] with their `logits` float32 [m, classes], and the input of the last layer."""
        self._index.append(index)
        self._logits.append(logits)
        if embedding is not None:
            self._squares.append(sum_of_squares(embedding))
        self._num_held += len(index)

    def score(self, computed: Mapping[str, Formula], buffer: torch.Tensor, begin: int) -> None:
        """Put the values of the samples that are held into `buffer` [scores, window], whose first sample is `begin`."""
        if not self._num_held:
            return
        index, logits = torch.cat(self._index), torch.cat(self._logits)
        squares = torch.cat(self._squares) if self._squares else None
        by_class = logits.t().contiguous().t()
        prediction = Prediction(by_class, self._label[index], squares, self._has_bias)
        for row, compute in zip(buffer, computed.values(), strict=True):
            row.index_copy_(0, index - begin, compute(prediction))
        self._first = logits[:1].clone() if self._first is None else self._first
        furthest = torch.maximum(by_class.amax(0) - self._first[0], self._first[0] - by_class.amin(0))
        self.varies += (~(furthest <= TOLERANCE * (1 + self._first[0].abs()))).any()
        self._index, self._logits, self._squares, self._num_held = [], [], [], 0
