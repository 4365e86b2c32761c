"""JTT's first stage: samples that an early model misclassifies are likely those without the spurious feature."""

from __future__ import annotations

from spurcli.inferring.evidence import Attribute, Evidence


def mistakes(evidence: Evidence) -> Attribute:
    """right or wrong: argmax of the eval-mode logits against the label.

    Liu et al., "Just Train Twice", ICML 2021, Algorithm 1, line 2. Never from a pass in train mode: dropout and batch
    norm make this a different model.
    """
    return evidence.right_or_wrong(evidence.errors, evidence.other_predictions)
