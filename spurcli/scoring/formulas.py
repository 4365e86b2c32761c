"""Difficulty scores from logits, in float32, by formulas without cancellation.

Each public function takes logits [m, classes] and labels int64 [m] (tensors or arrays) and returns a tensor float32 [m]. p =
softmax of the logits, y = label. `spurcli.registries.SCORES` has the direction of each score. One pass computes all scores
from one `Prediction`, which computes shared terms once. NumPy computes predictions of NumPy arrays, because importing
torch takes longer than scoring a million logits.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np

from spurcli.randomness import generator

Values = Any  # a tensor or an array, as the prediction is
_TINY, _MOST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Prediction:
    """A batch: `logits` float32 [m, classes], `label` int64 [m], and for grand_last ‖h‖² [m] of the last layer's input h.

    If the values of a class are contiguous in memory (Fortran order), each operation runs over many samples at once,
    which is several times faster for ten classes.
    """

    logits: Values
    label: Values
    squares: Values | None = None
    has_bias: bool = True

    @classmethod
    def of(cls, logits: Any, label: Any) -> Prediction:
        """From anything that torch can convert to tensors."""
        import torch

        return cls(torch.as_tensor(logits).to(torch.float32), torch.as_tensor(label).to(torch.int64))

    @cached_property
    def by(self) -> ModuleType:
        """The module that computes: the same functions for tensors and for arrays."""
        if isinstance(self.logits, np.ndarray):
            from spurcli.scoring import of_arrays

            return of_arrays
        from spurcli.scoring import of_tensors

        return of_tensors

    @cached_property
    def top(self) -> Values:
        """t = max_j z_j [m]."""
        return self.by.largest(self.logits)

    @cached_property
    def powers(self) -> Values:
        """exp(z_j − t) [m, classes]: the probabilities before they are divided by their sum."""
        return self.by.exp(self.logits - self.top[:, None])

    @cached_property
    def rest(self) -> Values:
        """The sum of all powers except one of the largest [m]. The largest powers are exactly 1, so they are counted, without cancellation."""
        by = self.by
        ones = by.floor(self.powers)
        return by.total(self.powers - ones) + (by.total(ones) - 1)

    @cached_property
    def others(self) -> Values:
        """The powers, with that of the label set to 0."""
        return self.by.put(self.powers, self.label, 0.0)

    @cached_property
    def sum_of_others(self) -> Values:
        return self.by.total(self.others)

    @cached_property
    def wrong(self) -> Values:
        """Σ_{j≠y} p_j [m], which is 1 − p_y without cancelling."""
        return self.sum_of_others / (1 + self.rest)

    @cached_property
    def el2n(self) -> Values:
        # p² underflows to 0, and to ties again, from p = 1e-23 on: so the sum is taken out of the root
        by = self.by
        shares = self.others / by.at_least(self.sum_of_others, _TINY)[:, None]
        return self.wrong * by.sqrt(1 + by.total(by.square(shares)))

    @cached_property
    def margin_logit(self) -> Values:
        """z_y − max_{j≠y} z_j [m]."""
        rivals = self.by.largest(self.by.put(self.logits, self.label, -math.inf))
        return self.at_label(self.logits) - rivals

    def at_label(self, values: Values) -> Values:
        return self.by.pick(values, self.label)


Formula = Callable[[Prediction], Values]
# Computed in every pass, by name; also grand_last if the embedding is known; random needs no logits.
FROM_LOGITS: dict[str, Formula] = {}


def _from_logits(formula: Formula) -> Callable[[Any, Any], Values]:
    """Register a formula, and let it be called with (logits, label)."""
    FROM_LOGITS[formula.__name__] = formula

    @functools.wraps(formula)
    def call(logits: Any, label: Any) -> Values:
        return formula(Prediction.of(logits, label))

    return call


@_from_logits
def el2n(prediction: Prediction) -> Values:
    """‖p − e_y‖₂ (Paul et al. 2021, Def. 2.2) as √(Σ_{j≠y} p_j² + (Σ_{j≠y} p_j)²).

    The simple formula has 1 − p_y, which cancels to 0 for confident samples and gives ties among the easiest samples.
    """
    return prediction.el2n


@_from_logits
def el1(prediction: Prediction) -> Values:
    """‖p − e_y‖₁ = 2 Σ_{j≠y} p_j (Paul et al. 2021)."""
    return 2 * prediction.wrong


@_from_logits
def loss(prediction: Prediction) -> Values:
    """−log p_y, as log(1 + Σ_{j≠t} exp(z_j − z_t)) + (z_t − z_y) with t = argmax z: both terms are ≥ 0.

    The simple formula, log Σ exp(z_j) − z_y, subtracts two nearly equal numbers for confident samples.
    """
    return prediction.by.log1p(prediction.rest) + (prediction.top - prediction.at_label(prediction.logits))


@_from_logits
def entropy(prediction: Prediction) -> Values:
    """−Σ p log p, as log(1 + Σ_{j≠t} exp(z_j − z_t)) + Σ_j p_j (z_t − z_j) with t = argmax z: all terms are ≥ 0.

    The simple formula has p_t log p_t, whose p_t rounds to 1 for confident samples.
    """
    by, rest = prediction.by, prediction.rest
    gaps = by.at_most(prediction.top[:, None] - prediction.logits, _MOST)  # p = 0 times an infinite gap is 0
    return by.log1p(rest) + by.total(prediction.powers * gaps) / (1 + rest)


@_from_logits
def margin(prediction: Prediction) -> Values:
    """p_y − max_{j≠y} p_j; larger is easier.

    Computed as the larger probability times 1 − exp(−|z_y − z_j|), which does not cancel if both are nearly equal.
    """
    by, gap = prediction.by, prediction.margin_logit
    return -by.expm1(-abs(gap)) * by.sign(gap) / (1 + prediction.rest)


@_from_logits
def margin_logit(prediction: Prediction) -> Values:
    """z_y − max_{j≠y} z_j; larger is easier (one epoch of Pleiss et al. 2020)."""
    return prediction.margin_logit


@_from_logits
def least_confidence(prediction: Prediction) -> Values:
    """1 − max p, as the sum of the other probabilities so that it does not cancel."""
    return prediction.rest / (1 + prediction.rest)


def grand_last(logits: Any, label: Any, embedding: Any, *, has_bias: bool = True) -> Values:
    """The norm of the sample's loss gradient with respect to the last linear layer (Paul et al. 2021, Sec. 2).

    el2n · √(1 + ‖h‖²) with a bias, el2n · ‖h‖ without; `embedding` h [m, d] is the layer's input.
    """
    import torch

    prediction = Prediction.of(logits, label)
    squares = sum_of_squares(torch.as_tensor(embedding))
    return grand_last_of(Prediction(prediction.logits, prediction.label, squares, has_bias))


def sum_of_squares(embedding: Any) -> Values:
    """‖h‖² float32 [m] of a tensor h [m, d]."""
    import torch

    return torch.linalg.vector_norm(embedding.float(), dim=1).square()


def grand_last_of(prediction: Prediction) -> Values:
    """`grand_last` of a prediction whose embedding is known."""
    squares = prediction.squares
    assert squares is not None
    return prediction.el2n * (squares + 1 if prediction.has_bias else squares).sqrt()


def random(num_samples: int, seed: int) -> Any:
    """Uniform numbers float32 [num_samples], the same for the same seed: a random baseline."""
    return generator("random score", seed).random(num_samples, dtype="float32")
