"""CnC's first stage: the class that an early model predicts is used as the spurious feature that it leans on."""

from __future__ import annotations

from spurcli.inferring.evidence import Attribute, Evidence


def predictions(evidence: Evidence) -> Attribute:
    """The predicted class.

    Zhang et al., "Correct-N-Contrast", ICML 2022, Algorithm 1, stage 1. Raises InputError if it is the label everywhere:
    the groups would be the classes.
    """
    assert len(evidence.errors)
    return Attribute(evidence.prediction, evidence.class_names, others=evidence.other_predictions)
