"""Progress of a command: a live line on a terminal, otherwise a plain line from time to time."""

from __future__ import annotations

import sys
import time

from spurcli.cli.console import console, say, visible
from spurcli.progress import Span
from spurcli.runtime.launch import launched
from spurcli.words import duration

_LIVE, _PLAIN = 0.1, 15.0  # seconds between lines


class TerminalProgress:
    """Shows the current piece of work, its rate, and the remaining time (of the whole job if the piece is part of one)."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet or not launched().is_first
        self._live = sys.stderr.isatty() and not self._quiet
        self._what, self._total, self._done, self._num_advances = "", 0, 0, 0
        self._span: Span | None = None
        self._job = 0.0  # how much of the job is done, of 0 … 1
        # (when, how much was done then) since when speed is measured: work of an earlier process is not counted
        self._piece_since: tuple[float, int] | None = None
        self._job_since: tuple[float, float] | None = None
        self._next = 0.0 if self._live else time.monotonic() + _PLAIN

    def start(self, what: str, total: int, span: Span | None = None) -> None:
        # The previous line stays until the next one is due; otherwise short epochs would show nothing.
        if span and span.start < self._job - 1e-9:
            self._job_since = None  # another job
        self._what, self._total, self._done, self._span, self._num_advances = what, total, 0, span, 0
        now = time.monotonic()
        self._piece_since = None if span else (now, 0)
        if span:
            self._job = span.start
            if not total:  # one command of many: its progress is not known
                self._job_since = self._job_since or (now, self._job)
                self._show(now)

    def advance(self, num_samples: int) -> None:
        self._done += num_samples
        self._num_advances += 1
        if self._total:  # an estimate may be too small
            self._done = min(self._done, self._total)
        now = time.monotonic()
        if self._span:
            self._job = self._span.start + self._span.width * min(self._done / max(self._total, 1), 1)
            self._job_since = self._job_since or (now, self._job)
        self._piece_since = self._piece_since or (now, self._done)
        self._show(now)

    def say(self, message: str) -> None:
        self._clear()
        say(message)

    def close(self) -> None:
        self._clear()

    def _show(self, now: float) -> None:
        if now < self._next or self._quiet:
            return
        self._next = now + (_LIVE if self._live else _PLAIN)
        if not self._live:
            say("".join(self._parts(now)))
            return
        what, count, rate, left = self._parts(now)
        width = console().width - 1
        line = next(
            (line for line in (what + count + rate + left, what + count + left) if len(line) <= width), what + left
        )
        sys.stderr.write(f"\r\x1b[2K{visible(line)[:width]}")
        sys.stderr.flush()

    def _parts(self, now: float) -> tuple[str, str, str, str]:
        """What is done, how much of it, how fast, and the time left."""
        count = f": {self._done:,} of {self._total:,}" if self._total else ""
        since, done_then = self._piece_since or (now, self._done)
        speed = (self._done - done_then) / (now - since) if now > since else 0
        rate = f" ({speed:,.0f} a second)" if speed >= 1 else ""
        # The first advance includes the preparation: "1 of 19,654, 18.8 h left".
        is_told = speed and self._num_advances > 1 and self._done < self._total
        left = (self._total - self._done) / speed if is_told else None
        if self._job_since and self._job < 1:
            began, job_then = self._job_since
            moved = self._job - job_then
            left = (now - began) / moved * (1 - self._job) if moved > 0 else None
        return self._what, count, rate, f", {duration(left)} left" if left is not None else ""

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
