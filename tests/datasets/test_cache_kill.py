"""Builders that are killed, that meet, or whose disk fills up leave whole caches or none, and nothing for ever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from spurcli.datasets.cache import Blocks, cached_folder, open_cached, verify_cached, write_cached
from spurcli.errors import InputError

KEY = {"kind": "numbers", "of": "kill tests"}
BUILDER = """
import sys, time
from pathlib import Path
import numpy as np
from spurcli.datasets.cache import Blocks, write_cached

def rows():
    for block in range(40):
        time.sleep(float(sys.argv[2]))
        yield np.full(1000, block, dtype=np.int64)
        print(block, flush=True)

blocks = lambda: Blocks(np.dtype(np.int64), (40_000,), rows())
print(write_cached(Path(sys.argv[1]), {"kind": "numbers", "of": "kill tests"}, {"a": blocks(), "b": blocks()}))
"""


def start(root, delay: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(root), str(delay)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def require_whole(root) -> None:
    found = open_cached(root, KEY)
    wanted = np.repeat(np.arange(40), 1000)
    assert sorted(found) == ["a", "b"]
    assert all(np.array_equal(array, wanted) for array in found.values())
    verify_cached(root, KEY)


def test_killed_at_any_moment_there_is_a_whole_cache_or_none(tmp_path):
    """Ten kills at moments that differ; each time the next builder is not in the least disturbed."""
    rng, whole = random.Random(0), 0
    for _ in range(10):
        builder = start(tmp_path / "cache", 0.001)
        for _ in range(rng.randrange(1, 81)):  # killed after so many of the 80 blocks, then a little later
            builder.stdout.readline()
        time.sleep(rng.random() / 500)
        builder.send_signal(signal.SIGKILL)
        builder.communicate()
        if open_cached(tmp_path / "cache", KEY) is not None:
            require_whole(tmp_path / "cache")
            whole += 1
            for path in cached_folder(tmp_path / "cache", KEY).iterdir():
                path.unlink()
            cached_folder(tmp_path / "cache", KEY).rmdir()
    assert whole < 10
    assert start(tmp_path / "cache", 0).communicate()[0].endswith("True\n")
    require_whole(tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [cached_folder(tmp_path / "cache", KEY).name]


def test_three_at_once_end_well_and_one_of_them_wrote(tmp_path):
    builders = [start(tmp_path / "cache", 0.002) for _ in range(3)]
    ends = sorted(builder.communicate()[0].splitlines()[-1] for builder in builders)
    assert ends == ["False", "False", "True"]
    require_whole(tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_who_waits_for_a_builder_that_is_killed_takes_over(tmp_path):
    first = start(tmp_path / "cache", 0.2)
    assert first.stdout.readline() == "0\n"  # it has the lock now
    second = start(tmp_path / "cache", 0)
    time.sleep(0.5)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert second.communicate()[0].endswith("True\n")
    require_whole(tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_waiting_says_so(tmp_path):
    said = []

    class Listening:
        def say(self, message):
            said.append(message)

    first = start(tmp_path / "cache", 0.01)
    assert first.stdout.readline() == "0\n"
    assert not write_cached(tmp_path / "cache", KEY, {}, Listening())
    first.communicate()
    assert said == [f"Another process is writing {cached_folder(tmp_path, KEY).name}; waiting for it"]


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_that_is_stopped_leaves_nothing_half_done(pictures, signal_number):
    """Slow images: the signal comes while the training split is being decoded."""
    (pictures.parent / "slow.py").write_text(
        "import sys, time\nfrom spurcli.datasets import FileImages\nimport pictures\nread = FileImages.read\n"
        "def slowly(self, indices):\n    print('reading', file=sys.stderr, flush=True)\n    time.sleep(0.3)\n"
        "    return read(self, indices)\nFileImages.read = slowly\nload = pictures.load\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-m", "spurcli", "data", "cache", "slow.py:load"],
        cwd=pictures.parent,
        env={**os.environ, "PYTHONPATH": str(pictures.parent)},
        stderr=subprocess.PIPE,
        text=True,
        # a shell that starts the tests in the background lets its children ignore SIGINT
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while "reading" not in command.stderr.readline():
        pass
    command.send_signal(signal_number)
    error = command.communicate(timeout=60)[1]
    assert command.returncode == 128 + signal_number
    assert "Traceback" not in error
    assert list((pictures / ".spurcli-cache").iterdir()) == []


def test_a_disk_that_fills_up_halfway(tmp_path):
    """/dev/full takes no byte: the array's file leads there."""
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("no /dev/full here")

    def rows():
        path = cached_folder(tmp_path, KEY).with_suffix(".tmp") / "second.npy"
        path.symlink_to("/dev/full")
        yield np.zeros(10)

    arrays = {"first": Blocks(np.dtype(float), (10,), rows()), "second": Blocks.of(np.zeros(100_000))}
    with pytest.raises(InputError, match=r"(?s)No space left.*SPURCLI_CACHE"):
        write_cached(tmp_path, KEY, arrays)
    assert list(tmp_path.iterdir()) == []
