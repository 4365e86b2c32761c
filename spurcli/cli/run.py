"""The one place where exceptions become messages and exit codes."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from spurcli.cli.app import COMMANDS, UsageProblem, app
from spurcli.cli.console import warn
from spurcli.cli.files import typed
from spurcli.cli.help_imports import import_rich_help
from spurcli.cli.renamed import with_new_names
from spurcli.errors import Interrupted, SpurError, SpurWarning
from spurcli.runtime.launch import launched
from spurcli.runtime.malloc import keep_freed_memory

_INTERRUPTED = 128 + signal.SIGINT
# Commands that several processes run together; the others run in one process only.
_SHARED = ("score", "train", "evaluate", "infer", "audit", "data embed")


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    words = sys.argv[1:] if argv is None else argv
    if words == ["--version"]:
        from importlib.metadata import version

        typer.echo(f"spurcli {version('spurcli')}")
        return
    if _is_one_of(words, (*_SHARED, "canary", "compare", "demo")):  # those that compute with a model
        keep_freed_memory()
    code = run(words)
    if not launched().is_alone:
        _leave_the_others(code)
    sys.exit(code)


def run(argv: list[str]) -> int:
    """Run a command line; returns the exit code: 0 done, 1 failed, 2 usage, 3 bad input, 4 missing extra, 128 + signal.

    With several processes (torchrun), the first one does what only one can do, and prints; the process that
    failed first prints the error, and all return its code.
    """
    launch = launched()
    if not (launch.is_alone or _is_one_of(argv, _SHARED) or launch.is_first):
        return 0
    try:
        return _run([_with_home(word) for word in argv])
    except _Terminated:  # while a message was being written
        return 143


def _is_one_of(argv: list[str], commands: Sequence[str]) -> bool:
    """Whether the command, of one word or two, is one of `commands`."""
    return bool({*argv[:1], " ".join(argv[:2])} & {*commands})


def _run(argv: list[str]) -> int:
    debug, launch = "--debug" in argv, launched()
    _prepare_streams()
    # others have nothing to clean up, and may be waiting where no Python handler runs
    signal.signal(signal.SIGTERM, _terminate if launch.is_first else signal.SIG_DFL)
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    argv, renamed = with_new_names(argv)
    typed.set(argv)
    if "" in argv:  # --keep "$LIST" with nothing in it must not become the default
        return _fail("An argument is empty", "Is a shell variable unset? Remove the option to use its default.", 2)
    try:
        if argv and argv[0] in COMMANDS and not _is_one_of(argv, _SHARED):
            launch.require_alone(f"spurcli {argv[0]} runs in one process only")
        for old, new in renamed.items():
            warn(f"{old} is now called {new}; the old name works until the next release")
        if not argv or {"-h", "--help"} & {*argv}:
            import_rich_help()
        result = typer.main.get_command(app).main(argv or ["--help"], prog_name="spurcli", standalone_mode=False)
        sys.stdout.flush()
        if result == _INTERRUPTED:  # which Typer makes of a KeyboardInterrupt
            return _fail("Interrupted", "", _INTERRUPTED)
        return result if isinstance(result, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _fail("Interrupted", "", _INTERRUPTED)
    except _Terminated:
        return _fail("Terminated", "", 143) if launch.is_alone else 143  # torchrun says so itself
    except UsageProblem as error:
        context = getattr(error, "ctx", None)
        named = " ".join(["spurcli", *[word for word in argv[:1] if word in COMMANDS]])
        command = context.command_path if context else named
        problem = error.format_message()  # type: ignore[attr-defined]
        hint = (_with_flag(problem, context) if context else "") or f"Try: {command} --help"
        return _fail(problem, hint, 2) if problem.strip() else 2  # help was shown instead
    except (SpurError, Interrupted) as error:
        return _fail(error.problem, error.hint, error.exit_code, show_traceback=debug)
    except BrokenPipeError:
        # the reader of stdout has closed it; Python would report this again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("Out of memory", "Lower --set training.batch_size or scoring.batch_size.", 1)
    except Exception as error:
        return _fail(*_describe(error), 1, show_traceback=debug)


def _with_flag(problem: str, context: Any) -> str:
    """For a file or data set that was typed without its flag: the words that were probably meant; else ""."""
    from spurcli.artifacts.catalogue import recognise
    from spurcli.registries import DATASETS

    found = re.fullmatch(r"Got unexpected extra arguments?\(?s?\)? \((?P<word>\S+)[^)]*\)", problem.strip())
    word = found["word"] if found else ""
    flags = {flag for parameter in context.command.params for flag in parameter.opts}
    try:
        artefact = recognise(Path(word)) if Path(word).is_file() else None
    except OSError:
        return ""
    if artefact:
        return f"Did you mean {artefact.flag} {word}?" if artefact.flag in flags else artefact.used(word)
    if word.endswith(".toml"):
        return f"Did you mean --recipe {word}?" if "--recipe" in flags else ""
    if word in DATASETS or (word and Path(word).exists()):
        return f"Did you mean --dataset {word}?" if "--dataset" in flags else ""
    return ""


def _with_home(word: str) -> str:
    """A word with the home folder in place of ~, where the shell leaves it: `--dataset=~/data`, or in quotes."""
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return f"{option}{equals}{Path(value).expanduser()}" if value.startswith("~/") else word


def _prepare_streams() -> None:
    """A stream that the caller closed is an empty one; a character that a terminal cannot show is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not launched().is_first:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123


