"""The exceptions for errors that users can cause.

Each has one line that says what is wrong and where, and one line that says what to do next. `spurcli.cli.run` is the only
place that turns them into text and an exit code.
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

    @property
    def is_forceable(self) -> bool:
        """Whether `--force` does what was refused: what another run left is replaced. The hint says so."""
        return "--force" in self.hint


def _shortened(text: str) -> str:
    """Very long text without its middle: names in files can have any length."""
    return text if len(text) <= 1000 else f"{text[:600]} … {text[-300:]}"


def in_a_line(error: BaseException, most: int = 150) -> str:
    """The message of a library's exception in one short line, or the exception's name if it has no message."""
    return " ".join(str(error).split())[:most] or type(error).__name__


class UsageError(SpurError):
    """Flags that are unknown, missing or contradict each other."""

    exit_code = 2


class InputError(SpurError, ValueError):
    """A file, a data set or an input value that cannot be used."""

    exit_code = 3


class MissingFilesError(InputError):
    """Missing files of a data set; `names` lists all of them, the message counts them and shows a few."""

    def __init__(self, problem: str, hint: str, names: Sequence[str]) -> None:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        super().__init__(f"{len(names):,} {problem}: {shown}", hint)
        self.names = tuple(names)


class MissingExtraError(SpurError, ImportError):
    """A required optional package is not installed."""

    exit_code = 4


class Interrupted(BaseException):
    """A signal stopped the run; the work so far is saved. `exit_code` is 130 for SIGINT, 143 for SIGTERM.

    Like KeyboardInterrupt it is no Exception: code that handles a failed run must not go on with the next one.
    """

    def __init__(self, problem: str, hint: str, signal_number: int) -> None:
        super().__init__(f"{problem}\n{hint}")
        self.problem, self.hint, self.exit_code = problem, hint, 128 + signal_number


class SpurWarning(UserWarning):
    """A problem that does not stop the work but may make its result wrong."""
