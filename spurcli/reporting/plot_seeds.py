"""Levels over seeds drawn on axes: a row for each series, or curves over fractions, epochs, categories.

Each seed is a small dot, the mean a large mark, its interval a bar, a published number a hollow diamond.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spurcli.reporting.document import Level
from spurcli.reporting.drawing import INK, MUTED, Style, scaled, share_axis, spoken
from spurcli.reporting.tables import mean_sd

X = float | str | None  # a number, a category, or none: the level holds at every x
_DOT = {"markersize": 3.8, "alpha": 0.6, "mew": 0}
PUBLISHED = Style("published", INK, "d", "")  # for the legend
_DIAMOND: dict[str, object] = {"marker": "D", "linestyle": "", "mfc": "none", "mec": INK, "mew": 1.5, "markersize": 8}
_DASHED = {"color": MUTED, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 0}


@dataclass(frozen=True)
class Series:
    """An arm, or arms that differ in x only: (x, level over seeds) in the order of the axis."""

    style: Style
    levels: Sequence[tuple[X, Level]]


@dataclass(frozen=True)
class Published:
    """A number from elsewhere: of the series of that label ("": of all), at `x` (None: beside the last x)."""

    value: float
    words: str = ""
    label: str = ""
    x: X = None


def in_words(series: Sequence[Series], unit: str) -> str:
    """Mean ± sd of every series at every x, for screen readers."""
    return spoken(
        f"{one.style.label}: "
        + ", ".join(mean_sd(level, unit) + (f" at {x_words(x)}" if x is not None else "") for x, level in one.levels)
        for one in series
    )  # fmt: skip


def x_words(x: X) -> str:
    return f"{x:g}" if isinstance(x, float) else (x or "").replace("_", " ")


def wrapped(label: str) -> str:
    """A label beside the axis: at most three lines."""
    return "\n".join(textwrap.wrap(label[:1].upper() + label[1:], 22, max_lines=3, placeholder=" …"))


def rows_height(labels: Sequence[str]) -> float:
    """Height in inches of the panel that `draw_rows` needs."""
    return 0.75 + sum(0.2 + 0.15 * (wrapped(label).count("\n") + 1) for label in labels)


def draw_rows(
    axes: Any,
    series: Sequence[Series],
    unit: str,
    *,
    published: Sequence[Published] = (),
    reference: float | None = None,
    names: Sequence[str] = (),
) -> None:
    """A row for each series, whatever its x; `names` instead of the labels; a dashed line at the `reference`."""
    seen: list[float] = []
    for row, one in enumerate(series):
        for _, level in one.levels:
            values, interval = _values(level, unit), _interval(level, unit)
            seen += [*values, *interval]
            if interval:
                axes.plot(interval, [row] * 2, color=one.style.color, linewidth=2, solid_capstyle="butt")
            if len(values) > 1:
                axes.plot(values, [row + 0.3] * len(values), "o", color=one.style.color, **_DOT)
            axes.plot([scaled(level.mean, unit)], [row], one.style.marker, color=one.style.color, markersize=7)
        for mark in published:
            if mark.label in ("", one.style.label):
                axes.plot([scaled(mark.value, unit)], [row], **_DIAMOND, zorder=5, clip_on=False)
                seen.append(scaled(mark.value, unit))
    if reference is not None:
        axes.axvline(scaled(reference, unit), **_DASHED)
    share_axis(axes.set_xlim, seen, unit=unit)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_yticks(range(len(series)), [wrapped(name) for name in names or [one.style.label for one in series]])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def draw_along(
    axes: Any,
    series: Sequence[Series],
    unit: str,
    *,
    to_scale: bool = True,
    joined: bool = True,
    published: Sequence[Published] = (),
    reference: float | None = None,
) -> None:
    """Curves over x, side by side where they share an x; numbers are spaced by size only if all x are and `to_scale`.

    The order of categories is that in which the series have them. A level without x is a horizontal line.
    """
    order = list(dict.fromkeys(x for one in series for x, _ in one.levels if x is not None))
    is_numeric = to_scale and all(isinstance(x, float) for x in order)
    at: dict[X, float] = {x: float(x) if is_numeric else place for place, x in enumerate(order)}
    order.sort(key=lambda x: at[x])
    span = (max(at.values(), default=0) - min(at.values(), default=0)) or 1.0
    gaps = [at[right] - at[left] for left, right in itertools.pairwise(order)]
    step = min(0.7 * min(gaps, default=span) / (len(series) + 1), 0.022 * span if is_numeric else 1.0)
    seen: list[float] = []
    for position, one in enumerate(series):
        color, dashes = one.style.color, one.style.dashes or "-"
        shift = step * (position - (len(series) - 1) / 2)
        if joined:
            curve = sorted((at[x] + shift, scaled(level.mean, unit)) for x, level in one.levels if x is not None)
            axes.plot([x for x, _ in curve], [y for _, y in curve], linestyle=dashes, color=color, linewidth=1.4)
        for x, level in one.levels:
            values, interval = _values(level, unit), _interval(level, unit)
            seen += [*values, *interval]
            if x is None:
                axes.axhline(scaled(level.mean, unit), color=color, linestyle=dashes, linewidth=1.3, zorder=1)
            place = at[x] + shift if x is not None else min(at.values(), default=0) - 0.06 * span
            if len(values) > 1:
                axes.plot([place + 0.35 * step] * len(values), values, "o", color=color, **_DOT)
            if interval and x is not None:
                axes.plot([place] * 2, interval, color=color, linewidth=1.4, solid_capstyle="butt")
            if x is not None:
                axes.plot([place], [scaled(level.mean, unit)], one.style.marker, color=color, markersize=5.5)
    there = {one.style.label for one in series}
    for mark in published:
        if mark.x in at or (mark.x is None and (not mark.label or mark.label in there)):
            place, value = at.get(mark.x, max(at.values(), default=0) + 0.1 * span), scaled(mark.value, unit)
            axes.plot([place], [value], **_DIAMOND, zorder=5, clip_on=False)
            axes.annotate(
                mark.words, (place, value), (-8, -3), textcoords="offset points", size=8, ha="right", color=INK
            )
            seen.append(value)
    if reference is not None:
        seen.append(scaled(reference, unit))
        axes.axhline(seen[-1], **_DASHED)
    share_axis(axes.set_ylim, seen, unit=unit)
    if len(order) == 1:
        axes.set_xlim(at[order[0]] - 0.5, at[order[0]] + 0.5)
    axes.margins(x=0.19 if published else 0.08)  # room for the numbers beside the diamonds
    axes.set_xticks(*_ticks(order, at, is_numeric, span))
    axes.grid(axis="y")


def _values(level: Level, unit: str) -> list[float]:
    return [scaled(item.value, unit) for item in level.values]


def _interval(level: Level, unit: str) -> list[float]:
    return [scaled(end, unit) for end in level.interval or ()]


def _ticks(order: Sequence[X], at: Mapping[X, float], is_numeric: bool, span: float) -> tuple[list[float], list[str]]:
    """A tick at each x; where labels would meet some are left out, never the last."""
    if not is_numeric:
        return [at[x] for x in order], ["\n".join(textwrap.wrap(x_words(x), 12)) for x in order]
    shown: list[X] = []
    for x in order:
        if not shown or at[x] - at[shown[-1]] >= (0.03 + 0.03 * len(x_words(x))) * span:  # a digit: 3 % of the axis
            shown.append(x)
    shown[-1:] = order[-1:]
    return [at[x] for x in shown], [x_words(x) for x in shown]
