"""The command `spurcli score`: its help text and what it prints. Options: requests/score.py; work: stages/score.py."""

from __future__ import annotations

import typer

from spurcli.cli.command import Call, stage_command
from spurcli.requests.score import ScoreRequest, run
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@stage_command(app, ScoreRequest)
def score(asked: ScoreRequest, call: Call) -> None:
    """Measure how difficult each training sample is.

    Trains the recipe's model for a few epochs (on the learning-rate schedule of the full recipe), then computes all
    scores in one pass in eval mode: EL2N, loss, margins, entropy and more. After an interruption the same command
    resumes.

    Example: spurcli score --dataset celeba --epoch 10
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import shown

    result = call(run, asked)
    if call.as_json:
        print_json(result)
    where = shown(asked.output, asked.standard_output)
    say(f"Scored {counted(result['num_samples'], 'sample')}: {', '.join(result['scores'])} → {where}")
    if agreed := result["agreement"]:
        say(
            f"Agreement of {result['num_runs']} runs: Spearman {agreed['spearman']:.2f}, "
            f"{agreed['overlap_hardest_tenth']:.0%} of the hardest tenth in common"
        )
