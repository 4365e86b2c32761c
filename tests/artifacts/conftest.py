"""Small score files and the golden files of every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder with files of every version of every format."""
    return Path(__file__).parent.parent / "golden"


@pytest.fixture
def scores_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a score file: scores_file(values [runs, n], labels=…, name="el2n", higher_is="harder")."""

    def write(values: Any, *, labels: Any = None, name: str = "el2n", higher_is: Any = "harder", file="s.h5") -> Path:
        values = np.asarray(values, dtype=np.float32)
        labels = np.arange(values.shape[1]) % 2 if labels is None else np.asarray(labels)
        header = ScoresHeader(Subject(Fingerprint.of(labels)), ("a", "b"), (), {"stage": "test"})
        path = tmp_path / file
        with write_scores(path, header, labels) as writer:
            writer.add_score(ScoreInfo(name, higher_is, num_runs=len(values)))
            for run, row in enumerate(values):
                writer.write(name, run, 0, row)
        return path

    return write
