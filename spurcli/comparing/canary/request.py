"""The options of `canary`, each a flag and a Python parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.requests.options import (
    OUTPUT,
    AttributeColumn,
    Caller,
    ClassColumn,
    DataRoot,
    Dataset,
    Device,
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

STANDARD_FOLDER = "canary"


@dataclass(frozen=True, kw_only=True)
class CanaryRequest:
    """Forecast the effect of pruning on a weak feature: plant known features, prune, and measure."""

    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    label: ClassColumn = None
    attribute: AttributeColumn = None
    split_column: SplitsColumn = None
    fractions: Annotated[
        str | Sequence[str], Option("Fractions of each class that pruning removes, separated by commas.", "LIST")
    ] = "0.1,0.2,0.3"
    seeds: Seeds = "5"
    canaries: Annotated[int, Option("Number of features planted at once.", "N", minimum=1)] = 3
    share: Annotated[str | float, Option("Share of a class that carries its canary.", "FRACTION")] = "0.3"
    strength: Annotated[
        str | float, Option("Factor on the strength of canaries in images: 2 makes them twice as bright.", "FACTOR")
    ] = "1"
    max_cost: Annotated[str | float, Option("Maximum cost of pruning, in points of accuracy.", "POINTS")] = "1"
    split: Annotated[
        str | None, Option("The split on which canaries are measured. (default: val, else test)", "NAME")
    ] = None
    model: Model = None
    dry_run: Annotated[bool, Option("Show the plan and the expected time, and stop.")] = False
    output: Annotated[
        File | None,
        Option(f"Output folder. (default: {STANDARD_FOLDER})", "FOLDER", short="-o", panel=OUTPUT),
    ] = None
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    workers: Workers = 2
    progress: Shown = False


class CanaryResult(TypedDict):
    """The result of `spurcli canary`; `forecast` is the content of canary.json, None for a plan."""

    output: str
    fractions: list[str]
    seeds: list[int]
    num_commands: int
    estimated_seconds: float | None
    forecast: JsonObject | None


def run(asked: CanaryRequest, caller: Caller, *, show: Callable[[Estimate], Any] = lambda _: None) -> CanaryResult:
    """Resolve the request; plan, plant, run and forecast. `show` gets the plan before anything runs."""
    from spurcli.comparing.canary import running  # numpy and h5py are not for `import spurcli`

    return running.run(asked, caller, show)
