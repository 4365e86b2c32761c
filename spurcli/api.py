"""The stages as Python functions: `spurcli.train(dataset="demo", seed=1)` does what `spurcli train --dataset demo --seed 1` does."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import typing
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar, cast

from spurcli.artifacts.envelope import JsonObject
from spurcli.comparing.canary.request import CanaryRequest, CanaryResult
from spurcli.comparing.cutting.request import CutRequest, CutResult
from spurcli.comparing.request import CompareRequest, CompareResult
from spurcli.errors import UsageError
from spurcli.progress import Progress, Silent
from spurcli.registry import near
from spurcli.requests.audit import AuditRequest
from spurcli.requests.embed import EmbedRequest
from spurcli.requests.evaluate import EvaluateRequest
from spurcli.requests.export import ExportRequest
from spurcli.requests.infer import InferRequest
from spurcli.requests.inject import InjectRequest
from spurcli.requests.options import Caller, command_of, fields_of, several
from spurcli.requests.prune import PruneRequest
from spurcli.requests.report import ReportRequest
from spurcli.requests.score import ScoreRequest
from spurcli.requests.train import TrainRequest
from spurcli.results import (
    AuditResult,
    EmbedResult,
    ExportResult,
    InferResult,
    InjectResult,
    PruneResult,
    ScoreResult,
    TrainResult,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Location of the function that takes settings, as the functions here did before they took the options of the commands.
_WITH_SETTINGS = ("inject", "score", "train", "evaluate", "infer")


def _function(stage: str, request: Callable[_P, Any], result: type[_R], command: str = "") -> Callable[_P, _R]:
    """The function of a stage: its parameters are the fields of the request, which are the options of the command.

    `command` is its name on the command line if this differs from the stage's name.
    """
    hints = typing.get_type_hints(request)  # without the options
    parameters = inspect.signature(request).parameters.values()
    signature = inspect.Signature(
        [each.replace(annotation=hints[each.name]) for each in parameters], return_annotation=result
    )

    def call(*args: _P.args, **keywords: _P.kwargs) -> _R:
        if args and type(args[0]).__name__ == "Settings":
            return cast(_R, _with_settings(stage, *args, **keywords))
        for name in keywords.keys() - set(signature.parameters):
            raise TypeError(f"spurcli.{stage}() has no parameter {name!r}{near(name, signature.parameters)}")
        asked = request(*args, **keywords)
        _refuse_streams(asked)
        run = importlib.import_module(request.__module__).run
        with _shown(asked.progress) as progress:
            return cast(_R, run(asked, Caller(progress, command_of(command or stage, asked))))

    call.__name__ = call.__qualname__ = stage
    call.__doc__ = _documented(command or stage, request)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _documented(stage: str, request: Any) -> str:
    options = "\n".join(f"    {field.name}: {field.option.help}" for field in fields_of(request))
    return (
        f"{request.__doc__}\n\nRuns `spurcli {stage}` with the options of the same names, and returns the content of its --json output. Errors are `spurcli.errors.SpurError`.\n\n{options}\n"
        "    progress: True shows progress on stderr; or your own `spurcli.progress.Progress`.\n"
    )


def _refuse_streams(asked: Any) -> None:
    """Raise UsageError for `-`, which is the command line's stdin or stdout."""
    for field in fields_of(asked):
        if (field.option.reads or field.option.writes) and "-" in several(getattr(asked, field.name)):
            raise UsageError(f"{field.name}='-' works only on the command line", "Name a file.")


@contextlib.contextmanager
def _shown(asked: Progress | bool) -> Iterator[Progress]:
    """The requested progress: True is that of the terminal, as on the command line."""
    if asked is True:
        from spurcli.cli.progress import TerminalProgress

        with contextlib.closing(TerminalProgress()) as progress:
            yield progress
    else:
        yield asked or Silent()


def _with_settings(stage: str, *args: Any, **keywords: Any) -> Any:
    """The call as it was before the functions took the commands' options; works for one release."""
    if stage not in _WITH_SETTINGS:
        raise TypeError(f"spurcli.{stage}() takes no settings")
    where = f"spurcli.stages.{stage}.{stage}"
    warnings.warn(
        f"spurcli.{stage}(settings, ...) is now {where}; spurcli.{stage} takes the options of the command",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(importlib.import_module(where.rpartition(".")[0]), stage)(*args, **keywords)


embed = _function("embed", EmbedRequest, EmbedResult, "data embed")
inject = _function("inject", InjectRequest, InjectResult)
score = _function("score", ScoreRequest, ScoreResult)
prune = _function("prune", PruneRequest, PruneResult)
train = _function("train", TrainRequest, TrainResult)
evaluate = _function("evaluate", EvaluateRequest, JsonObject)
infer = _function("infer", InferRequest, InferResult)
audit = _function("audit", AuditRequest, AuditResult)
report = _function("report", ReportRequest, JsonObject)
canary = _function("canary", CanaryRequest, CanaryResult)
cut = _function("cut", CutRequest, CutResult)
export = _function("export", ExportRequest, ExportResult)
compare = _function("compare", CompareRequest, CompareResult)
