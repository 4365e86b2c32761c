"""How long work tells about itself. Core code never prints: it reports to one of these."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives what is being done and how far it is."""

    def start(self, what: str, total: int) -> None:
        """A new piece of work of `total` samples begins."""
        ...

    def advance(self, num_samples: int) -> None:
        """`num_samples` more are done. Called for every batch: implementations must be cheap."""
        ...

    def say(self, message: str) -> None:
        """One line worth reading."""
        ...


class Silent:
    """Says nothing; the default when called from Python."""

    def start(self, what: str, total: int) -> None:
        pass

    def advance(self, num_samples: int) -> None:
        pass

    def say(self, message: str) -> None:
        pass
