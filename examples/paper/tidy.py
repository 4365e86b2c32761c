"""What the page is made of: the tidy CSV files of a run, runs.json, and the paper's side in published.toml."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from spurcli.errors import InputError
from spurcli.evaluation.metric import described
from spurcli.evaluation.metrics import METRICS
from spurcli.reporting.values import mapping, name_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COLUMNS = ("figure", "panel", "setting", "series", "x", "seed", "metric", "value")
PUBLISHED = Path(__file__).with_name("published.toml")

X = float | str | None  # a number, a category, or nothing


@dataclass(frozen=True)
class Row:
    """One seed's value at one place of one chart; shares in percent."""

    panel: str
    setting: str
    series: str
    x: X
    seed: str
    metric: str
    value: float

    @property
    def place(self) -> tuple[str, str]:
        return self.panel, self.setting


@dataclass(frozen=True)
class Value:
    """A published number: `value` in percent, or `words` where the text gives none; patterns for panel and setting."""

    figure: str
    metric: str
    source: str
    value: float | None = None
    printed: str = ""
    words: str = ""
    panel: str = "*"
    setting: str = "*"
    series: str | None = None
    x: X = None
    spread: float | None = None
    elsewhere: bool = False

    def is_at(self, place: tuple[str, str]) -> bool:
        return matches(place, self.panel, self.setting)

    @property
    def shown(self) -> str:
        """As printed: 90.93 (0.58)."""
        if self.value is None:
            return self.words
        return self.printed if self.spread is None else f"{self.printed} ({self.spread:g})"


@dataclass(frozen=True)
class Compare:
    """One comparison that a claim of the paper asks for; see published.toml."""

    kind: str
    metric: str
    says: str
    series: str | None = None
    control: str | None = None
    x: str | None = None
    between: Sequence[X] = ()
    expect: str | None = None
    margin: float = 5.0
    panel: str = "*"
    setting: str = "*"

    def __post_init__(self) -> None:
        if self.kind not in ("series", "ends", "peak", "bend") or self.expect not in ("higher", "lower", "even", None):
            raise InputError(f"published.toml: no comparison {self.kind!r} with {self.expect!r}", "See its header.")


@dataclass(frozen=True)
class FigureText:
    """The paper's side of one figure."""

    id: str
    name: str
    title: str
    claim: str
    metrics: Sequence[str]
    x: str = ""
    x_of: Mapping[str, str] = field(default_factory=dict)
    x_order: Sequence[str] = ()
    x_kind: str = ""
    row_order: Sequence[str] = ()
    guide: Mapping[str, Any] = field(default_factory=dict)
    paper: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""
    compare: Sequence[Compare] = ()

    def order_x(self, found: Iterable[X]) -> list[X]:
        """Numbers ascending; categories as `x_order` has them, then as met; nothing first."""
        met = list(dict.fromkeys(found))
        numbers: list[X] = sorted(x for x in met if isinstance(x, float))
        words = [x for x in met if isinstance(x, str)]
        words.sort(key=lambda x: self.x_order.index(x) if x in self.x_order else len(self.x_order))
        return [*(x for x in met if x is None), *numbers, *words]


@dataclass(frozen=True)
class Paper:
    """All of published.toml."""

    about: Mapping[str, str]
    figures: Sequence[FigureText]
    values: Sequence[Value]
    series: Mapping[str, Mapping[str, str]]
    metrics: Mapping[str, Mapping[str, Any]]

    def series_label(self, name: str) -> str:
        return str(self.series.get(name, {}).get("label") or name_of(name).replace("_", " "))

    def metric(self, name: str, values: Sequence[float] = ()) -> Mapping[str, Any]:
        """Label, unit and direction. An AUROC is in % where it is written so, like everything else."""
        found = {**described(name, {}).to_json(), **self.metrics.get(name, {})}
        if name not in METRICS and "unit" not in self.metrics.get(name, {}):
            found["unit"] = "%" if all(0 <= value <= 100 for value in values) else ""
        if name.startswith("auroc"):
            found["unit"] = "%" if any(value > 1 for value in values) else ""
        return found


def matches(place: tuple[str, str], panel: str, setting: str) -> bool:
    """Whether a chart's (panel, setting) fits both patterns; case does not count."""
    return all(
        fnmatchcase(name.lower(), pattern.lower()) for name, pattern in zip(place, (panel, setting), strict=True)
    )


def load_paper(path: Path = PUBLISHED) -> Paper:
    content = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)  # which keeps 98.10 as printed
    figures = []
    for entry in content["figure"]:
        compare = [Compare(**item) for item in entry.pop("compare", ())]
        figures.append(FigureText(**entry, compare=compare))
    values = [_value(entry) for entry in content["value"]]
    return Paper(content["paper"], figures, values, content["series"], content["metrics"])


def _value(entry: Mapping[str, Any]) -> Value:
    numbers = {name: float(entry[name]) for name in ("value", "spread") if name in entry}
    return Value(**{**entry, **numbers, "printed": str(entry.get("value", "")), "x": _number_or_word(entry.get("x"))})


def load_rows(path: Path, figure: str) -> list[Row]:
    """The rows of `<out>/data/<figure>.csv`; InputError names the line that is off."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: columns {reader.fieldnames}", f"Expected {','.join(COLUMNS)}.")
            rows, seen = [], set()
            for entry in reader:
                row = _row(entry, f"{path}, line {reader.line_num}", figure)
                key = (row.place, row.series, row.x, row.seed, row.metric)
                if key in seen:
                    raise InputError(
                        f"{path}, line {reader.line_num}: a second value of the same seed and point", _AGAIN
                    )
                seen.add(key)
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}", _AGAIN) from None
    return rows


_AGAIN = "Make it again with collect.py."


def _row(entry: Mapping[str, Any], where: str, figure: str) -> Row:
    if None in entry or None in entry.values():
        raise InputError(f"{where}: not {len(COLUMNS)} fields", _AGAIN)
    if entry["figure"] != figure:
        raise InputError(f"{where}: of figure {name_of(entry['figure'])!r}", f"This file is {figure}'s. {_AGAIN}")
    try:
        value = float(entry["value"])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name_of(entry['value'])!r} is no number", _AGAIN)
    panel, setting, series, metric = (name_of(entry[name]) for name in ("panel", "setting", "series", "metric"))
    return Row(panel, setting, series, _number_or_word(entry["x"]), entry["seed"], metric, value)


def _number_or_word(value: Any) -> X:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except ValueError:
        return name_of(value)
    return number if math.isfinite(number) else name_of(value)


def load_runs(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """What runs.json says of each figure; empty where it is absent."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}", _AGAIN) from None
    return {str(figure): mapping(entry) for figure, entry in mapping(content).items()}
