"""Texts on the page: the easiest and hardest of each class, safely, from the data root of the environment."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest

from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.datasets import load_dataset
from spurcli.reporting import pictures

LABEL = np.arange(40) % 2
FIRST = [f"<b>first</b> & {number}" for number in range(40)]
SECOND = [f"second {number} " + "x" * (400 if number == 7 else 3) for number in range(40)]


@pytest.fixture
def text_scores(tmp_path):
    """A table of pairs in a data root of its own, and a score file about it: the higher the row, the harder."""
    (tmp_path / "elsewhere").mkdir()
    rows = [f"{a}\t{b}\t{'no' if y else 'yes'}\ttrain" for a, b, y in zip(FIRST, SECOND, LABEL.tolist(), strict=True)]
    (tmp_path / "elsewhere" / "pairs.tsv").write_text("\n".join(["one\ttwo\tlabel\tsplit", *rows]) + "\n")
    options = {"path": "pairs.tsv", "text": "one", "text_pair": "two", "label": "label", "split": "split"}
    dataset = load_dataset("table", options, data_root=tmp_path / "elsewhere")
    train = dataset.splits["train"]
    header = ScoresHeader(
        dataset.subject("train"), ("no", "yes"), (), {"settings": {"dataset": {"name": "table", "options": options}}}
    )
    with write_scores(tmp_path / "scores.h5", header, train.label) as writer:
        writer.add_score(ScoreInfo("el2n", "harder"))
        writer.write("el2n", 0, 0, np.arange(40, dtype=np.float32))
    return tmp_path / "scores.h5"


def quoted(page: str) -> list[list[str]]:
    return [
        [html.unescape(text) for text in re.findall(r"<span>(.*?)</span>", quote)]
        for quote in re.findall(r"<q [^>]*>(.*?)</q>", page, re.DOTALL)
    ]


def test_the_easiest_and_hardest_texts_of_each_class(text_scores, spurcli, monkeypatch, tmp_path):
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(tmp_path / "elsewhere"))
    assert spurcli("report", text_scores).code == 0
    page = (tmp_path / "report.html").read_text()
    ends = [order for y in (1, 0) for mine in [np.flatnonzero(y == LABEL)] for order in (mine[:3], mine[::-1][:3])]
    cut = [text if len(text) <= 180 else text[:180] + "…" for text in SECOND]
    assert quoted(page) == [[FIRST[row], cut[row]] for rows in ends for row in rows.tolist()]
    assert "<b>first" not in page
    assert "hover over a text for its id and score" in page
    assert len(ends[0]) == pictures.TEXTS_PER_END


def test_without_the_data_the_page_says_so(text_scores, spurcli, monkeypatch, tmp_path):
    monkeypatch.delenv("SPURCLI_DATA_ROOT", raising=False)
    (tmp_path / "elsewhere" / "pairs.tsv").unlink()  # in a folder next to the score file it would be found
    assert spurcli("report", text_scores).code == 0
    page = (tmp_path / "report.html").read_text()
    assert quoted(page) == []
    assert "pairs.tsv was not found in data or in the current folder" in page
