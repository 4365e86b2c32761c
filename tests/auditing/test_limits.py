"""What an audit says before its search: a model at chance level, and few held-out samples."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import MadeUp

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.limits import accuracy, say_limits


def evidence_of(share, num):
    label = np.arange(num) % 2
    right = np.arange(num) < share * num
    low = np.where(right, 2.0 * label - 1, 1 - 2.0 * label)
    logits = np.stack([np.zeros(num), low], axis=1).astype(np.float32)
    splits = {"train": (label, logits), "val": (label, logits), "test": (np.tile(label, 2), np.tile(logits, (2, 1)))}
    labels, outputs = ({name: part[k] for name, part in splits.items()} for k in (0, 1))
    return Evidence(labels, ("a", "b"), MadeUp(outputs), held_out="val")


@pytest.mark.parametrize(
    ("share", "num", "poor", "few"),
    [(0.5, 60, True, True), (0.9, 60, False, True), (0.6, 400, False, False), (1, 400, False, False)],
)
def test_a_poor_model_and_few_samples_are_said(share, num, poor, few):
    evidence = evidence_of(share, num)
    say_limits(evidence)
    assert accuracy(evidence)["value"] == share
    assert [line.partition(":")[0] for line in evidence.warnings] == ["The model may be no better than chance"] * poor
    assert (
        evidence.notes == ["val has 60 samples, so only large effects can be confirmed: --held-out test has 120"] * few
    )


def test_predictions_that_were_doubted_are_not_called_poor_again():
    evidence = evidence_of(0.5, 400)
    say_limits(evidence, is_doubted=True)
    assert not evidence.warnings
