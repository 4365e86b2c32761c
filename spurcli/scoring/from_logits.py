"""Scores of logits that another program made, in the order of the training split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.scores import ScoresWriter
from spurcli.scoring.formulas import Prediction
from spurcli.scoring.requested import RequestedScore

_BLOCK = 1 << 16


def score_logits(
    logits: NDArray[np.float32], label: NDArray[np.int64], scores: Sequence[RequestedScore], writer: ScoresWriter
) -> None:
    """Write all `scores`, one block at a time, with NumPy; torch is used only for the user's own scores, which take tensors."""
    for start in range(0, len(logits), _BLOCK):
        block = slice(start, start + _BLOCK)
        prediction = Prediction(np.array(logits[block], order="F"), np.array(label[block]))
        with np.errstate(
            all="ignore"
        ):  # the formulas are finite for finite logits; intermediate values that underflow are 0
            for score in scores:
                assert score.compute is not None
                writer.write(score.name, 0, start, np.asarray(score.compute(prediction)))
