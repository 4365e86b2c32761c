"""What is in version control belongs there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_nothing_is_tracked_that_is_ignored():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    # by the rules of this repository only: what a user ignores everywhere is no matter here
    words = ["ls-files", "--cached", "--ignored", "--exclude-per-directory=.gitignore"]
    git = ["git", "-c", f"safe.directory={ROOT}", *words]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git cannot read this checkout: {done.stderr.strip()}")
    assert done.stdout.splitlines() == []


def test_the_source_archive_holds_what_is_tracked():
    """A folder of the repository that MANIFEST.in does not name would be missing from a release."""
    folders = {
        line.split()[1]
        for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
        if line.startswith("graft")
    }
    words = ["git", "-c", f"safe.directory={ROOT}", "ls-files"]
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"git cannot read this checkout: {done.stderr.strip()}")
    tracked = {line.partition("/")[0] for line in done.stdout.splitlines() if "/" in line}
    assert tracked == folders | {"spurcli"}
