"""The command `spurcli demo`: runs the method on the built-in digits."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from spurcli.cli.options import Debug, Json

if TYPE_CHECKING:
    from spurcli.comparing.step import Step

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    output: Annotated[str, typer.Option("-o", "--output", metavar="FOLDER", help="Output folder.")] = "demo-run",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=20, metavar="N", help="Number of data draws, each with its own seed.")
    ] = 8,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Run all stages on the built-in data set: about a minute on a CPU.

    Some training images of one digit have a faint mark, and the model learns the mark as a sign of that digit. Pruning the hardest
    samples weakens this effect; removing equally many random samples does not. The commands are printed as they run, and written
    to FOLDER/commands.sh for you to type. After an interruption, the same command resumes. For your own data: spurcli compare.

    Example: spurcli demo --seeds 3
    """
    # Before torch is imported: on networks this small a second thread costs more than it saves.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from spurcli import demonstration
    from spurcli.cli.console import console, print_json, say
    from spurcli.cli.progress import TerminalProgress
    from spurcli.cli.study_tables import show_report
    from spurcli.comparing.running import carry_out
    from spurcli.requests.options import Caller

    study = demonstration.study(output, range(demonstration.FIRST_SEED, demonstration.FIRST_SEED + seeds))

    def before(step: Step) -> None:
        if step.seed != study.seeds[0]:
            if step.stage == "inject":
                progress.say(f"Seed {step.seed}: the same commands")
            return
        progress.close()
        if heading := demonstration.heading(step):
            console().print(f"\n# {heading}", style="bold", markup=False)
        console().print(f"$ spurcli {shlex.join(step.words)}", style="cyan", markup=False, soft_wrap=True)

    with contextlib.closing(TerminalProgress()) as progress:
        report, data = carry_out(
            study, Caller(progress), lambda: study.run(progress, cost=demonstration.cost, before=before)
        )
    say(f"\n$ spurcli report {output} … -o {study.report.output}")
    if as_json:
        print_json(data)
    else:
        show_report(report)
    say(f"Report: {study.report.output}")
    say(f"Everything is in {output}; {output}/commands.sh runs it again.")
