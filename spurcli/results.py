"""What each stage returns: the keys and values that `--json` prints and that the functions of `spurcli` return."""

from __future__ import annotations

from typing import TypedDict

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.records import EpochRecord, FingerprintContent, ListRule, RemovalSummary, TrainingFacts

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
    """The result of `spurcli score`; `agreement` is None for a single run."""

    output: str
    num_samples: int
    num_runs: int
    scores: list[str]
    agreement: AgreementOfRuns | None


class EmbedResult(TypedDict):
    """The result of `spurcli data embed`; `backbone` as in embeddings.h5, `columns` of the table that the file keeps."""

    output: str
    num_samples: int
    num_dimensions: int
    splits: dict[str, int]
    columns: list[str]
    backbone: JsonObject


class ExportResult(TypedDict):
    """The result of `spurcli export`: `num_samples` of the first of the `splits`; `columns` are the known facts of each sample."""

    output: str
    format: str
    num_samples: int
    splits: list[str]
    columns: list[str]


class PruneResult(TypedDict):
    """The result of `spurcli prune`."""

    output: str
    kind: str
    num_samples: int
    num_removed: int
    num_kept: int
    rule: ListRule
    summary: RemovalSummary
    warnings: list[str]


class TrainResult(TrainingFacts, total=False):
    """The result of `spurcli train`; a finished run that was not repeated has no `last` epoch."""

    output: str
    last: EpochRecord


class CountsOfRow(TypedDict):
    """How many samples of a true group (or class) have each attribute."""

    name: str
    counts: dict[str, int]


class AuditResult(TypedDict):
    """The result of `spurcli audit`: `suspects` and `failing_groups` are those of audit.json, in order, and so is `kind`."""

    output: str
    pages: list[str]
    kind: str
    held_out: str
    num_confirmed: int
    suspects: list[JsonObject]
    failing_groups: list[JsonObject]
    finders: list[JsonObject]
    warnings: list[str]
    notes: list[str]


class InferResult(TypedDict):
    """The result of `spurcli infer`."""

    output: str
    by: str
    chosen: JsonObject
    num_samples: int
    splits: dict[str, int]
    groups: dict[str, int]
    errors: str | None
    num_errors: int | None
    rows: str
    counts: list[CountsOfRow]
    next: list[str]


class StoredFacts(TypedDict):
    """How an image is stored: `size` is its height and width in pixels, `mode` Pillow's."""

    size: list[int]
    mode: str


class SplitFacts(TypedDict):
    """A split of a data set: `groups` is None where no attributes are known, `published` where no counts are.

    `image` is the shape of the images that a model gets, `stored` how the first image file is stored; None for other inputs.
    """

    num_samples: int
    classes: dict[str, int]
    groups: dict[str, int] | None
    published: dict[str, int | None] | None
    as_published: bool | None
    image: list[int] | None
    stored: StoredFacts | None
    num_texts: int | None
    num_dimensions: int | None
    fingerprint: FingerprintContent


class RepeatedTexts(TypedDict):
    """Samples whose texts occur more than once, with another label, or in train."""

    num_samples: int
    with_other_labels: int
    example: str | None
    of_train: dict[str, int]


class FeatureOfClass(TypedDict, total=False):
    """A class's spurious feature: P(a|y) is `share`, P(a|y) / P(a) is `lift`; `tied` has other attributes of that lift."""

    attribute: str
    tied: list[str]
    share: float
    lift: float


class Unreadable(TypedDict):
    """An image that cannot be decoded."""

    split: str
    index: int
    name: str
    problem: str
    advice: str


class ChangedValues(TypedDict):
    """How many images are changed in one way when they are decoded."""

    what: str
    num_images: int
    example: str


class StorageFacts(TypedDict):
    """How images are stored: counts by mode and orientation, and the changes on decoding."""

    modes: dict[str, int]
    orientations: dict[str, int]
    changes: list[ChangedValues]
    brightest_16_bit: int | None


class DecodedFacts(StorageFacts):
    """The result of `spurcli data check --decode-all`."""

    num_images: int
    unreadable: list[Unreadable]


class DatasetFacts(TypedDict, total=False):
    """The result of `spurcli data check`; a key is absent if its value is not known."""

    name: str
    read_as: str
    splits: dict[str, SplitFacts]
    repeated_texts: RepeatedTexts
    spurious_features: dict[str, FeatureOfClass | None]
    aligned_groups: list[str]
    carrier_groups: list[str]
    conflict_groups: list[str]
    decoded: DecodedFacts


class CachedSplit(TypedDict, total=False):
    """The result of `spurcli data cache`, a split: `done` is "written", "there", "replaced" or "nothing"."""

    num_samples: int
    done: str
    bytes: int
    folder: str
