"""What users can do wrong, as a small family of exceptions.

Each carries one line that says what is wrong and where, and one that says what to do next. The command line
turns them into text and an exit code in one place (`spurcli.cli.run`).
"""

from __future__ import annotations

from collections.abc import Sequence


class SpurError(Exception):
    """Something failed; `exit_code` is what the command line returns."""

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        problem, hint = _shortened(problem), _shortened(hint)
        super().__init__(problem if not hint else f"{problem}\n{hint}")
        self.problem = problem
        self.hint = hint


def _shortened(text: str) -> str:
    """Text without its middle where it is very long: a name that a file holds can be anything."""
    return text if len(text) <= 1000 else f"{text[:600]} … {text[-300:]}"


def in_a_line(error: BaseException, most: int = 150) -> str:
    """What an exception of a library says, in one short line; its kind where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


class UsageError(SpurError):
    """Flags that are unknown, missing or contradict each other."""

    exit_code = 2


class InputError(SpurError, ValueError):
    """A file, a data set or a value from outside that cannot be used as it is."""

    exit_code = 3


class MissingFilesError(InputError):
    """Files of a data set that are not there; `names` are all of them, the message counts them and shows a few."""

    def __init__(self, problem: str, hint: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        super().__init__(f"{len(names):,} {problem}: {shown}", hint)
        self.names = tuple(names)


class MissingExtraError(SpurError, ImportError):
    """An optional package is needed and not installed."""

    exit_code = 4


class Interrupted(SpurError):
    """A signal asked to stop; work up to here is saved. 130 for SIGINT, 143 for SIGTERM."""

    def __init__(self, problem: str, hint: str, signal_number: int) -> None:
        super().__init__(problem, hint)
        self.exit_code = 128 + signal_number


class SpurWarning(UserWarning):
    """Something that did not stop the work but may spoil its result."""
