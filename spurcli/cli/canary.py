"""The command `spurcli canary`: its help text and what it prints. Options: comparing/canary/request.py."""

from __future__ import annotations

from functools import partial
from typing import Any

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.comparing.canary.request import STANDARD_FOLDER, CanaryRequest, run

app = typer.Typer(add_completion=False)


@stage_command(app, CanaryRequest)
def canary(asked: CanaryRequest, call: Call) -> None:
    """Forecast what pruning will do to a weak feature: plant known ones, prune, and measure.

    Canaries are faint features that this command puts into a copy of your training data: a patch in a corner of some
    images of a class, or a word at the end of some texts. Models are trained on all samples, without the hardest of each class,
    and without as many random ones. How much each model relies on a canary is measured, because where the canary is, is known.

    The forecast: does pruning reduce the reliance on a weak feature here, at which fraction, and what does it cost in
    accuracy? "Does not help" is an answer. No file of the canaries can be used to train on the data without them. A faint canary says
    nothing about a strong feature: spurcli audit looks for those. After an interruption the same command goes on.

    Example: spurcli canary --dataset demo --seeds 3 --dry-run

    Example: spurcli canary --dataset birds.csv --recipe own-images-cpu --fractions 0.1,0.2 -o canary
    """
    from spurcli.cli.canary_table import show_forecast
    from spurcli.cli.console import console, print_json, say
    from spurcli.cli.study_tables import plan_table, time_line

    def show(plan: Any) -> None:
        console().print(plan_table(plan))
        say(time_line(plan))

    result = call(partial(run, show=show), asked)
    if call.as_json:
        print_json(result)
    if result["forecast"]:
        show_forecast(result["forecast"])
        folder = asked.output or STANDARD_FOLDER
        say(f"Page: {folder}/canary.html. Numbers: {folder}/canary.json")
