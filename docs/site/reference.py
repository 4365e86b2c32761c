"""The reference pages, generated from Typer's commands, from `spurcli list`, and from the Python functions."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from typing import Any

# Modules and objects whose docstrings are shown, under a heading each.
DOCUMENTED = {
    "Data sets": ("spurcli.datasets.load.load_dataset", "spurcli.datasets.base", "spurcli.datasets.inputs"),
    "Arrays in memory": ("spurcli.in_memory.functions",),
    "Recording dynamics in other programs": (
        *("spurcli.callbacks.recorder.DynamicsRecorder", "spurcli.callbacks.transformers.DynamicsCallback"),
    ),
    "Settings of a session": ("spurcli.session.configure",),
    "Scores": ("spurcli.scoring.formulas",),
    "Training methods": ("spurcli.training.method",),
    "Predictions and metrics": (
        *("spurcli.artifacts.predictions.read_predictions", "spurcli.evaluation.evaluated.evaluated_from"),
        "spurcli.evaluation.metrics.compute",
    ),
    "Finders of the audit": ("spurcli.auditing.evidence.Evidence", "spurcli.auditing.suspect.Finding"),
    "Pages of a study": ("spurcli.studies.description", "spurcli.studies.page", "spurcli.studies.tidy"),
    "Errors": ("spurcli.errors",),
}


def plain(text: str) -> str:
    """A text with all Markdown characters escaped, on one line, so that it can be a cell of a table."""
    text = re.sub(r"([\\`*_{}\[\]|#])", r"\\\1", re.sub(r"\s+", " ", text.strip()))
    return text.replace("<", "&lt;")


def code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`" if text else ""


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def commands() -> str:
    """Every command with its help and options."""
    import typer

    from spurcli.cli.app import COMMANDS, app

    group = typer.main.get_command(app)
    context = typer.Context(group, info_name="spurcli")
    text = (
        "# Commands\n\nThis page is generated from the output of `--help`. "
        "Exit codes: 0 done, 1 failed, 2 usage, 3 bad input, 4 missing extra, 130 and 143 interrupted.\n\n"
    )
    text += table(
        ("command", ""), ((f"[spurcli {name}](#spurcli-{name})", plain(says)) for name, (_, says) in COMMANDS.items())
    )
    for name in COMMANDS:
        command = group.get_command(context, name)
        below = getattr(command, "commands", {})
        text += described(f"spurcli {name}", command, "##", options=not below)
        for sub, each in below.items():
            text += described(f"spurcli {name} {sub}", each, "###")
    return text


def described(name: str, command: Any, level: str, *, options: bool = True) -> str:
    help_text = re.sub(r"^Example: (.*)$", r"    \1", inspect.cleandoc(command.help or ""), flags=re.MULTILINE)
    paragraphs = [part if part.startswith(" ") else plain(part) for part in re.split(r"\n\s*\n", help_text)]
    text = f"{level} {name}\n\n" + "\n\n".join(paragraphs) + "\n\n"
    if not options:
        return text
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for param in command.params:
        is_argument = param.param_type_name == "argument"
        panel = "Arguments" if is_argument else getattr(param, "rich_help_panel", None) or "Options"
        flags = [] if is_argument else [*param.opts, *param.secondary_opts]
        value = "" if getattr(param, "is_flag", False) else param.metavar or ""
        if is_argument:
            flags, value = [value or param.name.upper()], ""
        default = getattr(param, "default", None)
        is_shown = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
        says = plain(getattr(param, "help", "") or "") + (f" (default: {code(str(default))})" if is_shown else "")
        panels.setdefault(panel, []).append((", ".join(map(code, flags)), code(value), says))
    for panel, rows in panels.items():
        text += f"**{panel}**\n\n" + table(("", "value", "meaning"), rows)
    return text


def parts() -> str:
    """The page of all registered parts, as `spurcli list` shows them."""
    from typer.testing import CliRunner

    from spurcli.cli.app import app

    listed = CliRunner().invoke(app, ["list", "--json"], catch_exceptions=False)
    text = "# Registered parts\n\nThis page is generated from `spurcli list --json`. `path/to/file.py:attr` is accepted wherever a name is accepted.\n\n"
    for kind, rows in json.loads(listed.stdout).items():
        text += f"## {kind}\n\n"
        text += table(
            ("name", "what it is", "source"),
            ((code(row["name"]), plain(said(row)), plain(row["source"])) for row in rows),
        )
    return text


def said(row: dict[str, Any]) -> str:
    more = {
        "higher is": row.get("higher_is"),
        "for": row.get("for"),
        "needs": row.get("needs"),
        "unit": row.get("unit"),
    }
    facts = "; ".join(f"{key} {value}" for key, value in more.items() if value)
    options = ", ".join(f"{key}={value}" for key, value in row.get("options", {}).items())
    return row["summary"] + (f" ({facts})" if facts else "") + (f" Options: {options}" if options else "")


def python() -> str:
    """The functions of the stages with their parameters, and the docstrings of the objects that a user's own code uses."""
    import spurcli
    from spurcli import api
    from spurcli.requests.options import fields_of

    text = (
        "# Python\n\nThe stages are functions with the options of the commands, and return what the commands print with `--json`; "
        "this part is generated from their signatures. Errors are `spurcli.SpurError`.\n\n"
    )
    for name, request in requests(api).items():
        function = getattr(spurcli, name)
        text += f"## spurcli.{name}\n\n{plain((inspect.getdoc(request) or '').partition('Does what')[0])}\n\n"
        text += f"Returns `{getattr(inspect.signature(function).return_annotation, '__name__', 'dict')}`.\n\n"
        text += table(
            ("parameter", "flag", "default", "meaning"),
            (
                (
                    code(field.name),
                    code("" if field.option.positional else field.flag),
                    code(repr(field.default)),
                    plain(field.option.help),
                )
                for field in fields_of(request)
            ),
        )
    for title, names in DOCUMENTED.items():
        text += f"## {title}\n\n" + "".join(f"::: {name}\n\n" for name in names)
    return text


def requests(api: Any) -> dict[str, Any]:
    """The request of each stage's function."""
    return {
        name.removesuffix("Request").lower(): value for name, value in vars(api).items() if name.endswith("Request")
    }