def _leave_the_others(code: int) -> None:
    """Leave the group; a failed process exits at once, because cleaning up might wait for one that never answers."""
    if code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if "spurcli.runtime.distributed" in sys.modules:
        from spurcli.runtime.distributed import close_world

        close_world()


class _Terminated(BaseException):
    pass


def _terminate(_number: int, _frame: Any) -> None:
    raise _Terminated


def _describe(error: Exception) -> tuple[str, str]:
    from spurcli.beside import own_parts

    if type(error).__name__ == "OutOfMemoryError":
        return "The device is out of memory", "Halve the batch: --set training.batch_size=… or scoring.batch_size=…"
    if "DataLoader worker" in str(error):
        return (
            "A process that decodes images crashed, perhaps for lack of memory",
            "Use fewer: --workers 1, or 0 for none.",
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return "torch.compile cannot compile the model here", "Switch it off: --set training.compile=false"
    first = (str(error).splitlines() or [""])[0][:200]
    own_files = own_parts()
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if os.path.realpath(frame.filename) in own_files
    ]
    if isinstance(error, OSError) and error.errno:
        where = f"{error.filename}: " if error.filename else ""
        hint = "Check the disk and the permissions; --debug shows the traceback."
        if own:
            where = f"{own[-1].filename}, line {own[-1].lineno}: {where}"
            hint = "--debug shows the traceback."
            if isinstance(error.filename, str) and not Path(error.filename).is_absolute():
                hint = "Its relative paths start at the working folder. For the file's own folder: Path(__file__).parent / NAME"
        return f"{where}{os.strerror(error.errno)}", hint
    problem = f"{type(error).__name__}: {first}"
    if own:
        return f"{own[-1].filename}, line {own[-1].lineno}: {problem}", "--debug shows the traceback."
    if own_files:
        return problem, "The error may come from your own code: --debug shows the traceback."
    return problem, "This looks like a bug: run it again with --debug and report it."


def _fail(problem: str, hint: str, code: int, *, show_traceback: bool = False) -> int:
    from rich.text import Text

    from spurcli.cli.console import tell

    speaks, code = launched().is_first_to_fail(code)
    if not speaks:
        return code
    if show_traceback:
        traceback.print_exc()
    tell(Text(problem), label=Text("Error: ", "bold red"), of_errors=True)
    if hint:
        tell(Text(hint, style="dim"), of_errors=True)
    return code


def _show_warning(message: Any, category: type[Warning], *_rest: Any) -> None:
    if issubclass(category, SpurWarning):
        from spurcli.cli.console import warn

        warn(str(message))
