"""Every reader on damaged files: it reads, or says in two lines what is wrong; nothing else, and nothing is touched.

A short run of what `python tests/fuzz/run.py` does at length and in processes of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from run import damage
from targets import targets

NUM_MUTATIONS = 60


@pytest.mark.parametrize("name", targets())
def test_damaged_files_are_read_or_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    refused = damage(name, tmp_path, range(NUM_MUTATIONS))
    assert refused > NUM_MUTATIONS / 10  # the damage does hurt
