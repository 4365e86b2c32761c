"""A lock that ends with its process, however that ends: a file beside what it guards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_MOMENT = 0.2  # seconds; a lock that is just being given up counts as free


@contextlib.contextmanager
def lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is removed afterwards.

    Where another process holds it: say so with `waiting` and wait, or without that raise BlockingIOError. The operating
    system keeps the lock, so a killed process leaves no more than the file, which locks nothing. Where a file system has no
    locks that is an OSError (ENOSYS, ENOLCK): a soft lock, the mere file, would outlive its process.
    """
    from filelock import FileLock, Timeout  # not for `spurcli --help`

    held = FileLock(path, fallback_to_soft=False)
    try:
        held.acquire(timeout=_MOMENT)
    except Timeout:
        if waiting is None:
            raise BlockingIOError(f"{path} is locked by another process") from None
        waiting()
        held.acquire()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes it when it is released
            path.unlink()  # while it is held: whoever waits for this file sees that it is gone, and makes another
        held.release()
