"""Difficulty scores from logits, in float32, by formulas that do not cancel.

Each public function takes logits [m, classes] and labels int64 [m] (tensors or arrays) and returns float32 [m]. p =
softmax of the logits, y = label. Which direction is harder stands in `spurcli.registries.SCORES`. One pass takes them all
from one `Prediction`, which computes once what several need.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional

from spurcli.randomness import generator

Tensor = torch.Tensor
_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Prediction:
    """A batch: `logits` float32 [m, classes], `label` int64 [m], and for grand_last the last layer's input [m, features]."""

    logits: Tensor
    label: Tensor
    embedding: Tensor | None = None
    has_bias: bool = True

    @classmethod
    def of(cls, logits: Any, label: Any) -> Prediction:
        return cls(torch.as_tensor(logits).to(torch.float32), torch.as_tensor(label).to(torch.int64))

    @cached_property
    def probability(self) -> Tensor:
        """p [m, classes]."""
        return functional.softmax(self.logits, dim=1)

    @cached_property
    def others(self) -> Tensor:
        """p with p_y set to 0."""
        return self.probability.scatter(1, self.label[:, None], 0.0)

    @cached_property
    def wrong(self) -> Tensor:
        """Σ_{j≠y} p_j [m], which is 1 − p_y without cancelling."""
        return self.others.sum(1)

    @cached_property
    def el2n(self) -> Tensor:
        # p² underflows to 0, and to ties again, from p = 1e-23 on: so the sum is taken out of the root
        shares = self.others / self.wrong.clamp_min(_TINY)[:, None]
        return self.wrong * (1 + shares.square().sum(1)).sqrt()

    @cached_property
    def margin_logit(self) -> Tensor:
        """z_y − max_{j≠y} z_j [m]."""
        rivals = self.logits.scatter(1, self.label[:, None], -torch.inf).amax(1)
        return self.at_label(self.logits) - rivals

    def at_label(self, values: Tensor) -> Tensor:
        return values.gather(1, self.label[:, None])[:, 0]


Formula = Callable[[Prediction], Tensor]
# Taken in every pass, by name; grand_last besides where the embedding is known, and random needs nothing.
FROM_LOGITS: dict[str, Formula] = {}


def _from_logits(formula: Formula) -> Callable[[Any, Any], Tensor]:
    """Register a formula, and let it be called with (logits, label)."""
    FROM_LOGITS[formula.__name__] = formula

    @functools.wraps(formula)
    def call(logits: Any, label: Any) -> Tensor:
        return formula(Prediction.of(logits, label))

    return call


@_from_logits
def el2n(prediction: Prediction) -> Tensor:
    """‖p − e_y‖₂ (Paul et al. 2021, Def. 2.2) as √(Σ_{j≠y} p_j² + (Σ_{j≠y} p_j)²).

    The obvious form has 1 − p_y, which cancels to 0 for confident samples and makes the easiest ones ties.
    """
    return prediction.el2n


@_from_logits
def el1(prediction: Prediction) -> Tensor:
    """‖p − e_y‖₁ = 2 Σ_{j≠y} p_j (Paul et al. 2021)."""
    return 2 * prediction.wrong


@_from_logits
def loss(prediction: Prediction) -> Tensor:
    """−log p_y, as log(1 + Σ_{j≠y} exp(z_j − z_y)).

    The obvious form, log Σ exp(z_j) − z_y, subtracts two nearly equal numbers for confident samples.
    """
    gaps = prediction.logits - prediction.at_label(prediction.logits)[:, None]
    odds_against = gaps.scatter(1, prediction.label[:, None], -torch.inf).logsumexp(1)
    values: Tensor = functional.softplus(odds_against)
    return values


@_from_logits
def entropy(prediction: Prediction) -> Tensor:
    """−Σ p log p, as log(1 + Σ_{j≠t} exp(z_j − z_t)) + Σ_j p_j (z_t − z_j) with t = argmax z: all terms are ≥ 0.

    The obvious form has p_t log p_t, whose p_t rounds to 1 for confident samples.
    """
    top = prediction.logits.argmax(1, keepdim=True)
    gaps = prediction.logits.gather(1, top) - prediction.logits
    others = torch.exp(-gaps).scatter(1, top, 0.0).sum(1)
    gaps = gaps.clamp_max(torch.finfo(torch.float32).max)  # p = 0 times an infinite gap is 0
    return torch.log1p(others) + (prediction.probability * gaps).sum(1)


@_from_logits
def margin(prediction: Prediction) -> Tensor:
    """p_y − max_{j≠y} p_j; larger is easier.

    As the larger of the two times 1 − exp(−|z_y − z_j|), which does not cancel where they are nearly equal.
    """
    gap = prediction.margin_logit
    larger = torch.maximum(prediction.at_label(prediction.probability), prediction.others.amax(1))
    return -larger * torch.expm1(-gap.abs()) * gap.sign()


@_from_logits
def margin_logit(prediction: Prediction) -> Tensor:
    """z_y − max_{j≠y} z_j; larger is easier (one epoch of Pleiss et al. 2020)."""
    return prediction.margin_logit


@_from_logits
def least_confidence(prediction: Prediction) -> Tensor:
    """1 − max p, as the sum of the other probabilities so that it does not cancel."""
    probability = prediction.probability
    return probability.scatter(1, probability.argmax(1, keepdim=True), 0.0).sum(1)


def grand_last(logits: Any, label: Any, embedding: Any, *, has_bias: bool = True) -> Tensor:
    """The norm of the sample's loss gradient with respect to the last linear layer (Paul et al. 2021, Sec. 2).

    el2n · √(1 + ‖h‖²) with a bias, el2n · ‖h‖ without; `embedding` h [m, features] is the layer's input.
    """
    prediction = Prediction.of(logits, label)
    h = torch.as_tensor(embedding)
    return grand_last_of(Prediction(prediction.logits, prediction.label, h, has_bias))


def grand_last_of(prediction: Prediction) -> Tensor:
    """`grand_last` of a prediction whose embedding is known."""
    assert prediction.embedding is not None
    squares = prediction.embedding.to(torch.float32).square().sum(1)
    return prediction.el2n * (squares + 1 if prediction.has_bias else squares).sqrt()


def random(num_samples: int, seed: int) -> Any:
    """Uniform numbers float32 [num_samples], the same for the same seed: the baseline that knows nothing."""
    return generator("random score", seed).random(num_samples, dtype="float32")
