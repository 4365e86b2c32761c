"""A lock that always ends with its process: a file next to the guarded file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

_MOMENT = 0.2  # seconds; a lock that is being released counts as free


@contextlib.contextmanager
def lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file `path`, which is removed afterwards.

    If another process holds it, report this with `waiting` and wait, or without `waiting` raise BlockingIOError. The operating
    system keeps the lock, so a killed process leaves only the file, which locks nothing. A file system without
    locks raises an OSError (ENOSYS, ENOLCK), because a soft lock (the file alone) would outlive its process.
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
            path.unlink()  # while it is held: a waiting process sees that the file is gone and creates another
        held.release()
