"""Mistakes: samples of one class that are predicted as another may carry the feature that the model uses for the other class."""

from __future__ import annotations

import numpy as np

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Finding, short_name

_DOUBT = "from the model's own mistakes: look at the samples"
_LEAST = 10  # mistakes of one kind


def seconds(_: Evidence) -> float:
    """Estimated seconds of `find`, which only counts."""
    return 0.0


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` frequent kinds of mistakes, true class → predicted class, as carriers of the predicted class's feature.

    CnC's idea (Zhang et al., ICML 2022): the prediction replaces the feature that the model leans on. A model that fits its training samples
    makes few mistakes on them; then only the held-out samples show the kinds of mistakes.
    """
    num_classes = len(evidence.class_names)
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for split in {evidence.source, evidence.held_out}:
        np.add.at(counts, (evidence.label(split), evidence.logits(split).argmax(axis=1)), 1)
    np.fill_diagonal(counts, 0)
    found = []
    for place in np.argsort(-counts, axis=None, kind="stable")[:most].tolist():
        true, predicted = divmod(place, num_classes)
        if counts[true, predicted] < _LEAST:
            break
        presence = {}
        for split in evidence.splits:
            label, guess = evidence.label(split), evidence.logits(split).argmax(axis=1)
            values = np.full(len(label), np.nan, dtype=np.float32)
            values[label == true] = guess[label == true] == predicted
            presence[split] = values
        names = evidence.class_names[true], evidence.class_names[predicted]
        found.append(
            Finding(
                name=short_name(f"{names[0]} predicted as {names[1]}"),
                finder="mistakes",
                label_index=predicted,
                presence=presence,
                statement=f"{counts[true, predicted]} samples of {names[0]} are predicted {names[1]}: they may share a feature with it",
                details={"num_mistakes": int(counts[true, predicted])},
                doubt=_DOUBT,
                inferred=True,
            )
        )
    return found
