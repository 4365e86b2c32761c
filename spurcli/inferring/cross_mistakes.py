"""Two models, each trained on half of the samples; each sample is judged by the model that has not seen it. Not XRM."""

from __future__ import annotations

from spurcli.inferring.evidence import Attribute, Evidence


def cross_mistakes(evidence: Evidence) -> Attribute:
    """right or wrong: argmax of the held-out logits against the label.

    Pezeshki et al., "Discovering Environments with XRM", ICML 2024: environments are the mistakes on held-out samples. XRM
    also flips labels while the two models train, each towards the other's confident predictions, so that they lean more on the
    spurious feature; without flipping, both also learn the core, and their mistakes say less about the feature.
    """
    return evidence.right_or_wrong(evidence.held_out_errors, evidence.other_held_out_predictions)
