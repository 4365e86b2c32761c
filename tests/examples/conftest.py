"""What the tests of examples/, benchmarks/ and the documents share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_multinli() -> Callable[[Path], None]:
    """Write a small MultiNLI below a data root: pairs of three words; contradictions mostly negate, others seldom."""

    def write(root: Path) -> None:
        folder = root / "multinli_1.0"
        folder.mkdir(parents=True)
        lines = []
        for number, label in zip(range(600), itertools.cycle(("contradiction", "entailment", "neutral")), strict=False):
            negates = (number // 3) % 10 < (7 if label == "contradiction" else 2)
            second = f"{label[:2]} {number % 7} {'never' if negates else 'seen'}"
            lines.append(json.dumps({"gold_label": label, "sentence1": f"a {number % 5} b", "sentence2": second}))
        (folder / "multinli_1.0_train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return write
