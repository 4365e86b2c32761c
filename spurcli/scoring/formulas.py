"""Difficulty scores from logits, in float32, by formulas that do not cancel.

Each public function takes logits [m, classes] and labels int64 [m] (tensors or arrays) and returns a tensor float32 [m]. p =
softmax of the logits, y = label. Which direction is harder stands in `spurcli.registries.SCORES`. One pass takes them all
from one `Prediction`, which computes once what several need. A prediction of NumPy arrays is computed by NumPy: importing
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
    """A batch: `logits` float32 [m, classes], `label` int64 [m], and for grand_last the last layer's input [m, features]."""

    logits: Values
    label: Values
    embedding: Values | None = None
    has_bias: bool = True

    @classmethod
    def of(cls, logits: Any, label: Any) -> Prediction:
        """Of whatever torch makes tensors of."""
        import torch

        return cls(torch.as_tensor(logits).to(torch.float32), torch.as_tensor(label).to(torch.int64))

    @cached_property
    def by(self) -> ModuleType:
        """The module that computes: functions of one name and meaning for tensors and for arrays."""
        if isinstance(self.logits, np.ndarray):
            from spurcli.scoring import of_arrays

            return of_arrays
        from spurcli.scoring import of_tensors

        return of_tensors

    @cached_property
    def probability(self) -> Values:
        """p [m, classes]."""
        return self.by.softmax(self.logits)

    @cached_property
    def others(self) -> Values:
        """p with p_y set to 0."""
        return self.by.put(self.probability, self.label, 0.0)

    @cached_property
    def wrong(self) -> Values:
        """Σ_{j≠y} p_j [m], which is 1 − p_y without cancelling."""
        return self.by.total(self.others)

    @cached_property
    def el2n(self) -> Values:
        # p² underflows to 0, and to ties again, from p = 1e-23 on: so the sum is taken out of the root
        by = self.by
        shares = self.others / by.at_least(self.wrong, _TINY)[:, None]
        return self.wrong * by.sqrt(1 + by.total(by.square(shares)))

    @cached_property
    def margin_logit(self) -> Values:
        """z_y − max_{j≠y} z_j [m]."""
        rivals = self.by.largest(self.by.put(self.logits, self.label, -math.inf))
        return self.at_label(self.logits) - rivals

    def at_label(self, values: Values) -> Values:
        return self.by.pick(values, self.label)


Formula = Callable[[Prediction], Values]
# Taken in every pass, by name; grand_last besides where the embedding is known, and random needs nothing.
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

    The obvious form has 1 − p_y, which cancels to 0 for confident samples and makes the easiest ones ties.
    """
    return prediction.el2n


@_from_logits
def el1(prediction: Prediction) -> Values:
    """‖p − e_y‖₁ = 2 Σ_{j≠y} p_j (Paul et al. 2021)."""
    return 2 * prediction.wrong


@_from_logits
def loss(prediction: Prediction) -> Values:
    """−log p_y, as log(1 + Σ_{j≠y} exp(z_j − z_y)).

    The obvious form, log Σ exp(z_j) − z_y, subtracts two nearly equal numbers for confident samples.
    """
    by, gaps = prediction.by, prediction.logits - prediction.at_label(prediction.logits)[:, None]
    return by.softplus(by.log_sum_exp(by.put(gaps, prediction.label, -math.inf)))


@_from_logits
def entropy(prediction: Prediction) -> Values:
    """−Σ p log p, as log(1 + Σ_{j≠t} exp(z_j − z_t)) + Σ_j p_j (z_t − z_j) with t = argmax z: all terms are ≥ 0.

    The obvious form has p_t log p_t, whose p_t rounds to 1 for confident samples.
    """
    by, logits = prediction.by, prediction.logits
    top = by.position_of_largest(logits)
    gaps = by.pick(logits, top)[:, None] - logits
    others = by.total(by.put(by.exp(-gaps), top, 0.0))
    gaps = by.at_most(gaps, _MOST)  # p = 0 times an infinite gap is 0
    return by.log1p(others) + by.total(prediction.probability * gaps)


@_from_logits
def margin(prediction: Prediction) -> Values:
    """p_y − max_{j≠y} p_j; larger is easier.

    As the larger of the two times 1 − exp(−|z_y − z_j|), which does not cancel where they are nearly equal.
    """
    by, gap = prediction.by, prediction.margin_logit
    larger = by.maximum(prediction.at_label(prediction.probability), by.largest(prediction.others))
    return -larger * by.expm1(-abs(gap)) * by.sign(gap)


@_from_logits
def margin_logit(prediction: Prediction) -> Values:
    """z_y − max_{j≠y} z_j; larger is easier (one epoch of Pleiss et al. 2020)."""
    return prediction.margin_logit


@_from_logits
def least_confidence(prediction: Prediction) -> Values:
    """1 − max p, as the sum of the other probabilities so that it does not cancel."""
    by, probability = prediction.by, prediction.probability
    return by.total(by.put(probability, by.position_of_largest(probability), 0.0))


def grand_last(logits: Any, label: Any, embedding: Any, *, has_bias: bool = True) -> Values:
    """The norm of the sample's loss gradient with respect to the last linear layer (Paul et al. 2021, Sec. 2).

    el2n · √(1 + ‖h‖²) with a bias, el2n · ‖h‖ without; `embedding` h [m, features] is the layer's input.
    """
    import torch

    prediction = Prediction.of(logits, label)
    h = torch.as_tensor(embedding)
    return grand_last_of(Prediction(prediction.logits, prediction.label, h, has_bias))


def grand_last_of(prediction: Prediction) -> Values:
    """`grand_last` of a prediction whose embedding is known."""
    assert prediction.embedding is not None
    squares = prediction.embedding.float().square().sum(1)
    return prediction.el2n * (squares + 1 if prediction.has_bias else squares).sqrt()


def random(num_samples: int, seed: int) -> Any:
    """Uniform numbers float32 [num_samples], the same for the same seed: the baseline that knows nothing."""
    return generator("random score", seed).random(num_samples, dtype="float32")
