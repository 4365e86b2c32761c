"""A stage's request as a command: its fields are the options, `--json` and `--debug` come with every one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from spurcli.cli.options import Debug, Json, declared
from spurcli.requests.options import Caller, Field, fields_of

_Request = TypeVar("_Request")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Call:
    """How a command runs its stage: with streams in place of `-`, the command as typed, and progress on stderr."""

    as_json: bool

    def __call__(self, run: Callable[..., _Result], asked: Any) -> _Result:
        from spurcli.cli.files import command_line, streamed
        from spurcli.cli.progress import TerminalProgress

        progress = TerminalProgress()
        try:
            with streamed(asked, as_json=self.as_json) as request:
                return run(request, Caller(progress, command_line(), companions=asked.output != "-"))
        finally:
            progress.close()


def stage_command(
    app: typer.Typer, request: type[_Request]
) -> Callable[[Callable[[_Request, Call], None]], Callable[[_Request, Call], None]]:
    """Make `function(request, call)`, whose docstring is the help, a command with the options of `request`."""

    def declare(function: Callable[[_Request, Call], None]) -> Callable[[_Request, Call], None]:
        fields = list(fields_of(request))

        def command(*, as_json: bool, debug: bool, **given: Any) -> None:
            asked = {field.name: given[field.name] for field in fields if not _unset(given[field.name])}
            function(request(**asked), Call(as_json))

        parameters = [
            *(_parameter(field.name, _kind(field), _default(field)) for field in fields),
            _parameter("as_json", Json, False),
            _parameter("debug", Debug, False),
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.__doc__, command.__name__ = function.__doc__, function.__name__
        app.command()(command)
        return function

    return declare


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)


def _kind(field: Field) -> Any:
    option = field.option
    kind: Any = bool if field.is_switch else int if option.minimum is not None else str
    if option.repeated:
        kind = list[kind]
    return Annotated[kind if _default(field) is not None else kind | None, declared(field)]


def _default(field: Field) -> Any:
    return None if field.option.repeated else field.default


def _unset(value: Any) -> bool:
    return value is None or value == []
