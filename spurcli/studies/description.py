"""The description of a study as types: claims, comparisons, figures and published numbers, from a TOML file (docs/studies.md)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spurcli.errors import InputError
from spurcli.reporting.document import ShownMetric
from spurcli.reporting.labels import describe_metric
from spurcli.reporting.plot_seeds import X
from spurcli.reporting.values import name_of
from spurcli.studies.plots import Axis
from spurcli.studies.tidy import Printed, Where, number_or_word

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, kw_only=True)
class Compare(Where):
    """One comparison for a claim: `says` is the claim, `expect` the expected outcome (None if nothing is expected).

    kind "series": series − control at every x (x = "last": only at the last x); a control with no x, or only x = 0, is used
    for every x. "ends": last x − first x, or the two x of `between`. "peak": (each seed's largest value over x − its last
    value) of the series − the same of the control. "bend": the straight line between the ends − the curve, half-way.
    "even": the interval is within `margin` points of 0.
    """

    kind: str
    metric: str
    says: str
    series: str = ""
    control: str = ""
    x: str = ""
    between: Sequence[X] = ()
    expect: str | None = None
    margin: float = 5.0

    def __post_init__(self) -> None:
        if self.kind not in ("series", "ends", "peak", "bend") or self.expect not in ("higher", "lower", "even", None):
            raise InputError(f"No comparison {self.kind!r} that expects {self.expect!r}", "See docs/studies.md.")


@dataclass(frozen=True, kw_only=True)
class FigureText(Axis):
    """A figure: its claim, metrics, the paper's settings, remarks, comparisons and published numbers."""

    id: str
    name: str
    title: str
    claim: str
    metrics: Sequence[str]
    paper: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""
    compare: Sequence[Compare] = ()
    published: Sequence[Printed] = ()


@dataclass(frozen=True)
class Description:
    """The complete file: `series` and `metrics` define labels and styles."""

    about: Mapping[str, str]
    figures: Sequence[FigureText]
    series: Mapping[str, Mapping[str, str]]
    metrics: Mapping[str, Mapping[str, Any]]

    def label(self, series: str) -> str:
        return str(self.series.get(series, {}).get("label") or name_of(series).replace("_", " "))

    def metric(self, name: str) -> ShownMetric:
        return describe_metric(name, self.metrics.get(name, {}))

    def is_percent(self, metric: str) -> bool:
        """Whether the CSV files have the metric in percent: all metrics except those with another unit."""
        return bool(self.metrics.get(metric, {}).get("unit", "%") == "%")


def read_description(path: Path) -> Description:
    """Raises InputError if the file is not a valid description."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        figures = [_figure(entry) for entry in content["figure"]]
        return Description(content["paper"], figures, content.get("series", {}), content.get("metrics", {}))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}", "See docs/studies.md for the format.") from None
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: missing or unknown: {error}", "See docs/studies.md for the format.") from None


def _figure(entry: Mapping[str, Any]) -> FigureText:
    compare = [
        Compare(**{**item, "between": [number_or_word(x) for x in item.get("between", ())]})
        for item in entry.get("compare", ())
    ]
    published = [
        Printed(metric=metric, words=words, **{**item, "x": number_or_word(item.get("x"))})
        for item, numbers in [
            ({key: value for key, value in item.items() if key != "numbers"}, item["numbers"])
            for item in entry.get("published", ())
        ]
        for metric, words in numbers.items()
    ]
    return FigureText(**{**entry, "compare": compare, "published": published})
