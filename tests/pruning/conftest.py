"""Score files with made-up values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject


@pytest.fixture
def score_file(tmp_path) -> Callable[..., Path]:
    """Write a score file: score_file(values [runs, n] or [n], label, name="a.h5", attribute=..., ...)."""

    def write(
        values, label, *, name="scores.h5", higher_is="harder", classes=None, attributes=(), attribute=None,
        injection=None, score="el2n",
    ):  # fmt: skip
        values = np.atleast_2d(np.asarray(values, dtype=np.float32))
        label = np.asarray(label, dtype=np.int64)
        classes = tuple(classes or (f"class{y}" for y in range(int(label.max()) + 1)))
        group = None if attribute is None else label * len(attributes) + np.asarray(attribute)
        header = ScoresHeader(
            Subject(Fingerprint.of(label), injection),
            classes,
            tuple(f"{y}/{a}" for y in classes for a in attributes),
            {},
        )
        with write_scores(tmp_path / name, header, label, group=group) as writer:
            writer.add_score(ScoreInfo(score, higher_is, num_runs=len(values)))
            for run, row in enumerate(values):
                writer.write(score, run, 0, row)
        return tmp_path / name

    return write
