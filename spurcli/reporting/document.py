"""The content of a report as typed records; `Report.to_json` is the content of report.json (docs/formats.md), field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from spurcli.artifacts.catalogue import REPORT
from spurcli.evaluation.metric import Bounds
from spurcli.reporting.choice import Choice
from spurcli.reporting.claims import Result
from spurcli.reporting.naming import ArmKind
from spurcli.reporting.scores_entry import ScoresEntry
from spurcli.reporting.statistics import Paired
from spurcli.reporting.values import Table, plain

Interval = Sequence[float]


@dataclass(frozen=True)
class ShownMetric:
    """A metric of the report; `main` if it has a column in the main table, else it is in the full one."""

    name: str
    label: str
    unit: str
    lower_is_better: bool | None
    bounds: Bounds
    main: bool = False


@dataclass(frozen=True)
class SeedValue:
    """A metric at one seed and draw, None where they are not known."""

    seed: int | None
    draw: int | None
    value: float


@dataclass(frozen=True)
class Level:
    """A metric of an arm over its seeds.

    `interval_of` is the source of the interval: "seeds" (95 % t-interval of the mean, three seeds or more) or
    "samples" (the interval of the single run, or the span of those of two: test samples only, no seeds).
    """

    mean: float
    sd: float | None
    num_seeds: int
    interval: Interval | None
    interval_of: Literal["seeds", "samples"] | None
    values: Sequence[SeedValue]


@dataclass(frozen=True)
class PartLevel:
    """Accuracy of a class or group over seeds, as `Level`; `num_samples` are those of the split, a mean over runs."""

    name: str
    mean: float
    sd: float | None
    num_runs: int
    num_samples: float | None
    interval: Interval | None
    interval_of: Literal["seeds", "samples"] | None


@dataclass(frozen=True)
class WorstGroup:
    """The group of the lowest accuracy in most of an arm's runs: in `num_worst` of `num_runs`. Not the worst group of the
    means, where seeds differ in it."""

    name: str
    num_samples: float | None
    num_worst: int
    num_runs: int


@dataclass(frozen=True)
class Removal:
    """The removed share of some samples: means over the lists of an arm."""

    share: float
    num_samples: float
    num_removed: float


@dataclass(frozen=True)
class RemovedPart(Removal):
    """The removal in one class, group or quartile (1 = easiest)."""

    name: str


@dataclass(frozen=True)
class CarrierShare:
    """Share of all carriers of the feature that is in one quartile."""

    name: str
    share_of_carriers: float


@dataclass(frozen=True)
class Removed:
    """What pruning removed, averaged over `num_lists` lists."""

    num_lists: int
    total: Removal | None
    by_class: Sequence[RemovedPart]
    by_group: Sequence[RemovedPart]
    by_quartile: Sequence[RemovedPart]
    carriers_by_quartile: Sequence[CarrierShare]

    @property
    def parts(self) -> dict[str, Sequence[RemovedPart]]:
        return {"by_quartile": self.by_quartile, "by_class": self.by_class, "by_group": self.by_group}


@dataclass(frozen=True)
class ArmEntry:
    """An arm: runs that differ only in seed and draw. `facts` say what its metrics are about (classes, group, feature)."""

    label: str
    short: str
    kind: ArmKind
    method: str
    rule: Table | None
    fraction: float | None
    split: str
    selection: str
    details: Sequence[str]
    group_labels: str
    labels_used: Table | None
    settings: Table
    num_runs: int
    num_seeds: int
    num_train: float | None
    num_kept: float | None
    seconds: float | None
    devices: Sequence[str]
    metrics: Mapping[str, Level]
    facts: Mapping[str, Mapping[str, str]]
    per_class: Sequence[PartLevel]
    per_group: Sequence[PartLevel]
    removed: Removed | None
    commands: Sequence[str]
    versions: Mapping[str, str]
    grouping: str
    worst_group: WorstGroup | None


@dataclass(frozen=True)
class Section:
    """Arms that may be compared in one table, by position; the heading is empty where there is one section only."""

    heading: str
    split: str
    selection: str
    grouping: str
    arms: Sequence[int]


@dataclass(frozen=True)
class Comparison:
    """Differences of one arm from its reference, paired by seed, for each metric; both are positions."""

    arm: int
    reference: int
    metrics: Mapping[str, Paired]


@dataclass(frozen=True)
class Claim:
    """The claim or hint for a primary comparison (`claims.Outcome`); arm and reference are positions.

    `measures` are the primary metrics; `p_adjusted` is Holm's over all primary comparisons of the page.
    """

    arm: int
    reference: int
    measures: Sequence[str]
    result: Result
    is_claim: bool
    p: float | None
    p_adjusted: float | None
    moved: Sequence[str]
    has_lost_core: bool
    reason: str
    collapsed: Sequence[str]


@dataclass(frozen=True)
class Standing:
    """An arm against the best: their difference, None without three pairs; Holm's p over all pairs of the page."""

    arm: int
    difference: Paired | None
    p_adjusted: float | None = None


