"""Every stage killed at random moments, over an older output or none: what stands is old or new and whole, and the same command
then ends in the files of a run that nobody touched.

Few kills here; SPURCLI_TEST_KILLS=200 pytest tests/cli/test_storm.py is the storm. A signal that comes when the stage is over is no kill.
"""

from __future__ import annotations

import os
import random
import shutil
import signal

import pytest
from stages import ORDER, command, content, finish, start, tree

NUM_KILLS = int(os.environ.get("SPURCLI_TEST_KILLS", "2"))


@pytest.mark.parametrize("stage", ORDER)
def test_killed_at_any_moment(chain, tmp_path, stage):
    before, older, new, seconds = chain[stage]
    rng = random.Random(stage)
    folder = tmp_path / "run"
    old = {name: content(older / name) for name in new}
    kills = tries = 0
    while kills < NUM_KILLS:
        tries += 1
        assert tries <= 20 * NUM_KILLS, "the stage ends before it is killed"
        over_old = tries % 2 == 0
        if over_old or not folder.exists():  # else it goes on from what the kill before left
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(older if over_old else before, folder)
        running = start(folder, command(stage))
        running.process.join(rng.uniform(0, seconds))
        running.process.kill()
        code = running.wait()
        assert code in (0, -signal.SIGKILL), running.said()
        kills += code == -signal.SIGKILL
        seconds *= 1 if code else 0.7  # too late: earlier next time
        for name in new:
            if (folder / name).exists():
                allowed = [new[name], old[name]] if over_old else [new[name]]
                assert content(folder / name) in allowed, f"{name} is neither old nor new after kill {kills}"
            else:
                assert not over_old, f"the old {name} is gone after kill {kills}"
        if over_old:
            if code:
                finish(folder, command(stage))
            assert tree(folder) == {**tree(before), **new}
            shutil.rmtree(folder)
    if not folder.exists():
        shutil.copytree(before, folder)
    finish(folder, command(stage))
    assert tree(folder) == {**tree(before), **new}
