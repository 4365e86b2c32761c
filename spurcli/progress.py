"""How long-running work reports its progress. Core code never prints: it reports to one of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Span:
    """The part of a job that a piece of work covers: from `start` to `start + width`, within 0 … 1."""

    start: float
    width: float

    def within(self, outer: Span) -> Span:
        return Span(outer.start + self.start * outer.width, self.width * outer.width)


class Progress(Protocol):
    """Receives what is being done and how far it is."""

    def start(self, what: str, total: int, span: Span | None = None) -> None:
        """A new piece of work of `total` samples begins; `span` is its part of the job, None if it belongs to no job."""
        ...

    def advance(self, num_samples: int) -> None:
        """`num_samples` more are done. Called for every batch: implementations must be cheap."""
        ...

    def say(self, message: str) -> None:
        """Show one line to the user."""
        ...


class Silent:
    """Says nothing; the default when called from Python."""

    def start(self, what: str, total: int, span: Span | None = None) -> None:
        pass

    def advance(self, num_samples: int) -> None:
        pass

    def say(self, message: str) -> None:
        pass


@dataclass(frozen=True)
class Turn:
    """The progress of one of several equal turns of a job: turn `number` of `count`, counted from 0."""

    job: Progress
    number: int
    count: int

    def start(self, what: str, total: int, span: Span | None = None) -> None:
        turn = Span(self.number / self.count, 1 / self.count)
        self.job.start(what, total, span.within(turn) if span else None)

    def advance(self, num_samples: int) -> None:
        self.job.advance(num_samples)

    def say(self, message: str) -> None:
        self.job.say(message)
