"""spurcli inject"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spurcli.cli import options
from spurcli.cli.options import DataRoot, Dataset, Debug, Json, Recipe, Seed, Sets
from spurcli.words import counted

app = typer.Typer(add_completion=False)


@app.command()
def inject(
    dataset: Dataset = None,
    feature: Annotated[
        str, typer.Option("--feature", metavar="NAME", help="line, patch, noise, or your own file.py:attr.")
    ] = "line",
    class_name: Annotated[str, typer.Option("--class", metavar="NAME", help="The class that gets the feature.")] = "",
    count: Annotated[
        int | None, typer.Option("--count", min=0, metavar="N", help="How many of its samples get it.")
    ] = None,
    fraction: Annotated[str | None, typer.Option("--fraction", metavar="SHARE", help="Or what share of them.")] = None,
    select: Annotated[
        str, typer.Option("--select", metavar="HOW", help="random, hardest, easiest, or A:B from easiest to hardest.")
    ] = "random",
    scores: Annotated[
        Path | None, typer.Option("--scores", metavar="FILE", help="Scores of the clean data, for all but random.")
    ] = None,
    score: Annotated[
        str | None,
        typer.Option("--score", metavar="NAME", help="Which score of that file. (default: el2n, or the only one)"),
    ] = None,
    twin_class: Annotated[
        str | None,
        typer.Option("--twin-class", metavar="NAME", help="Report its misclassification with the feature first."),
    ] = None,
    output: Annotated[str | None, options.output("inject.json")] = None,
    data_root: DataRoot = None,
    recipe: Recipe = None,
    sets: Sets = None,
    seed: Seed = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Put a spurious feature into some training samples of one class.

    The file written is itself a data set: name it wherever a data set is named (--dataset inject.json).
    The feature's parameters are set with --set feature.KEY=VALUE (spurcli list features shows them).

    Example: spurcli inject --dataset cifar10 --feature line --class airplane --count 100 --twin-class automobile
    """
    from spurcli.cli.console import print_json, say
    from spurcli.cli.files import command_line, output_path, shown
    from spurcli.errors import UsageError
    from spurcli.features.stage import inject as run
    from spurcli.session import configure

    if not class_name:
        raise UsageError("Which class gets the feature?", "Say --class NAME.")
    overrides = options.parse_sets(sets)
    parameters = {
        key.removeprefix("feature."): overrides.pop(key) for key in list(overrides) if key.startswith("feature.")
    }
    settings = configure(dataset, recipe=recipe, overrides=overrides, seed=seed, data_root=data_root, uses=("dataset",))
    with output_path(output, "inject.json", as_json=as_json, binary=False) as path:
        result = run(
            settings,
            feature=feature,
            class_name=class_name,
            parameters=parameters,
            count=count,
            fraction=fraction,
            select=select,
            scores=scores,
            score=score,
            twin_class=twin_class,
            output=path,
            command=command_line(),
        )
    if as_json:
        print_json(result)
    say(
        f"{result['num_carriers']:,} of {counted(result['num_class'], 'sample')} of {result['class']} carry {feature} "
        f"→ {shown(output, 'inject.json')}"
    )
