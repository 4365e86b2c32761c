"""Stopping cleanly: the first SIGINT or SIGTERM lets the work save its state, a second one stops at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class StopRequest:
    """`signal_number` is 0 until a stop is requested."""

    signal_number: int = 0


_ends_with_parent = False


def leave_to_parent() -> None:
    """Let the parent end this process with SIGTERM: Ctrl-C in a terminal reaches both, and must not make the signal of the parent a second one."""
    global _ends_with_parent
    _ends_with_parent = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def stop_requests(*, patient: bool = False) -> Iterator[StopRequest]:
    """Within the block, signals set the request instead of raising. Only the main thread can do that.

    `patient` never stops at once: under torchrun a signal may come from the terminal and once more from torchrun, which
    ends by itself what takes longer than 30 seconds. So it is in a process that `leave_to_parent`.
    """
    request, patient = StopRequest(), patient or _ends_with_parent
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    earlier: dict[int, Any] = {}

    def note(number: int, _frame: FrameType | None) -> None:
        if request.signal_number and not patient:
            raise KeyboardInterrupt
        request.signal_number = number

    for number in map(int, (signal.SIGINT, signal.SIGTERM)):
        earlier[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
