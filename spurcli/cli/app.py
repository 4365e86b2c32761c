"""The commands, imported only when one is called: `spurcli --help` must be fast."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Annotated, Any

import typer
import typer.core

from spurcli.registry import near

_STAGES, _OTHER = "Stages, in order", "Other commands"
# Each is a module of this package, in the order of the method. The summary is the first paragraph of the command's help,
# here too because importing all commands for one line of each doubles the time of `spurcli --help`.
COMMANDS = {
    "inject": (_STAGES, "Add a spurious feature to some training samples of one class."),
    "score": (_STAGES, "Measure how difficult each training sample is."),
    "prune": (_STAGES, "Choose which samples to remove."),
    "train": (_STAGES, "Train a model from scratch on the samples that a list keeps."),
    "evaluate": (
        _STAGES,
        "Measure worst-group accuracy, reliance on a spurious feature, and more, with intervals.",
    ),
    "report": (
        _STAGES,
        "Show all runs on one page: results over seeds, curves, difficulty, pruned samples, and the exact commands.",
    ),
    "compare": (
        _OTHER,
        "Run a complete study: ways of training × seeds, a random control for each pruned arm, and the report.",
    ),
    "cut": (
        _OTHER,
        "Train with and without the carriers of a suspect (or several) of an audit, and measure what that changes.",
    ),
    "canary": (_OTHER, "Forecast the effect of pruning on a weak feature: plant known features, prune, and measure."),
    "audit": (_OTHER, "Search for unlabelled features that a model relies on."),
    "infer": (
        _OTHER,
        "Infer groups without group labels, from a model's predictions or from your ticks.",
    ),
    "export": (_OTHER, "Write the samples of a list, or scores, groups or predictions, for other programs."),
    "demo": (_OTHER, "Run all stages on the built-in data set: about a minute on a CPU."),
    "list": (
        _OTHER,
        "List data sets, features, scores, models, methods, ways of inferring, finders, recipes, metrics, and rules that choose an epoch.",
    ),
    "show": (_OTHER, "Show the kind of a file and its history: the commands that led to the file, oldest first."),
    "checks": (_OTHER, "Show what this machine has: versions, extras, data sets, weights, caches and devices."),
    "data": (_OTHER, "Check, cache or embed a data set."),
    "recipe": (_OTHER, "Copy a recipe to change it, or print it."),
}
# Typer carries its own copy of click since 0.26, and used the package before: this is UsageError in both.
UsageProblem: type[Exception] = typer.BadParameter.__bases__[0]


class LazyGroup(typer.core.TyperGroup):
    """Imports the module of a command when the command is called."""

    is_listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        panel, summary = COMMANDS[cmd_name]
        if self.is_listing:
            listed = typer.core.TyperCommand(cmd_name, help=summary)
            listed.rich_help_panel = panel
            return listed
        command: Any = typer.main.get_command(importlib.import_module(f"spurcli.cli.{cmd_name}").app)
        command.name = cmd_name
        command.rich_help_panel = panel
        _tidy(command, ctx)
        return command

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _tidy(self, ctx)
        self.is_listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.is_listing = False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0] if args else ""
        is_wrong = name and not name.startswith("-") and name not in COMMANDS
        if is_wrong and not ctx.resilient_parsing:  # as while a shell completes
            raise UsageProblem(f"No such command {name!r}{near(name, COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


def _tidy(command: Any, ctx: Any) -> None:
    """Make the help of a command and its subcommands easy to read in every version of Typer.

    The lines of a paragraph are joined: a docstring is wrapped for the source, a help text for the terminal.
    A flag takes no value, so none is shown; the name of an argument says what it is, so no Python type is shown.
    """
    for each in (command, *getattr(command, "commands", {}).values()):
        each.help = re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.cleandoc(each.help or ""))
        for param in filter(None, (*each.params, each.get_help_option(ctx))):
            if getattr(param, "is_flag", False):
                param.metavar = ""
            elif param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # noqa: ARG005


app = typer.Typer(
    cls=LazyGroup,
    add_completion=True,
    no_args_is_help=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="New here? spurcli demo",
)


@app.callback()
def spurcli(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Find spurious correlations in a classifier and sever them by pruning a few hard samples.

    The stages exchange files: each writes a file with a standard name in the current folder, and reads the file that the stage
    before it wrote.

    The method in five lines:

      spurcli score --dataset NAME
      spurcli prune --fraction 0.1 --per-class
      spurcli train
      spurcli evaluate
      spurcli report
    """
