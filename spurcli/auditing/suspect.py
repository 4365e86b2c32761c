"""The result of a finder (`Finding`), and the suspect that the audit makes from it (`Suspect`)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import Addition
from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.evidence import Ask
from spurcli.errors import InputError
from spurcli.evaluation.reliance import Metric

CONFIRMED, UNCONFIRMED, NOT_SUPPORTED = "confirmed", "unconfirmed", "not supported"
STATUSES = (CONFIRMED, UNCONFIRMED, NOT_SUPPORTED)
MOST_CHARACTERS = 48  # of a name
_UNFIT = re.compile(r"[^\w.,!?()<>=≤≥+ -]+")


@dataclass(frozen=True)
class Counterfactual:
    """Copies of held-out samples with the feature added.

    `index` int64 [m] are their positions in the held-out split, `logits` float32 [m, classes] what the audited model
    gives with the feature; `second` is the same of the second model. `control` float32 [m, classes] is what the
    audited model gives with something of the same kind that should not matter (another word, the region of a sample
    without the feature), where there is such a thing; `second_control` the same of the second model.
    """

    index: NDArray[np.int64]
    logits: NDArray[np.float32]
    second: NDArray[np.float32] | None = None
    control: NDArray[np.float32] | None = None
    second_control: NDArray[np.float32] | None = None

    @classmethod
    def asked(
        cls, index: NDArray[np.int64], with_it: Any, control: Any, ask: Ask, second: Ask | None
    ) -> Counterfactual:
        """Both models' answers to the copies with the feature, and to those with the control."""
        first, other = (ask(with_it), ask(control)), (second(with_it), second(control)) if second else (None, None)
        return cls(index, first[0], other[0], first[1], other[1])


@dataclass(frozen=True)
class Finding:
    """A feature that a finder proposes.

    `label_index` is the class of the feature (None: all classes). `presence` maps each split to float32 [n] in [0, 1], the
    probability that a sample carries the feature; NaN if it is not known. `statement` is one plain sentence. `shown` is
    the location: {"box": [top, left, bottom, right]} in pixels, {"words": [...]}, or {"column": ..., "value": ...}.

    `counterfactual` are held-out samples with the feature added; `addition` is what was added, for other samples and models. `p_value` is the finder's own p-value, from the half of
    the data that it did not search; without it the audit tests the held-out samples of this half. `p_further` is the
    p-value of a further test on this half, which must also show the feature: the larger p-value counts. `doubt` is the
    reason why the feature cannot be confirmed, if there is one. `inferred` is true if carriers were inferred from a model's
    outputs. `values` is a table of all values of a column (`spurcli.auditing.values`). `also` has the names of other
    findings with the same carriers.
    """

    name: str
    finder: str
    label_index: int | None
    presence: Mapping[str, NDArray[np.float32]]
    statement: str
    shown: JsonObject = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)
    counterfactual: Counterfactual | None = None
    p_value: float | None = None
    doubt: str = ""
    inferred: bool = False
    values: Sequence[JsonObject] = ()
    also: Sequence[str] = ()
    p_further: float | None = None
    addition: Addition | None = None

    def require_fitting(self, sizes: Mapping[str, int], source: str, num_classes: int) -> None:
        """Raise InputError if a finder, for example a user's own, returns values that do not fit the data."""
        where = f"Finder {self.finder}: {self.name!r}"
        hint = "See spurcli.auditing.suspect.Finding for what a finder must return."
        if self.name.splitlines() != [self.name]:
            raise InputError(f"{where} is not a name of one line", hint)
        if self.label_index is not None and not 0 <= self.label_index < num_classes:
            raise InputError(f"{where} names the class {self.label_index} of {num_classes}", hint)
        if source not in self.presence:
            raise InputError(f"{where} does not say which samples of {source!r} carry the feature", hint)
        for split, presence in self.presence.items():
            if split not in sizes or presence.shape != (sizes[split],):
                raise InputError(f"{where}: presence of {split!r} is {list(presence.shape)}", hint)
            known = presence[~np.isnan(presence)]
            if len(known) and not (known.min() >= 0 and known.max() <= 1):
                raise InputError(f"{where}: presence of {split!r} is not within 0..1", hint)


# "class" is a word of Python, hence no class statement.
CarrierRow = TypedDict(
    "CarrierRow",
    {"class": str, "num_samples": int, "num_known": int, "num_carriers": float, "share": float | None},
)


@dataclass(frozen=True)
class Suspect:
    """A finding with the statistics that all findings get (docs/audit.md); `to_json` is its entry in audit.json.

    `beyond_control` is the feature effect less that of the control, where the counterfactual has one. `has_effect` is true if
    the confirmation half shows an effect (at least `SMALLEST_EFFECT`, p ≤ `LEVEL`), but the finding's doubt forbids to confirm it; `p_effect` is its p-value then, which is not
    adjusted. `accuracy` counts the held-out samples of the class in the confirmation half, with and without the feature.
    """

    finding: Finding
    rank: int
    label: str | None
    status: str
    reason: str
    carriers: Mapping[str, list[CarrierRow]]
    utility: Metric
    detectability: Metric
    reliance: Mapping[str, Metric]
    judged_by: str
    expected_harm: float | None
    p_value: float | None
    p_adjusted: float | None
    beyond_control: float | None = None
    has_effect: bool = False
    p_effect: float | None = None
    accuracy: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        found = self.finding
        return {
            "rank": self.rank,
            "name": found.name,
            "finder": found.finder,
            "class": self.label,
            "status": self.status,
            "reason": self.reason,
            "statement": found.statement,
            "shown": dict(found.shown),
            "details": dict(found.details),
            "values": list(found.values),
            "also": list(found.also),
            "is_inferred": found.inferred,
            "carriers": {split: list(rows) for split, rows in self.carriers.items()},
            "utility": dict(self.utility),
            "detectability": dict(self.detectability),
            "reliance": dict(self.reliance),
            "judged_by": self.judged_by,
            "expected_harm": self.expected_harm,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "has_effect": self.has_effect,
            "p_effect": self.p_effect,
            "accuracy": dict(self.accuracy),
        }


def short_name(*words: object) -> str:
    """A name from some words that can be part of a group's name: one line, no slash, at most 48 characters."""
    joined = _UNFIT.sub("_", " ".join(str(word) for word in words)).strip(" _")
    return joined if len(joined) <= MOST_CHARACTERS else f"{joined[: MOST_CHARACTERS - 1]}…"
