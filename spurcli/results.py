"""What each stage returns: the keys and values that `--json` prints and that the functions of `spurcli` return."""

from __future__ import annotations

from typing import TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.records import EpochRecord, ListRule, RemovalSummary, TrainingFacts

InjectResult = TypedDict(  # `class` is a keyword
    "InjectResult",
    {
        "output": str,
        "feature": str,
        "parameters": JsonObject,
        "class": str,
        "num_carriers": int,
        "num_class": int,
        "sha256": str,
    },
)


class AgreementOfRuns(TypedDict):
    """How far scoring runs agree (`spurcli.scoring.agreement`)."""

    spearman: float
    overlap_hardest_tenth: float
    num_pairs: int


class ScoreResult(TypedDict):
    """Of `spurcli score`; `agreement` is None for a single run."""

    output: str
    num_samples: int
    num_runs: int
    scores: list[str]
    agreement: AgreementOfRuns | None


class PruneResult(TypedDict):
    """Of `spurcli prune`."""

    output: str
    kind: str
    num_samples: int
    num_removed: int
    num_kept: int
    rule: ListRule
    summary: RemovalSummary
    warnings: list[str]


class TrainResult(TrainingFacts, total=False):
    """Of `spurcli train`; a finished run that was not repeated has no `last` epoch."""

    output: str
    last: EpochRecord


class CountsOfRow(TypedDict):
    """How many samples of a true group (or class) have each attribute."""

    name: str
    counts: dict[str, int]


class InferResult(TypedDict):
    """Of `spurcli infer`."""

    output: str
    by: str
    num_samples: int
    groups: dict[str, int]
    errors: str | None
    num_errors: int | None
    rows: str
    counts: list[CountsOfRow]
