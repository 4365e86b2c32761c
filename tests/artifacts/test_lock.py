"""A lock is held by one process at a time, ends with it, and leaves no file behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spurcli.artifacts.lock import lock


def child(work: Callable[[], object]) -> int:
    """A forked process that does `work` and leaves without a word."""
    if pid := os.fork():
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        os._exit(1)


def code_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for(path: Path) -> None:
    for _ in range(2000):
        if path.exists():
            return
        time.sleep(0.005)
    raise TimeoutError(path)


def hold(path: Path, ready: Path) -> None:
    with lock(path):
        ready.touch()
        time.sleep(600)


def try_lock(path: Path) -> None:
    with lock(path):
        pass


def test_a_killed_holder_locks_nobody_out(tmp_path):
    path, ready = tmp_path / "a.lock", tmp_path / "ready"
    holder = child(lambda: hold(path, ready))
    wait_for(ready)
    with pytest.raises(BlockingIOError), lock(path):
        pytest.fail("two at once")
    said = []

    def waiting() -> None:
        said.append(path.exists())
        os.kill(holder, signal.SIGKILL)

    with lock(path, waiting):
        assert said == [True]
        assert path.exists()
    assert code_of(holder) == -signal.SIGKILL
    assert not path.exists()


def test_what_a_child_of_the_holder_does_leaves_the_lock_alone(tmp_path):
    """Workers that decode images are forked while the lock is held."""
    path = tmp_path / "a.lock"
    with lock(path):
        assert code_of(child(lambda: None)) == 0
        assert code_of(child(lambda: try_lock(path))) == 1
        assert path.exists()
    assert code_of(child(lambda: try_lock(path))) == 0


def test_a_lock_that_is_given_up_meanwhile_is_taken(tmp_path):
    path, said = tmp_path / "a.lock", []
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with lock(path):
            held.set()
            done.wait(60)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(60)
    with lock(path, lambda: (said.append("waiting"), done.set())):
        assert path.exists()
    thread.join()
    assert (said, path.exists()) == (["waiting"], False)


def test_never_two_at_once(tmp_path):
    """Six processes take the lock 30 times each; the file is removed and made again in between."""
    path, number = tmp_path / "a.lock", tmp_path / "number"
    number.write_text("0")

    def count() -> None:
        for _ in range(30):
            with lock(path, lambda: None):
                number.write_text(str(int(number.read_text()) + 1))

    assert [code_of(pid) for pid in [child(count) for _ in range(6)]] == [0] * 6
    assert number.read_text() == "180"
    assert not path.exists()
