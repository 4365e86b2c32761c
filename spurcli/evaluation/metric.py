"""What a metric is, and the table of all metrics. Every place that shows a number takes its label, unit and direction from here.

The metrics themselves are in `spurcli.evaluation.metrics`, `.spurious` and `.leaning`; each is one decorated function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spurcli.artifacts.envelope import JsonObject
from spurcli.words import PERCENT

if TYPE_CHECKING:
    from spurcli.evaluation.outcome import Outcome

Values = JsonObject  # {"value", "num_samples", "interval"} and facts specific to the metric
Compute = Callable[["Outcome"], Values | None]
Bounds = tuple[float | None, float | None]
# What a metric cannot be computed without; `Outcome.has` checks it.
Need = Literal["groups", "training groups", "twin", "twin class", "confusion", "feature"]
_MAX_LABEL, _MAX_UNIT = 80, 12


@dataclass(frozen=True)
class Description:
    """How a metric is shown. `unit` is "%" for a share (stored as 0 … 1), else what follows a plain number, or ""."""

    label: str
    unit: str = ""
    lower_is_better: bool | None = None
    bounds: Bounds = (None, None)

    def to_json(self) -> JsonObject:
        return {
            "label": self.label,
            "unit": self.unit,
            "lower_is_better": self.lower_is_better,
            "bounds": list(self.bounds),
        }


def within(interval: Sequence[float], bounds: Bounds) -> list[float]:
    """An interval cut to the values that a metric of these bounds can have."""
    low, high = bounds
    return [min(max(end, low if low is not None else end), high if high is not None else end) for end in interval]


@dataclass(frozen=True)
class Metric:
    """A registered metric: how it is shown, its description in one line, what it needs, how it is computed, and its source.

    `first` ranks the metrics that a report's verdict is about (lowest first; None: never), unless `first_unless` is
    there too. `column` ranks the metrics for the few columns of the main table (lowest first; None: never there); a
    metric gets no column if one of `no_column_with` is shown.
    """

    name: str
    description: Description
    summary: str
    compute: Compute
    needs: tuple[Need, ...] = ()
    source: str = ""
    first: int | None = None
    first_unless: str = ""
    column: int | None = 100
    no_column_with: tuple[str, ...] = ()


METRICS: dict[str, Metric] = {}  # in the order in which they are shown
# Of evaluations made before: their negatives are not those of subgroup_auroc, so neither takes the other's place.
RETIRED = {
    "auroc_with_feature": Description("AUROC among carriers (earlier versions)", "", False, (0.0, 1.0)),
    "auroc_without_feature": Description("AUROC without the feature (earlier versions)", "", False, (0.0, 1.0)),
}


def metric(
    name: str,
    label: str,
    summary: str,
    *,
    unit: str = PERCENT,
    lower_is_better: bool | None = False,
    bounds: Bounds = (0.0, 1.0),
    **facts: Any,
) -> Callable[[Compute], Compute]:
    """Register the decorated function as a metric; `facts` are those of `Metric`."""

    def register(compute: Compute) -> Compute:
        description = Description(label, unit, lower_is_better, bounds)
        METRICS[name] = Metric(name, description, summary, compute, **facts)
        return compute

    return register


def described(name: str, told: Mapping[str, Any]) -> Description:
    """How to show a metric of a file: as the file says, else as registered, else as a plain number of no direction.

    `told` is the metric in the file; values of the wrong type count as missing.
    """
    known = METRICS[name].description if name in METRICS else RETIRED.get(name) or Description(_label(name))
    if name in RETIRED:
        told = {}
    label, unit, lower = told.get("label"), told.get("unit"), told.get("lower_is_better")
    return Description(
        label[:_MAX_LABEL] if isinstance(label, str) and label else known.label,
        unit[:_MAX_UNIT] if isinstance(unit, str) else known.unit,
        lower if isinstance(lower, bool) or ("lower_is_better" in told and lower is None) else known.lower_is_better,
        _bounds(told.get("bounds"), known.bounds),
    )


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _bounds(told: Any, known: Bounds) -> Bounds:
    if not isinstance(told, list | tuple) or len(told) != 2:
        return known
    low, high = (None if isinstance(end, bool) or not isinstance(end, int | float) else float(end) for end in told)
    return low, high
