"""Every reader on damaged files: it reads, or says in two lines what is wrong; nothing else, and nothing is touched.

A short run of what `python tests/fuzz/run.py` does at length and in processes of its own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run import acts, damage
from targets import targets

NUM_MUTATIONS = 60


@pytest.mark.parametrize("name", targets())
def test_damaged_files_are_read_or_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    refused = damage(name, tmp_path, range(NUM_MUTATIONS))
    assert refused > NUM_MUTATIONS / 10  # the damage does hurt


def _run_code_of(folder: Path) -> None:
    exec(compile("1", str(folder / "own.py"), "exec"))


@pytest.mark.parametrize(
    "act",
    [
        lambda folder: (folder / "new").touch(),
        lambda folder: (folder / "there").write_text(""),
        lambda folder: (folder / "there").unlink(),
        lambda _: os.system("true"),
        _run_code_of,
    ],
)
def test_more_than_reading_is_noticed(tmp_path, monkeypatch, act):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").write_text("here")
    with pytest.raises(AssertionError, match="more than read"), acts().forbidden():
        act(tmp_path)
    (tmp_path / "kept").write_text("allowed again")
    with acts().forbidden():
        assert (tmp_path / "kept").read_text() == "allowed again"
