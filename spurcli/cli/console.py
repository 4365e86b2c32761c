"""What people see: everything but results goes to stderr."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from spurcli.runtime.launch import launched


class VisibleConsole(Console):
    """Prints no control characters but its own: a name in a file from elsewhere must not steer the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def visible(text: str, allowed: str = "\n\t") -> str:
    """Text in which control characters, but for those allowed, are replaced."""
    return "".join(
        character if character.isprintable() or character in allowed else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def results() -> Console:
    """A console on stdout."""
    return VisibleConsole(highlight=False)


@functools.cache
def console(*, of_errors: bool = False) -> Console:
    """The console on stderr; plain when that is no terminal. Of several processes only the first talks, but for errors."""
    return VisibleConsole(stderr=True, highlight=False, quiet=not (of_errors or launched().is_first))


def say(message: str) -> None:
    """One line to stderr."""
    console().print(Text(message), soft_wrap=True)


def warn(message: str) -> None:
    console().print(Text.assemble(("Warning: ", "bold yellow"), message), soft_wrap=True)


class TerminalProgress:
    """A live line with rate and time left on a terminal, plain lines now and then elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet or not launched().is_first
        self._live = sys.stderr.isatty() and not self._quiet
        self._what, self._total, self._done = "", 0, 0
        self._started, self._next = time.monotonic(), 0.0

    def start(self, what: str, total: int) -> None:
        # The line of the epoch before stays until the next one is due: cleared here, short epochs would show nothing.
        self._what, self._total, self._done = what, total, 0
        self._started = time.monotonic()
        if not self._live and self._next == 0:
            self._next = self._started + 15.0

    def advance(self, num_samples: int) -> None:
        self._done += num_samples
        now = time.monotonic()
        if now < self._next or self._quiet:
            return
        self._next = now + (0.1 if self._live else 15.0)
        rate = self._done / max(now - self._started, 1e-6)
        left = max(self._total - self._done, 0) / rate if rate else 0
        line = f"{self._what}: {self._done:,} of {self._total:,} ({rate:,.0f} a second, {left:,.0f} s left)"
        if self._live:
            sys.stderr.write(f"\r\x1b[2K{visible(line)[: console().width - 1]}")
            sys.stderr.flush()
        else:
            say(line)

    def say(self, message: str) -> None:
        self._clear()
        say(message)

    def close(self) -> None:
        self._clear()

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


def print_json(content: Any) -> None:
    """The result of a command on stdout, for machines."""
    import json

    sys.stdout.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
