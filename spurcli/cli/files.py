"""Standard names, stdin and stdout: `-` works wherever a file does."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from spurcli.artifacts import catalogue
from spurcli.artifacts.atomic import copy_to_stream
from spurcli.artifacts.provenance import portable_command
from spurcli.cli.console import say
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.runtime.launch import launched

# Endings of other programs' files: on an output they are a slip. Endings that are not known here are free.
_FOREIGN_ENDINGS = {
    *(".bin", ".ckpt", ".csv", ".gz", ".htm", ".html", ".jsonl", ".md", ".npy", ".npz", ".onnx", ".parquet", ".pdf"),
    *(".pickle", ".pkl", ".png", ".pt", ".pth", ".py", ".svg", ".toml", ".tsv", ".xlsx", ".yaml", ".yml", ".zip"),
}
FIGURES = "figures"  # the one output that is a folder
# The words of the command that is running, set where commands are run.
typed: ContextVar[Sequence[str]] = ContextVar("typed", default=())


@contextlib.contextmanager
def output_path(output: str | None, standard_name: str, *, as_json: bool, binary: bool = True) -> Iterator[Path]:
    """The path to write: as named, the standard name, or for `-` a temporary file copied to stdout when finished."""
    if output != "-":
        path = Path(output or standard_name)
        _require_own_kind(path, standard_name)
        if output and catalogue.named(standard_name):  # `report` looks at its endings itself
            _require_own_ending(output, standard_name)
        yield path
        return
    launched().require_alone("-o - is one process's stdout", "Name a file with -o.")
    if as_json:
        raise UsageError("-o - and --json both want stdout", "Choose one.")
    if binary and sys.stdout.isatty():
        raise UsageError(
            "Binary data would go to the terminal", "Pipe it (… | spurcli prune -) or name a file with -o."
        )
    with tempfile.TemporaryDirectory(prefix="spurcli-") as folder:
        path = Path(folder) / standard_name
        yield path
        copy_to_stream(path, sys.stdout.buffer)


def _require_own_ending(output: str, standard_name: str) -> None:
    """Raise UsageError if `output` is named as a folder or as another kind of file than the command writes."""
    path, own = Path(output), Path(standard_name).suffix
    mine = catalogue.named(standard_name)
    if output.endswith(("/", os.sep)):
        raise UsageError(f"-o {output} names a folder, and one file is written", f"Write -o {path / standard_name}")
    known = {ending for artefact in catalogue.CATALOGUE for ending in artefact.endings} | _FOREIGN_ENDINGS
    if mine and path.suffix.lower() in known - set(mine.endings):
        raise UsageError(
            f"-o {output} ends as another kind of file: this command writes {mine.noun} as {own}",
            f"Write -o {path.with_suffix(own)}",
        )


def _require_own_kind(path: Path, standard_name: str) -> None:
    """Raise InputError if `path` holds an artefact of another kind: a slip of -o must not cost a trained model."""
    from spurcli.artifacts.describe import artefact_of

    if path.is_dir() and standard_name != FIGURES:
        raise InputError(f"{path} is a folder", f"Name a file in it: -o {path / standard_name}")
    if not path.is_file():
        return
    try:
        found = artefact_of(path)
    except (SpurError, OSError):
        return  # damaged, or nobody's: it is replaced as any program replaces its output
    if found != (catalogue.named(standard_name) or catalogue.REPORT):
        raise InputError(f"{path} is {found.noun}, which this command does not write", "Choose another file with -o.")


def shown(output: str | None, standard_name: str) -> str:
    """Where the result went, for the last message."""
    return "stdout" if output == "-" else output or standard_name


@contextlib.contextmanager
def input_path(name: str | None, standard_name: str, *, required: bool = True) -> Iterator[Path | None]:
    """The path to read: as named, stdin spooled to disk for `-`, or the standard name (said on stderr)."""
    if name == "-":
        launched().require_alone("- is one process's stdin", "Name a file.")
        if sys.stdin.isatty():
            raise UsageError("- reads stdin, which is a terminal here", "Pipe something into it, or name a file.")
        with tempfile.TemporaryDirectory(prefix="spurcli-") as folder:
            path = Path(folder) / standard_name
            with path.open("wb") as spool:
                while block := sys.stdin.buffer.read(1 << 20):
                    spool.write(block)
            if not path.stat().st_size:
                raise InputError("Nothing came through the pipe", "The command before it failed; see its message.")
            yield path
        return
    if name is not None:
        yield Path(name)
        return
    path = Path(standard_name)
    if path.is_file():
        say(f"Reading {path}")
        yield path
    elif required:
        raise UsageError(f"No file is named, and there is no {path} here", "Name one, or run the stage before.")
    else:
        yield None


def input_paths(names: Sequence[str] | None, standard_name: str, stack: contextlib.ExitStack) -> list[Path]:
    """Several inputs; at most one of them stdin."""
    chosen = list(names or [None])  # type: ignore[list-item]
    if chosen.count("-") > 1:
        raise UsageError("Only one input can be stdin", "")
    paths = [stack.enter_context(input_path(name, standard_name)) for name in chosen]
    return [path for path in paths if path is not None]


def command_line() -> str:
    """The command as typed, for the provenance."""
    return portable_command(typed.get())


def settings_of(provenance: Any) -> dict[str, Any]:
    """What a parent's provenance hands down."""
    settings = provenance.get("settings", {}) if isinstance(provenance, dict) else {}
    return settings if isinstance(settings, dict) else {}
