"""The commands, imported only when one is called: `spurcli --help` must be fast."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click
import typer

# name → (module, one line); order is that of the method
COMMANDS = {
    "inject": "Put a spurious feature into some training samples (writes inject.json)",
    "score": "Measure how difficult each training sample is (writes scores.h5)",
    "prune": "Choose which samples to remove (writes keep.txt)",
    "train": "Train from scratch on what is kept (writes model.safetensors)",
    "evaluate": "Worst-group accuracy and more, with intervals (writes evaluation.json)",
    "report": "All runs on one page (writes report.html)",
    "demo": "Run the whole chain on the built-in data set: about two minutes on a CPU",
    "list": "List data sets, features, scores, models, methods and recipes",
    "show": "Show what a file is and how it was made",
    "data": "Check a data set's counts and fingerprint",
    "recipe": "Copy or list recipes",
}


class LazyGroup(click.Group):
    """Lists commands from the table above; imports a command's module when it is called or asked for help."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"spurcli.cli.{name}")
        command: Any = typer.main.get_command(module.app)
        command.name = name
        return command  # type: ignore[no-any-return]

    def resolve_command(self, context: click.Context, arguments: list[str]) -> Any:
        name = arguments[0] if arguments else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from spurcli.registry import near

            raise click.UsageError(f"No such command {name!r}{near(name, COMMANDS)}", context)
        return super().resolve_command(context, arguments)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        stages, beside = list(COMMANDS)[:6], list(COMMANDS)[6:]
        for title, names in (("Stages, in order", stages), ("Beside them", beside)):
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name]) for name in names])


def build() -> click.Group:
    return LazyGroup(
        "spurcli",
        help=(
            "Find spurious correlations in a classifier and sever them by pruning a few hard samples.\n\n"
            "The stages exchange files: each writes its standard name in the current folder, and reads the one that "
            "the stage before it wrote.\n\n"
            "\b\nThe method in five lines:\n"
            "  spurcli score --dataset NAME\n"
            "  spurcli prune --fraction 0.1 --per-class\n"
            "  spurcli train\n  spurcli evaluate\n  spurcli report"
        ),
        epilog="New here? spurcli demo",
        params=[
            click.Option(
                ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Version."
            )
        ],
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )


def _version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"spurcli {version('spurcli')}")
        context.exit()


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from spurcli.cli.run import run

    sys.exit(run(build(), sys.argv[1:] if argv is None else argv))
