"""The one place where exceptions become messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from typing import Any

import typer

from spurcli.cli.app import UsageProblem, app
from spurcli.cli.files import typed
from spurcli.errors import SpurError, SpurWarning


def run(argv: list[str]) -> int:
    """Run a command line; returns the exit code: 0 done, 1 failed, 2 usage, 3 bad input, 4 missing extra, 128 + signal."""
    debug = "--debug" in argv
    signal.signal(signal.SIGTERM, _terminate)
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    typed.set(argv)
    try:
        result = typer.main.get_command(app).main(argv or ["--help"], prog_name="spurcli", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _fail("Interrupted", "", 130)
    except _Terminated:
        return _fail("Terminated", "", 143)
    except UsageProblem as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "spurcli"
        problem = error.format_message()  # type: ignore[attr-defined]
        return _fail(problem, f"Try: {command} --help", 2) if problem.strip() else 2  # help was shown instead
    except SpurError as error:
        if debug:
            traceback.print_exc()
        return _fail(error.problem, error.hint, error.exit_code)
    except BrokenPipeError:
        # the reader of our stdout went away; Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("Out of memory", "Lower --set training.batch_size or scoring.batch_size.", 1)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _fail(*_describe(error), 1)


class _Terminated(BaseException):
    pass


def _terminate(_number: int, _frame: Any) -> None:
    raise _Terminated


def _describe(error: Exception) -> tuple[str, str]:
    if type(error).__name__ == "OutOfMemoryError":
        return "The device is out of memory", "Halve the batch: --set training.batch_size=… or scoring.batch_size=…"
    if "DataLoader worker" in str(error):
        return (
            "A process that decodes images died, perhaps for lack of memory",
            "Use fewer: --workers 1, or 0 for none.",
        )
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return "torch.compile cannot compile the model here", "Go without: --set training.compile=false"
    first = (str(error).splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}", "This looks like a bug: run it again with --debug and report it."


def _fail(problem: str, hint: str, code: int) -> int:
    from rich.text import Text

    from spurcli.cli.console import console

    stderr = console()
    stderr.print(Text.assemble(("Error: ", "bold red"), problem), soft_wrap=True)
    if hint:
        stderr.print(Text(hint, style="dim"), soft_wrap=True)
    return code


def _show_warning(message: Any, category: type[Warning], *_rest: Any) -> None:
    if not issubclass(category, SpurWarning):
        return
    from rich.text import Text

    from spurcli.cli.console import console

    console().print(Text.assemble(("Warning: ", "bold yellow"), str(message)), soft_wrap=True)