@dataclass(frozen=True)
class Ranking:
    """The arms of a section and data set; `best` is None where fewer than two have three seeds."""

    section: int
    dataset: str
    num_seeds: int
    best: int | None
    others: Sequence[Standing]


@dataclass(frozen=True)
class Measured:
    """A metric of one run, as its file has it: `told` defines how to show it, `facts` its subject."""

    value: float | None
    num_samples: int | None
    interval: Interval | None
    told: Table = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> Table:
        values = {"value": self.value, "num_samples": self.num_samples, "interval": self.interval}
        return {**values, **self.told, **self.facts}


@dataclass(frozen=True)
class PartAccuracy:
    """Accuracy of a class or group in one run."""

    name: str
    value: float | None
    num_samples: int | None
    interval: Interval | None


@dataclass(frozen=True)
class RunEntry:
    """A run; `arm` is a position, `history` the name of that file."""

    name: str
    arm: int
    split: str
    seed: int | None
    draw: int | None
    selection: str
    epoch: int | None
    seconds: float | None
    history: str | None
    num_train: int | None
    num_kept: int | None
    weights_sha256: str | None
    keep_sha256: str | None
    injection_sha256: str | None
    fingerprint: Table
    device: str
    metrics: Mapping[str, Measured]
    per_class: Sequence[PartAccuracy]
    per_group: Sequence[PartAccuracy]
    warnings: Sequence[str]
    epochs: Sequence[Table]
    commands: Sequence[str]


@dataclass(frozen=True)
class ListEntry:
    """Lists of one rule that no run here was trained on."""

    label: str
    kind: ArmKind
    files: Sequence[str]
    rule: Table
    removed: Removed | None
    commands: Sequence[str]


@dataclass(frozen=True)
class CheckpointEntry:
    file: str
    recipe: str
    method: str
    seed: int | None
    epoch: int | None


@dataclass(frozen=True)
class Noticed:
    """A warning with the runs that have it."""

    text: str
    runs: Sequence[str]


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything that a report says. Positions in other entries are those in `arms`.

    `level` is that of each family of claims: primary comparisons, and pairs of methods.
    """

    title: str
    notes: Sequence[str]
    remarks: Sequence[str]
    skipped: Sequence[Skipped]
    warnings: Sequence[Noticed]
    metrics: Sequence[ShownMetric]
    primary_metric: str | None
    arms: Sequence[ArmEntry]
    sections: Sequence[Section]
    common_settings: Sequence[str]
    comparisons: Sequence[Comparison]
    rankings: Sequence[Ranking]
    choices: Sequence[Choice]
    claims: Sequence[Claim]
    level: float
    runs: Sequence[RunEntry]
    lists: Sequence[ListEntry]
    scores: Sequence[ScoresEntry]
    checkpoints: Sequence[CheckpointEntry]
    provenance: Table
    verdict: Sequence[str] = ()
    reading: Sequence[str] = ()
    doubts: Sequence[str] = ()

    @property
    def primary(self) -> ShownMetric | None:
        """The metric that the verdict is about."""
        return next((metric for metric in self.metrics if metric.name == self.primary_metric), None)

    def to_json(self) -> dict[str, object]:
        content = {item.name: _content(getattr(self, item.name)) for item in dataclasses.fields(self)}
        return {"format": REPORT.format, "version": REPORT.version, **content}


def _content(value: Any) -> Any:
    """JSON content of a value of the types above; numbers that JSON cannot hold as None."""
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value):
        return {item.name: _content(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_content(item) for item in value]
    return plain(value)
