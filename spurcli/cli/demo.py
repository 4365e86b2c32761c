"""The command `spurcli demo`: runs the method on the built-in digits."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from spurcli.cli.options import Debug, Json

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FOLDER", help="Where everything is written.")
    ] = "demo-run",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=20, metavar="N", help="How many draws of the data and seeds.")
    ] = 8,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run the whole chain on the built-in data set: about two minutes on a CPU.

    A faint mark on some training images of one digit is learned as if it meant that digit; pruning the hardest samples
    weakens that, removing as many random ones does not. The commands are printed as they run, and written to
    FOLDER/commands.sh: each can be typed by hand. Interrupted, the same command goes on.

    Example: spurcli demo --seeds 3
    """
    # Before torch is imported: on networks this small a second thread costs more than it brings.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from spurcli import demonstration
    from spurcli.artifacts.atomic import write_text
    from spurcli.cli.console import console, say
    from spurcli.cli.progress import TerminalProgress
    from spurcli.progress import Turn

    chosen = range(demonstration.FIRST_SEED, demonstration.FIRST_SEED + seeds)
    lines = [f"spurcli {shlex.join(words)}" for words in demonstration.script(output, chosen)]
    write_text(
        Path(output, "commands.sh"),
        "#!/bin/sh\n# Everything that `spurcli demo` runs.\nset -e\nexport OMP_NUM_THREADS=1\n"
        + "\n".join(lines)
        + "\n",
    )
    progress = TerminalProgress()
    try:
        for number, seed in enumerate(chosen):
            first = number == 0
            if not first:
                progress.say(f"Seed {seed}: the same commands")
            spans = demonstration.spans(output, seed)
            turn = Turn(progress, number, seeds)
            for heading, commands in demonstration.stages(output, seed):
                if first:
                    progress.close()
                    console().print(f"\n# {heading}", style="bold", markup=False)
                for words in commands:
                    if first:
                        progress.close()
                        console().print(f"$ spurcli {shlex.join(words)}", style="cyan", markup=False, soft_wrap=True)
                    place = f"seed {seed} ({number + 1} of {seeds}): " if seeds > 1 else ""
                    turn.start(f"{place}{words[0]}", 0, next(spans))
                    _run(words)
    finally:
        progress.close()
    words = demonstration.report(output)
    say(f"\n$ spurcli {shlex.join(words[:2])} … -o {words[-1]}")
    _run([*words, "--json"] if as_json else words, quiet=False)
    say(f"Everything is in {output}; {output}/commands.sh makes it again.")


def _run(words: Sequence[str], *, quiet: bool = True) -> None:
    """Run a command line as if it had been typed; what it prints is shown only if it fails."""
    from spurcli.cli.run import run

    printed = io.StringIO()
    with contextlib.redirect_stderr(printed) if quiet else contextlib.nullcontext():
        code = run(list(words))
    if code:
        typer.echo(printed.getvalue(), err=True, nl=False)
        raise typer.Exit(code)
