"""Results of a study as tidy CSV files, one value per row, and published numbers for comparison.

Columns: figure, panel, setting, series, x, seed, metric, value. A curve is a series of one panel and setting; its levels
over seeds are computed as in every report.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from spurcli.errors import InputError
from spurcli.reporting.document import Level, SeedValue, ShownMetric
from spurcli.reporting.plot_seeds import X
from spurcli.reporting.tables import over_seeds
from spurcli.reporting.values import name_of

COLUMNS = ("figure", "panel", "setting", "series", "x", "seed", "metric", "value")
Row = Mapping[str, str]


class Key(NamedTuple):
    """A curve: a series, in a panel and setting, by one metric."""

    panel: str
    setting: str
    metric: str
    series: str

    @property
    def place(self) -> str:
        return " · ".join(part.replace("_", " ") for part in (self.panel, self.setting) if part)


Curve = dict[X, dict[str, float]]  # x → seed → value
Curves = dict[Key, Curve]


@dataclass(frozen=True, kw_only=True)
class Where:
    """Patterns (`*`) that select panels and settings; case is ignored."""

    panel: str = "*"
    setting: str = "*"

    def is_at(self, key: Key) -> bool:
        pairs = ((key.panel, self.panel), (key.setting, self.setting))
        return all(fnmatchcase(name.lower(), pattern.lower()) for name, pattern in pairs)


@dataclass(frozen=True, kw_only=True)
class Printed(Where):
    """A published number as printed, in percent: "90.9 (0.6)", of a series ("" for all series) at an x.

    `words` may be text if no number is published. A number from `elsewhere` is shown only in tables.
    """

    metric: str
    words: str
    source: str
    series: str = ""
    x: X = None
    elsewhere: bool = False

    @property
    def value(self) -> float | None:
        """As a share, without the spread in brackets."""
        number = number_or_word(self.words.partition(" (")[0])
        return number / 100 if isinstance(number, float) else None


def read_tidy(path: Path, figure: str) -> list[dict[str, str]]:
    """The rows of one figure's file as text; InputError names the wrong line."""
    rows, seen = [], set()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise InputError(f"{path}: columns {reader.fieldnames}", f"Expected {','.join(COLUMNS)}.")
            for row in reader:
                key = (*(row[name] for name in COLUMNS if name not in ("x", "value")), number_or_word(row["x"]))
                if problem := _problem(row, figure) or ("a second value of one seed and point" if key in seen else ""):
                    raise InputError(f"{path}, line {reader.line_num}: {problem}", "Make the file again.")
                seen.add(key)
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}", "Make the file again.") from None
    return rows


def _problem(row: Mapping[Any, Any], figure: str) -> str:
    if None in row or None in row.values():
        return f"not {len(COLUMNS)} fields"
    if row["figure"] != figure:
        return f"of figure {name_of(row['figure'])!r}, not {figure!r}"
    return "" if isinstance(number_or_word(row["value"]), float) else f"{name_of(row['value'])!r} is not a number"


def curves_of(rows: Iterable[Row], is_percent: Callable[[str], bool]) -> Curves:
    """The values by series and x; values in percent are converted to shares."""
    curves: Curves = {}
    for row in rows:
        key = Key(*(name_of(row[name]) for name in Key._fields))
        value = float(row["value"]) / (100 if is_percent(key.metric) else 1)
        curves.setdefault(key, {}).setdefault(number_or_word(row["x"]), {})[row["seed"]] = value
    return curves


def level(values: Mapping[str, float], metric: ShownMetric) -> Level | None:
    """The level over seeds, None without any."""
    seeds = [SeedValue(int(seed) if seed.isdecimal() else None, None, value) for seed, value in values.items()]
    return over_seeds(seeds, metric.bounds) if seeds else None


def in_order(found: Iterable[X], categories: Sequence[str] = ()) -> list[X]:
    """Empty x first, then numbers in ascending order, then categories in their order, then others in order of appearance."""
    met = list(dict.fromkeys(found))
    numbers = sorted(x for x in met if isinstance(x, float))
    words = sorted(
        (x for x in met if isinstance(x, str)),
        key=lambda x: categories.index(x) if x in categories else len(categories),
    )
    return [*(x for x in met if x is None), *numbers, *words]


def number_or_word(value: Any) -> X:
    """A finite number as float, an empty text as None, otherwise a name."""
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except ValueError:
        return name_of(value)
    return number if math.isfinite(number) else name_of(value)
