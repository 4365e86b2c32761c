"""Difficulty scores from logits, in float32, by formulas that do not cancel.

Each function takes logits [m, classes] and labels int64 [m] (tensors or arrays) and returns float32 [m]. p = softmax
of the logits, y = label. Which direction is harder stands in `spurcli.parts.SCORES`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from spurcli.randomness import generator

# A score of a batch: what every formula here is given.
Tensor = torch.Tensor


def _float32(logits: Any, label: Any) -> tuple[Tensor, Tensor]:
    return torch.as_tensor(logits).to(torch.float32), torch.as_tensor(label).to(torch.int64)


def _others(probability: Tensor, label: Tensor) -> Tensor:
    """p with p_y set to 0."""
    return probability.scatter(1, label[:, None], 0.0)


def el2n(logits: Any, label: Any) -> Tensor:
    """‖p − e_y‖₂ (Paul et al. 2021, Def. 2.2) as √(Σ_{j≠y} p_j² + (Σ_{j≠y} p_j)²).

    The obvious form has 1 − p_y, which cancels to 0 for confident samples and makes the easiest ones ties. The sum is
    taken out of the root because p² underflows to 0, and ties again, from p = 1e-23 on.
    """
    logits, label = _float32(logits, label)
    others = _others(functional.softmax(logits, dim=1), label)
    total = others.sum(1)
    shares = others / total.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    return total * (1 + shares.square().sum(1)).sqrt()


def el1(logits: Any, label: Any) -> Tensor:
    """‖p − e_y‖₁ = 2 Σ_{j≠y} p_j (Paul et al. 2021)."""
    logits, label = _float32(logits, label)
    return 2 * _others(functional.softmax(logits, dim=1), label).sum(1)


def loss(logits: Any, label: Any) -> Tensor:
    """−log p_y."""
    logits, label = _float32(logits, label)
    values: Tensor = functional.cross_entropy(logits, label, reduction="none")
    return values


def entropy(logits: Any, label: Any) -> Tensor:  # noqa: ARG001 - all formulas are called alike
    """−Σ p log p, with 0 log 0 = 0."""
    values: Tensor = torch.special.entr(functional.softmax(torch.as_tensor(logits).to(torch.float32), dim=1)).sum(1)
    return values


def margin(logits: Any, label: Any) -> Tensor:
    """p_y − max_{j≠y} p_j; larger is easier."""
    logits, label = _float32(logits, label)
    return margin_logit(functional.softmax(logits, dim=1), label)


def margin_logit(logits: Any, label: Any) -> Tensor:
    """z_y − max_{j≠y} z_j; larger is easier (one epoch of Pleiss et al. 2020)."""
    logits, label = _float32(logits, label)
    rivals = logits.scatter(1, label[:, None], -torch.inf).amax(1)
    values: Tensor = logits.gather(1, label[:, None])[:, 0] - rivals
    return values


def least_confidence(logits: Any, label: Any) -> Tensor:  # noqa: ARG001 - all formulas are called alike
    """1 − max p, as the sum of the other probabilities so that it does not cancel."""
    probability = functional.softmax(torch.as_tensor(logits).to(torch.float32), dim=1)
    return _others(probability, probability.argmax(1)).sum(1)


def grand_last(logits: Any, label: Any, embedding: Any, *, has_bias: bool = True) -> Tensor:
    """The norm of the sample's loss gradient with respect to the last linear layer (Paul et al. 2021, Sec. 2).

    el2n · √(1 + ‖h‖²) with a bias, el2n · ‖h‖ without; `embedding` h [m, features] is the layer's input.
    """
    squares = torch.as_tensor(embedding).to(torch.float32).square().sum(1)
    return el2n(logits, label) * (squares + 1 if has_bias else squares).sqrt()


# Called with (logits, label) in one pass; grand_last also needs h, and random needs nothing.
FROM_LOGITS = {
    "el2n": el2n,
    "el1": el1,
    "loss": loss,
    "entropy": entropy,
    "margin": margin,
    "margin_logit": margin_logit,
    "least_confidence": least_confidence,
}


def random(num_samples: int, seed: int) -> Any:
    """Uniform numbers float32 [num_samples], the same for the same seed: the baseline that knows nothing."""
    return generator("random score", seed).random(num_samples, dtype="float32")
