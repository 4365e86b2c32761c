"""spurcli prune"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from spurcli.cli import options
from spurcli.cli.options import AllowMismatch, Debug, Json, Seed
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@app.command()
def prune(
    scores: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCORES", help="Score files, averaged; - is stdin. (default: scores.h5)"),
    ] = None,
    fraction: Annotated[
        str | None, typer.Option("--fraction", metavar="SHARE", help="What share is removed, e.g. 0.1.")
    ] = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="That share of every class.")] = False,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Only inside this group, e.g. male/glasses. Repeatable, one name each. auto: those that carry their class's spurious feature.",
        ),
    ] = None,
    groups_file: Annotated[
        Path | None, typer.Option("--group-labels", metavar="FILE", help="groups.txt, where the scores hold no groups.")
    ] = None,
    balance_classes: Annotated[
        bool, typer.Option("--balance-classes", help="Go on until all classes are as small as the smallest.")
    ] = False,
    balance_groups: Annotated[
        bool, typer.Option("--balance-groups", help="Go on until all groups are as small as the smallest.")
    ] = False,
    quotas: Annotated[
        Path | None,
        typer.Option(
            "--quotas",
            metavar="FILE",
            help="Keep of each class in proportion to 1 − recall, by this evaluation.json of the split val (DRoP, with --select random).",
        ),
    ] = None,
    select: Annotated[
        str, typer.Option("--select", metavar="HOW", help="hardest, easiest, random, or A:B from easiest to hardest.")
    ] = "hardest",
    match: Annotated[
        Path | None,
        typer.Option("--match", metavar="LIST", help="Random control: as many of each class as this list removes."),
    ] = None,
    match_groups: Annotated[bool, typer.Option("--match-groups", help="… of each class and group.")] = False,
    score: Annotated[
        str | None,
        typer.Option("--score", metavar="NAME", help="Which score decides. (default: el2n, or the only one)"),
    ] = None,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="List what to keep, or what to remove.")] = "keep",
    output: Annotated[str | None, options.output("keep.txt")] = None,
    seed: Seed = 0,
    allow_injection_mismatch: AllowMismatch = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Choose which samples to remove.

    Weak feature (nobody knows it): the hardest of every class. Strong feature (groups known): the hardest inside the
    groups that carry their class's spurious feature (--group auto). A fraction is always what is removed.

    Example: spurcli prune --fraction 0.1 --per-class

    Example: spurcli prune --fraction 0.25 --group auto --balance-classes
    """
    from spurcli.cli.console import print_json, say, warn
    from spurcli.cli.files import command_line, input_paths, output_path, shown
    from spurcli.cli.tables import removed_table
    from spurcli.errors import UsageError
    from spurcli.pruning.stage import prune as run
    from spurcli.words import listed

    if kind not in ("keep", "remove"):
        raise UsageError(f"--kind {kind} is unknown", "Use keep or remove.")
    standard = "keep.txt" if kind == "keep" else "remove.txt"
    with (
        contextlib.ExitStack() as stack,
        output_path(output, standard, as_json=as_json, binary=False) as path,
    ):
        result = run(
            input_paths(scores, "scores.h5", stack),
            fraction=fraction,
            per_class=per_class,
            groups=group or (),
            groups_file=groups_file,
            balance_classes=balance_classes,
            balance_groups=balance_groups,
            quotas=quotas,
            select=select,
            match=match,
            match_groups=match_groups,
            score=score,
            kind=kind,  # type: ignore[arg-type]
            seed=seed,
            allow_injection_mismatch=allow_injection_mismatch,
            output=path,
            command=command_line(),
        )
    if as_json:
        print_json(result)
    else:
        removed_table(result)
    if group == ["auto"]:
        say(f"Groups that carry their class's spurious feature: {listed(result['rule']['groups'], 30)}")
    for warning in result["warnings"]:
        warn(warning)
    say(
        f"{result['num_removed']:,} of {counted(result['num_samples'], 'sample')} removed, {result['num_kept']:,} kept "
        f"→ {shown(output, standard)}"
    )
