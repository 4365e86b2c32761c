"""The options of `inject`, each a flag and a Python parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from spurcli.errors import UsageError
from spurcli.requests.files import output_file
from spurcli.requests.options import (
    AttributeColumn,
    Caller,
    ClassColumn,
    DataRoot,
    Dataset,
    File,
    ImageColumn,
    Option,
    Recipe,
    Score,
    Seed,
    Sets,
    Shown,
    SplitsColumn,
    TextColumn,
    output,
    overrides_of,
    path,
    text,
)
from spurcli.results import InjectResult


@dataclass(frozen=True, kw_only=True)
class InjectRequest:
    """Add a spurious feature to some training samples of one class."""

    standard_output: ClassVar[str] = "inject.json"

    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    feature: Annotated[
        str, Option("line, patch, noise, word, or your own file.py:attr.", "NAME", completes="features")
    ] = "line"
    class_name: Annotated[str | None, Option("The class that gets the feature.", "NAME", flag="--class")] = None
    count: Annotated[int | None, Option("Number of samples of the class that get the feature.", "N", minimum=0)] = None
    fraction: Annotated[str | float | None, Option("Fraction of the class that gets the feature.", "FRACTION")] = None
    select: Annotated[
        str,
        Option(
            "random, hardest, easiest, or A:B from easiest to hardest.", "ORDER", completes="random hardest easiest"
        ),
    ] = "random"
    scores: Annotated[File | None, Option("Scores of the clean data; required unless --select is random.", "FILE")] = (
        None
    )
    score: Score = None
    twin_class: Annotated[
        str | None, Option("The class whose misclassification with the feature is reported first.", "NAME")
    ] = None
    output: Annotated[File | None, output("inject.json")] = None
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    seed: Seed = 0
    progress: Shown = False


def run(asked: InjectRequest, caller: Caller) -> InjectResult:
    """Resolve the request and write inject.json."""
    from spurcli.session import configure
    from spurcli.stages.inject import inject

    if not asked.class_name:
        raise UsageError("Which class gets the feature?", "Add --class NAME.")
    overrides = overrides_of(asked)
    parameters = {
        key.removeprefix("feature."): overrides.pop(key) for key in list(overrides) if key.startswith("feature.")
    }
    settings = configure(
        text(asked.dataset),
        recipe=text(asked.recipe),
        overrides=overrides,
        seed=asked.seed,
        data_root=path(asked.data_root),
        uses=("dataset",),
    )
    return inject(
        settings,
        feature=asked.feature,
        class_name=asked.class_name,
        parameters=parameters,
        count=asked.count,
        fraction=None if asked.fraction is None else str(asked.fraction),
        select=asked.select,
        scores=path(asked.scores),
        score=asked.score,
        twin_class=asked.twin_class,
        output=output_file(asked.output, asked.standard_output),
        command=caller.command,
    )
