"""The chain run once, for tests that disturb its stages."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def chain(tmp_path_factory, warm):
    """stages.run_chain: inputs, older outputs, outputs and seconds of each stage."""
    from stages import run_chain

    return run_chain(tmp_path_factory.mktemp("chain"))
