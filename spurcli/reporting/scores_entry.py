"""What report.json says about a score file (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spurcli.reporting.values import Table
from spurcli.scoring.agreement import Agreement


@dataclass(frozen=True)
class Histogram:
    """Shares of all its samples in each bin between `edges` [bins + 1]; `carriers` None where groups are not known."""

    edges: Sequence[float]
    carriers: Sequence[float] | None
    rest: Sequence[float]

    @property
    def parts(self) -> dict[str, Sequence[float] | None]:
        return {"carriers": self.carriers, "rest": self.rest}


@dataclass(frozen=True)
class Quartiles:
    """Share of all carriers in the four quarters of difficulty, easiest first."""

    within_class: Sequence[float]
    whole_set: Sequence[float]

    @property
    def parts(self) -> dict[str, Sequence[float]]:
        return {"within_class": self.within_class, "whole_set": self.whole_set}


@dataclass(frozen=True)
class ScoresEntry:
    """A score file. `epoch` is the one in the file, `of` the model or logits that were scored, "" for models trained
    for scoring; `settings` are data set and model, with the samples' fingerprint unless the data set is one of several
    draws; `agreement` that of its runs with each other, None for a single run."""

    file: str
    name: str
    higher_is: str
    formula: str
    epoch: int | None
    of: str
    settings: Table
    other_scores: Sequence[str]
    view: str
    num_runs: int
    seeds: Sequence[int]
    agreement: Agreement | None
    num_samples: int
    num_shown: int
    feature: str
    num_carriers: int | None
    histogram: Histogram
    quartiles: Quartiles | None
