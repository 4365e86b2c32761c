"""Every stage on a full disk, on one that cannot be written, and beside another that writes the same."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stages import ORDER, command, content, finish, start, stderr_of, tree

SIZE = 48 << 20


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, as a folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", folder], check=False).returncode
    ):
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def failed(folder: Path, stage: str) -> str:
    """What a stage said that must fail for reasons outside."""
    process = start(folder, command(stage))
    process.join(120)
    said = stderr_of(folder).read_text()
    assert process.exitcode == 3, said
    assert "Traceback" not in said
    return " ".join(said.split())


@pytest.mark.parametrize("stage", ORDER)
def test_no_space_and_no_right_to_write(chain, disk, stage):
    before, older, new, _ = chain[stage]
    folder = disk / "run"
    shutil.copytree(older, folder)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    said = failed(folder, stage)
    assert "No space left" in said
    assert {name: content(folder / name) for name in new} == {name: content(older / name) for name in new}
    filler.unlink()

    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    said = failed(folder, stage)
    assert "Not allowed to write" in said
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert tree(folder) == tree(older)

    finish(folder, command(stage))
    assert tree(folder) == {**tree(before), **new}


@pytest.mark.parametrize("stage", ORDER)
def test_two_at_once(chain, tmp_path, stage):
    """One of them may find the other at work and say so; what stands in the end is whole and right."""
    before, _, new, _ = chain[stage]
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    both = [start(folder, command(stage)) for _ in range(2)]
    for process in both:
        process.join(120)
    assert sorted({process.exitcode for process in both}) in ([0], [0, 3]), stderr_of(folder).read_text()
    assert "Traceback" not in stderr_of(folder).read_text()
    finish(folder, command(stage))
    assert tree(folder) == {**tree(before), **new}


def test_scores_that_another_process_is_writing(chain, tmp_path):
    before, *_ = chain["prune"]
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    script = "import h5py, sys; file = h5py.File(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, str(folder / "scores.h5")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        said = failed(folder, "prune")
        writer.stdin.close()
    assert "scores.h5" in said
    assert "being written by another process" in said
