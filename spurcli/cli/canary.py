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
    """Forecast the effect of pruning on a weak feature: plant known features, prune, and measure.

    Canaries are faint features that this command puts into a copy of your training data: a patch in a corner of some
    images of a class, or a word at the end of some texts. Models are trained on all samples, without the hardest samples
    of each class, and without equally many random samples. The carriers of a canary are known, so each model's reliance on it can be measured.

    For a head on embeddings, name the embeddings: canaries are planted in the images or texts that they were made from, and
    the changed samples are embedded again.

    The forecast says whether pruning reduces the reliance on a weak feature in your data, at which fraction, and at which
    cost in accuracy. Files of the canaries are rejected for the data without canaries. A faint canary is not evidence about
    strong features: search for these with spurcli audit. After an interruption, the same command resumes.

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
