"""The options of `cut`, each a flag and a Python parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.comparing.request import Jobs, Threads
from spurcli.requests.options import (
    OUTPUT,
    Caller,
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
    TextColumn,
    Workers,
)

if TYPE_CHECKING:
    from spurcli.comparing.estimate import Estimate
    from spurcli.reporting.document import Report

STANDARD_AUDIT = "audit"


@dataclass(frozen=True, kw_only=True)
class CutRequest:
    """Train with and without the carriers of a suspect (or several) of an audit, and measure what that changes."""

    audit: Annotated[
        File | None, Option(f"The folder of an audit. (default: {STANDARD_AUDIT})", "AUDIT", positional=True)
    ] = field(default=None, kw_only=False)
    suspect: Annotated[
        str | int | Sequence[int],
        Option("The rank of the suspect, or of several that are cut together: 1,3,5 or 1-3.", "N"),
    ] = "1"
    seeds: Seeds = "5"
    fraction: Annotated[
        str | float | None,
        Option(
            "The fraction of the carriers to remove, the hardest first. (default: 1, or 0.25 if more than half of the "
            "class are carriers)",
            "FRACTION",
        ),
    ] = None
    dataset: Dataset = None
    image: ImageColumn = None
    text: TextColumn = None
    split: Annotated[
        str | None, Option("Evaluate on this split. (default: test, else the audit's held-out split)", "NAME")
    ] = None
    model: Model = None
    dry_run: Annotated[bool, Option("Show the plan and the expected time, and stop.")] = False
    script: Annotated[bool, Option("Print the commands as a shell script, and stop.")] = False
    jobs: Jobs = 1
    threads: Threads = None
    output: Annotated[
        File | None,
        Option(
            "Folder of the study. (default: cut-1 for suspect 1, cut-1,3 for suspects 1 and 3)",
            "FOLDER",
            short="-o",
            panel=OUTPUT,
        ),
    ] = None
    data_root: DataRoot = None
    recipe: Recipe = None
    set: Sets = None
    device: Device = "auto"
    workers: Workers = 2
    feature: Feature = None
    progress: Shown = False

    @property
    def folder(self) -> File:
        """The folder of the study."""
        part = "" if self.fraction is None else f"-{self.stated_fraction}"
        return self.output or f"cut-{self.stated_suspects}{part}"

    @property
    def stated_suspects(self) -> str:
        """The ranks in one spelling: "3-5,1" as "1,3,4,5". Raises UsageError if they are no ranks."""
        return ",".join(map(str, self.ranks))

    @property
    def ranks(self) -> list[int]:
        """The ranks of the suspects, in order. Raises UsageError if they are no ranks."""
        from spurcli.auditing.ranks import read_ranks

        return read_ranks(self.suspect)

    @property
    def stated_fraction(self) -> str:
        """The fraction in one spelling: ".5" as "0.5"."""
        text = str(self.fraction).strip()
        return f"0{text}" if text.startswith(".") else text


class CutResult(TypedDict):
    """The result of `spurcli cut`. `verdict` is one sentence (of several suspects one each, and one on the cost), and `is_hint` is true with fewer
    than five seeds; both null for a plan.

    `measures` has the values of each arm by seed, `audited` those of the audited model, null if its file is not here; `report` is what `spurcli report --format json` says.
    `suspects` has these for each suspect, with what identifies it; `suspect`, `measures` and `audited` are null if there are several.
    """

    output: str
    suspect: JsonObject | None
    suspects: list[JsonObject]
    fraction: str
    seeds: list[int]
    num_commands: int
    estimated_seconds: float | None
    verdict: str | None
    is_hint: bool | None
    measures: JsonObject | None
    audited: JsonObject | None
    report: JsonObject | None


def run(
    asked: CutRequest,
    caller: Caller,
    *,
    show: Callable[[Estimate], None] = lambda _: None,
    show_report: Callable[[Report], None] = lambda _: None,
) -> CutResult:
    """Resolve the request; plan, train, evaluate and report. `show` gets the plan before anything runs."""
    from spurcli.comparing.cutting import running  # numpy and h5py are not for `import spurcli`

    return running.run(asked, caller, show, show_report)
