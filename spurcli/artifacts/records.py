"""The records inside the files that spurcli writes: what a list removes and by which rule, an epoch, a training.

A file of an older version may lack any key.
"""

from __future__ import annotations

from typing import TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.provenance import Provenance


class FingerprintContent(TypedDict):
    """A fingerprint as it is stored."""

    num_samples: int
    labels_sha256: str | None
    ids_sha256: str | None


class SubjectContent(TypedDict, total=False):
    """A subject as it is stored; a list without header has neither part."""

    fingerprint: FingerprintContent | None
    injection_sha256: str | None


class Removed(TypedDict):
    """How many samples there were and how many of them a list removes."""

    num_samples: int
    num_removed: int


class RemovedOfName(Removed):
    """The removed samples of a class or group."""

    name: str


class RemovedOfQuartile(Removed):
    """The removed samples of a quarter by difficulty; 1 is the easiest."""

    quartile: int


class CarriersOfQuartile(TypedDict):
    """How many samples of a quarter by difficulty carry their class's spurious feature."""

    quartile: int
    num_samples: int
    num_carriers: int
    share_of_carriers: float


class RemovalSummary(TypedDict, total=False):
    """What a list removes."""

    total: Removed
    by_class: list[RemovedOfName]
    quartiles_of: str
    by_quartile: list[RemovedOfQuartile]
    by_group: list[RemovedOfName] | None
    carriers_by_quartile: list[CarriersOfQuartile] | None
    warnings: list[str]


class RecallOfClass(TypedDict):
    """How many validation samples of a class a model classified correctly."""

    name: str
    num_correct: int
    num_samples: int


class ListRule(TypedDict, total=False):
    """The rule of a list: see `spurcli prune --help`. A list of errors only says `by`."""

    select: str
    fraction: str | None
    per: str
    groups: list[str]
    balance_classes: bool
    balance_groups: bool
    quotas: str | None
    matched: str | None
    group_labels: str | None
    recall_counts: list[RecallOfClass]
    suspects: list[int]
    score: str | None
    seed: int | None
    by: str


class ListFacts(TypedDict):
    """Which list a model was trained on."""

    kind: str
    sha256: str
    rule: ListRule
    summary: RemovalSummary


class TrainingFacts(TypedDict, total=False):
    """The facts of a training: its samples, its method, the chosen epoch and the labels used."""

    num_train: int
    num_kept: int
    keep: ListFacts | None
    recipe: str
    seed: int
    method: str
    method_options: JsonObject
    budget: str
    epoch: int
    selection: str
    labels_used: dict[str, str | None]


class CheckpointMetadata(SubjectContent, total=False):
    """The metadata of a checkpoint."""

    architecture: JsonObject
    class_names: list[str]
    preprocessing: JsonObject
    backbone: JsonObject | None
    tokenizer_sha256: str
    provenance: Provenance
    training: TrainingFacts


class EpochRecord(TypedDict, total=False):
    """An epoch of history.json, or the refit of a last layer; `evaluations` has the metrics of each split by name."""

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    num_steps: int
    samples_seen: int
    seconds: float
    fit_seconds: float
    chosen: JsonObject
    evaluations: dict[str, JsonObject]
