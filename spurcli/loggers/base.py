"""What a logger is, and one function that passes each record of history.json to several loggers."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spurcli.artifacts.records import EpochRecord
from spurcli.errors import MissingExtraError
from spurcli.registries import LOGGERS

_LEFT_OUT = ("epoch", "seconds", "fit_seconds")


@dataclass(frozen=True)
class LoggedRun:
    """What a logger receives at the start: where it may write, the run's name, and its settings.

    `first_epoch` is above 1 where a training resumes: what was logged of that epoch and later ones is replaced.
    """

    folder: Path
    name: str
    settings: Mapping[str, Any]
    first_epoch: int = 1


class Logger(Protocol):
    """Takes numbers by name, as in val/worst_group_accuracy, after each epoch."""

    def log(self, values: Mapping[str, float], epoch: int) -> None: ...

    def close(self) -> None: ...


def require_installed(names: Sequence[str]) -> None:
    """Raise if one of the loggers is unknown, its file cannot be imported (UsageError), or its package is missing (MissingExtraError).

    No package is imported. The name of each registered logger is also that of its package and of its extra.
    """
    for name in names:
        LOGGERS.load(name)
        if name in LOGGERS and importlib.util.find_spec(name) is None:
            raise _missing(name, name)


@contextlib.contextmanager
def open_loggers(names: Sequence[str], run: LoggedRun) -> Iterator[Callable[[EpochRecord], None]]:
    """A function that gives each of the loggers a record; they are opened before the training, and closed however it ends."""
    with contextlib.ExitStack() as stack:
        loggers: list[Logger] = []
        for name in dict.fromkeys(names):
            logger = LOGGERS.load(name)(run)
            stack.callback(logger.close)
            loggers.append(logger)

        def take(record: EpochRecord) -> None:
            for logger in loggers:
                logger.log(flat(record), record["epoch"])

        yield take


def flat(record: EpochRecord) -> dict[str, float]:
    """The numbers of a record: train/loss, val/accuracy, val/per_group/cat/west, …"""
    values = {f"train/{name}": value for name, value in record.items() if name not in _LEFT_OUT}
    for split, metrics in (record.get("evaluations") or {}).items():
        values |= {f"{split}/{name}": value for name, value in metrics.items()}
        values |= {f"{split}/per_group/{name}": value for name, value in (metrics.get("per_group") or {}).items()}
    return {
        name: float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def package(name: str, extra: str) -> Any:
    """The package, or MissingExtraError with the line that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(str(error.name), extra) from error


def _missing(name: str, extra: str) -> MissingExtraError:
    return MissingExtraError(f"--log {extra} needs the package {name!r}", f"Install it: pip install 'spurcli[{extra}]'")
