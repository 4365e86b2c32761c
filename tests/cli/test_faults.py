"""Every stage on a full disk, without permission, with inputs that go, and beside another that writes the same."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stages import ORDER, command, content, finish, start, tree

SIZE = 48 << 20
INPUTS: dict[str, list[str]] = {
    "inject": [],
    "score": ["inject.json"],
    "prune": ["scores.h5"],
    "score by dynamics": ["dynamics.h5"],
    "train": ["keep.txt"],
    "data embed": ["model.safetensors"],
    "infer": ["model.safetensors"],
    "train by group DRO": ["groups.txt"],
    "train by DFR": ["model.safetensors"],
    "audit": ["model.safetensors"],
    "evaluate": ["model.safetensors"],
    "export": ["keep.txt"],
    "report": ["evaluation.json"],
}


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


def failed(folder: Path, stage: str, codes: tuple[int, ...] = (3,)) -> str:
    """What a stage said that must fail for reasons outside: warnings, then one error of one or two lines."""
    running = start(folder, command(stage))
    assert running.wait() in codes, running.said()
    said = running.said()
    assert "Traceback" not in said
    error = said[said.index("Error: ") :]
    assert error.count("Error: ") == 1
    return " ".join(error.split())


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
def test_no_permission(chain, tmp_path, stage):
    before, older, new, _ = chain[stage]
    folder = tmp_path / "run"
    shutil.copytree(older, folder)
    folders = {(folder / name).parent for name in new}
    for path in folders:
        path.chmod(0o555)
    assert "Not allowed to write" in failed(folder, stage)
    for path in folders:
        path.chmod(0o755)
    assert tree(folder) == tree(older)

    for name in INPUTS[stage]:
        (folder / name).chmod(0)
        if stage == "report":  # of what else is there
            running = start(folder, command(stage))
            assert running.wait() == 0
            assert f"Not read: {name}: Permission denied" in running.said()
            shutil.copy(older / "report.html", folder)
        else:
            said = failed(folder, stage, (2, 3))  # 2 where the command line sees it
            assert name in said
            assert "Not allowed to read" in said or "is not readable" in said
        (folder / name).chmod(0o644)
    assert tree(folder) == tree(older)
    finish(folder, command(stage))
    assert tree(folder) == {**tree(before), **new}


@pytest.mark.parametrize("stage", [stage for stage in ORDER if stage not in ("inject", "report")])
def test_inputs_that_vanish_at_any_moment(chain, tmp_path, stage):
    """What was read before may be enough; else the error names what is gone. Either way no wrong file.

    A report of what is there needs no file of its own; a list that train finds by itself also names the data set.
    """
    before, older, new, seconds = chain[stage]
    rng = random.Random(stage)
    folder, away = tmp_path / "run", tmp_path / "away"
    shutil.copytree(older, folder)
    old = {name: content(folder / name) for name in new}
    for share in (0, rng.uniform(0, 0.5), rng.uniform(0.5, 1)):
        away.mkdir()
        running = start(folder, command(stage)) if share else None
        time.sleep(share * seconds)
        for name in INPUTS[stage]:
            (folder / name).rename(away / Path(name).name)
        running = running or start(folder, command(stage))
        code, said = running.wait(), running.said()
        assert code in ((0, 2, 3) if share else (2, 3)), said
        assert "Traceback" not in said
        assert code == 0 or any(name in said for name in INPUTS[stage]) or "No data set is named" in said, said
        for name in new:
            assert content(folder / name) in (old[name], new[name])
        for name in INPUTS[stage]:
            (away / Path(name).name).rename(folder / name)
        away.rmdir()
    finish(folder, command(stage))
    assert tree(folder) == {**tree(before), **new}


@pytest.mark.parametrize("stage", ORDER)
def test_two_at_once(chain, tmp_path, stage):
    """One of them may find the other at work and say so; what stands in the end is whole and right."""
    before, _, new, _ = chain[stage]
    folder = tmp_path / "run"
    shutil.copytree(before, folder)
    both = [start(folder, command(stage)) for _ in range(2)]
    codes = sorted({running.wait() for running in both})
    said = "\n".join(running.said() for running in both)
    assert codes in ([0], [0, 3]), said
    assert "Traceback" not in said
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
