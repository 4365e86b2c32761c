"""The options of `compare`, each a flag and a Python parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.comparing.arms import GRAMMAR
from spurcli.epoch_rules import RULES
from spurcli.requests.options import (
    GROUP_LABELS,
    OUTPUT,
    AttributeColumn,
    Caller,
    ClassColumn,
    DataRoot,
    Dataset,
    Device,
    Feature,
    File,
    ImageColumn,
    Model,
    Option,
    Recipe,
    Seeds,
    Sets,
    Shown,
    SplitsColumn,
    TextColumn,
    Workers,
)

if TYPE_CHECKING:
    from spurcli.comparing.estimate import Estimate
    from spurcli.reporting.document import Report

WHERE = "Execution"
STANDARD_FOLDER = "study"
Jobs = Annotated[int, Option("Run this many commands at once on this machine.", "N", panel=WHERE, minimum=1)]
Threads = Annotated[
    int | None,
    Option("Threads of each run. (default: torch's; with --jobs: cores / jobs)", "N", panel=WHERE, minimum=1),
]


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """Compare ways of training over seeds: score, prune, train, evaluate and report in one command."""

    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    arms: Annotated[
        str | Sequence[str] | None,
        Option(
            f"What to compare, separated by commas: {GRAMMAR}; or FILE.toml. (default: erm,prune:0.1)",
            "ARMS",
            completes="methods",
        ),
    ] = None
    seeds: Seeds = "5"
    controls: Annotated[bool, Option("Add the matched random control of each pruned arm.")] = True
    model: Model = None
    group_labels: Annotated[File | None, Option(f"{GROUP_LABELS}, for arms that need groups.", "FILE")] = None
    select_epoch: Annotated[
        str | Sequence[str],
        Option(
            f"Evaluate the epochs that these rules choose: {', '.join(RULES)}. (default: the recipe's)",
            "RULE,…",
            completes="rules",
        ),
    ] = ""
    split: Annotated[
        str | Sequence[str] | None,
        Option(
            "Evaluate on this split. Repeatable. (default: test)", "NAME", repeated=True, completes="test val train"
        ),
    ] = None
    evaluate_attribute: Annotated[
        str | Sequence[str] | None,
        Option(
            "Evaluate with groups defined by this column of the data set's table. Repeatable: one table each; A,B crosses columns.",
            "COLUMN",
            repeated=True,
        ),
    ] = None
    evaluate_groups: Annotated[
        File | None, Option("Evaluate with the groups in this table (columns id and group).", "FILE")
    ] = None
    feature_of: Annotated[
        str | Sequence[str] | None,
        Option("Measure reliance on this feature, CLASS/ATTRIBUTE. Repeatable.", "NAME", repeated=True),
    ] = None
    dry_run: Annotated[bool, Option("Show the plan and the expected time, and stop.")] = False
    script: Annotated[bool, Option("Print the commands as a shell script, and stop.")] = False
    jobs: Jobs = 1
    threads: Threads = None
    profile: Annotated[
        File | None, Option("Run with Snakemake and this profile (SLURM, Kubernetes, GPUs).", "DIR", panel=WHERE)
    ] = None
    cores: Annotated[int | None, Option("Run with Snakemake on this many cores.", "N", panel=WHERE, minimum=1)] = None
    title: Annotated[str | None, Option("Title of the report.", "TEXT", panel=OUTPUT)] = None
    note: Annotated[
        str | Sequence[str] | None,
        Option("A remark to print in the report. Repeatable.", "TEXT", panel=OUTPUT, repeated=True),
    ] = None
    output: Annotated[
        File | None, Option(f"Folder of the study. (default: {STANDARD_FOLDER})", "FOLDER", short="-o", panel=OUTPUT)
    ] = None
    force: Annotated[
        bool, Option("Replace outputs of other settings in the folder, finished or not.", panel=OUTPUT)
    ] = False
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False


class CompareResult(TypedDict):
    """The result of `spurcli compare`; `report` is what `spurcli report --format json` says, None for a plan."""

    output: str
    arms: list[str]
    seeds: list[int]
    num_commands: int
    estimated_seconds: float | None
    report: JsonObject | None


def run(
    asked: CompareRequest,
    caller: Caller,
    *,
    show: Callable[[Estimate], None] = lambda _: None,
    show_report: Callable[[Report], None] = lambda _: None,
) -> CompareResult:
    """Resolve the request; plan, run and report. `show` gets the plan before anything runs, `show_report` the report."""
    from spurcli.comparing import running  # numpy and h5py are not for `import spurcli`

    return running.run(asked, caller, show, show_report)
