"""JTT's first stage: samples that an early model gets wrong are likely those without the spurious feature."""

from __future__ import annotations

from spurcli.inferring.evidence import Attribute, Evidence


def mistakes(evidence: Evidence) -> Attribute:
    """right or wrong: argmax of the eval-mode logits against the label.

    Liu et al., "Just Train Twice", ICML 2021, Algorithm 1, line 2. Never from a pass in train mode: with dropout and batch
    norm that is another model.
    """
    return evidence.right_or_wrong(evidence.errors, evidence.other_predictions)
