"""Stdin and stdout: `-` works wherever a stage reads or writes one file."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from spurcli.artifacts.atomic import copy_to_stream
from spurcli.artifacts.provenance import portable_command
from spurcli.errors import InputError, UsageError
from spurcli.requests.options import fields_of, several
from spurcli.runtime.launch import launched

_Request = TypeVar("_Request", bound=Any)
# The words of the command that is running, set where commands are run.
typed: ContextVar[Sequence[str]] = ContextVar("typed", default=())


@contextlib.contextmanager
def streamed(request: _Request, *, as_json: bool) -> Iterator[_Request]:
    """The request with files in place of each `-`: stdin spooled to disk, and a file that is copied to stdout at the end."""
    with contextlib.ExitStack() as stack:
        folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spurcli-"))) if _streams(request) else None
        )
        changes: dict[str, object] = {}
        written = []
        for field in fields_of(request):
            value, option = getattr(request, field.name), field.option
            if folder and option.writes and value == "-":
                standard = request.standard_output if field.name == "output" else option.writes
                _check_stdout(field.flag if field.name != "output" else "-o", standard, as_json=as_json)
                written.append((field, folder / standard))
                changes[field.name] = folder / standard
            elif folder and option.reads and "-" in several(value):
                if several(value).count("-") > 1:
                    raise UsageError("Only one input can be stdin", "")
                place = _spooled(folder / "stdin" / option.reads)
                changes[field.name] = [place if each == "-" else each for each in value] if option.repeated else place
        if len(written) > 1:
            raise UsageError(f"{written[1][0].flag} - and {written[0][0].flag} - both write to stdout", "Choose one.")
        yield replace(request, **changes) if changes else request
        for _, path in written:
            copy_to_stream(path, sys.stdout.buffer)


def _streams(request: Any) -> bool:
    return any(
        "-" in several(getattr(request, field.name))
        for field in fields_of(request)
        if field.option.reads or field.option.writes
    )


def _check_stdout(flag: str, standard_name: str, *, as_json: bool) -> None:
    """Raise UsageError where stdout cannot take a file."""
    launched().require_alone(f"{flag} -: stdout works with one process only", f"Name a file with {flag}.")
    if as_json:
        raise UsageError(f"{flag} - and --json both write to stdout", "Choose one.")
    if standard_name.endswith((".h5", ".safetensors")) and sys.stdout.isatty():
        raise UsageError(
            "Binary data would go to the terminal", "Pipe it (… | spurcli prune -) or name a file with -o."
        )


def _spooled(path: Path) -> Path:
    """All of stdin, written to `path`."""
    launched().require_alone("stdin works with one process only", "Name a file.")
    if sys.stdin.isatty():
        raise UsageError("- reads stdin, which is a terminal here", "Pipe something into it, or name a file.")
    path.parent.mkdir()
    with path.open("wb") as spool:
        while block := sys.stdin.buffer.read(1 << 20):
            spool.write(block)
    if not path.stat().st_size:
        raise InputError("The pipe is empty", "The previous command failed; see its message.")
    return path


def shown(output: Any, standard_name: str) -> str:
    """The location of the result, for the last message."""
    return "stdout" if output == "-" else str(output or standard_name)


def command_line() -> str:
    """The command as typed, for the provenance."""
    return portable_command(typed.get())
