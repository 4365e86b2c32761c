"""How counts are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spurcli as package
from spurcli.words import counted

PACKAGE = Path(package.__file__).parent


@pytest.mark.parametrize(
    ("number", "noun", "plural", "right"),
    [
        (0, "file", "", "0 files"),
        (1, "epoch", "", "1 epoch"),
        (2, "epoch", "", "2 epochs"),
        (12345, "training sample", "", "12,345 training samples"),
        (2, "class", "", "2 classes"),
        (3, "batch", "", "3 batches"),
        (1, "index", "indices", "1 index"),
        (2, "index", "indices", "2 indices"),
    ],
)
def test_a_count_takes_its_noun_in_the_right_number(number, noun, plural, right):
    assert counted(number, noun, plural) == right


def test_messages_of_one_sample_say_sample(spurcli, tmp_path):
    import numpy as np

    np.save(tmp_path / "logits.npy", np.array([[2.0, 1.0]]))
    np.save(tmp_path / "labels.npy", np.array([0]))
    done = spurcli("evaluate", "--logits", "logits.npy", "--labels", "labels.npy")
    assert "Split test, 1 sample " in done.err
    assert "Only 1 sample:" in done.err
    assert "1 samples" not in done.err


def test_no_message_writes_a_count_and_a_plural_by_hand():
    nouns = "samples|files|rows|epochs|images|texts|classes|groups|seeds|runs|lines|ids|labels|columns|tensors"
    by_hand = re.compile(rf"\{{[^{{}}]*:,\}} ([a-z]+ )?({nouns})\b")
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "words.py"]
    assert len(files) > 100
    found = [
        f"{path}: {match.group()}" for path in files for match in by_hand.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "write counted(number, noun)"
