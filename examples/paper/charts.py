"""The charts of the page: each seed a dot, the mean with its 95 % interval, the published number as a hollow diamond."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidy import FigureText, Paper, Row, Value, X

from spurcli.reporting.drawing import COLORS, INK, MUTED, OTHER_COLORS, Panel, Style, share_axis
from spurcli.reporting.statistics import mean, t_interval

MAX_CHARTS = 30
WIDTH = 4.3  # inches: narrower than the package's own, so that the letters are larger on a telephone
MANY = 12  # from so many places on, marks are smaller
# Okabe and Ito's colours, as everywhere in the package. Each series differs in shape and dashes too, for print.
_COLORS = {**COLORS, "sky": OTHER_COLORS[0], "orange": OTHER_COLORS[1], "grey": OTHER_COLORS[2]}
_MARKERS = {"blue": "o", "vermillion": "s", "green": "^", "purple": "v", "orange": "P", "sky": "X", "grey": "<"}
_LINES = {"blue": "-", "vermillion": "-", "green": "--", "purple": "-.", "orange": "--", "sky": ":", "grey": ":"}
_DOT = {"markersize": 3.6, "alpha": 0.6, "mew": 0}


@dataclass(frozen=True)
class Chart:
    """One pair of axes: its heading, what a screen reader says, and the drawing."""

    heading: str
    about: str
    panel: Panel


def series_styles(figure: FigureText, rows: Sequence[Row], paper: Paper) -> dict[str, Style]:
    """A style for each series: that of published.toml, for others what is left."""
    names = list(dict.fromkeys(row.series for row in rows))
    known = [name for name in (*figure.row_order, *paper.series) if name in names]
    order = list(dict.fromkeys([*known, *names]))
    wanted = {name: paper.series.get(name, {}).get("color", "") for name in order}
    free = [color for color in _COLORS if color not in wanted.values()] or list(_COLORS)
    styles: dict[str, Style] = {}
    taken: list[str] = []
    for name in order:
        color = wanted[name] or free[sum(not wanted[other] for other in styles) % len(free)]
        again = taken.count(color)  # a second series of a colour has the next one's shape and dashes
        like = list(_COLORS)[(list(_COLORS).index(color) + again) % len(_COLORS)]
        styles[name] = Style(paper.series_label(name), _COLORS[color], _MARKERS[like], _LINES[like])
        taken.append(color)
    return styles


def charts(figure: FigureText, rows: Sequence[Row], paper: Paper, styles: Mapping[str, Style]) -> list[Chart]:
    """One chart for each panel, setting and metric, in the order of the rows and of the figure's metrics."""
    places = list(dict.fromkeys(row.place for row in rows))
    found = []
    for place in places:
        for metric in _metrics(figure, rows):
            here = [row for row in rows if row.place == place and row.metric == metric]
            if here:
                found.append(_chart(figure, place, metric, here, paper, styles))
    return found


def _metrics(figure: FigureText, rows: Sequence[Row]) -> list[str]:
    """The figure's metrics; where the rows have none of them, all that they have."""
    there = list(dict.fromkeys(row.metric for row in rows))
    return [metric for metric in figure.metrics if metric in there] or there


def place_name(place: tuple[str, str]) -> str:
    return " · ".join(part.replace("_", " ") for part in place if part)


def _chart(
    figure: FigureText,
    place: tuple[str, str],
    metric: str,
    rows: Sequence[Row],
    paper: Paper,
    styles: Mapping[str, Style],
) -> Chart:
    about = paper.metric(metric, [row.value for row in rows])
    published = [
        value
        for value in paper.values
        if value.figure == figure.id and value.metric == metric and value.is_at(place) and not value.elsewhere
    ]
    names = [name for name in styles if any(row.series == name for row in rows)]
    has_x = figure.x_kind != "rows" and any(row.x is not None for row in rows)
    way = {True: "\nlower is better", False: "\nhigher is better", None: ""}[about.get("lower_is_better")]
    label = about["label"] + (f" ({about['unit']})" if about["unit"] else "")
    if has_x:
        draw, height = _along_x(figure, rows, names, styles, published, label + way, about["unit"]), 3.1
    else:
        draw = _rows(rows, names, styles, published, label + way, about["unit"])
        height = 0.8 + sum(0.18 + 0.16 * len(_wrapped(styles[name].label)) for name in names)
    heading = " · ".join(filter(None, [place_name(place), about["label"]]))
    axes = f"{label} against {figure.x_of.get(place[0], figure.x)}" if has_x else f"{label} of each series"
    said = "; ".join(f"{styles[name].label} {_extent(rows, name, about['unit'])}" for name in names)
    return Chart(
        heading,
        f"{axes}. Means: {said}. All numbers are in the table and the CSV below.",
        Panel("chart", draw, height, WIDTH),
    )


def _extent(rows: Sequence[Row], name: str, unit: str) -> str:
    means = [mean(values) for values in points(rows, name).values()]
    low, high = (f"{value:.1f}" if unit == "%" else f"{value:.3f}" for value in (min(means), max(means)))
    return low if low == high else f"{low} to {high}"


def points(rows: Sequence[Row], series: str) -> dict[X, list[float]]:
    """x → the values of all seeds."""
    found: dict[X, list[float]] = {}
    for row in rows:
        if row.series == series:
            found.setdefault(row.x, []).append(row.value)
    return found


def _along_x(
    figure: FigureText,
    rows: Sequence[Row],
    names: Sequence[str],
    styles: Mapping[str, Style],
    published: Sequence[Value],
    label: str,
    unit: str,
) -> Any:
    x_label = figure.x_of.get(rows[0].panel, figure.x)
    order = [x for x in figure.order_x(row.x for row in rows) if x is not None]
    numeric = figure.x_kind != "category" and all(isinstance(x, float) for x in order)
    at: dict[X, float] = {x: float(x) if numeric else float(place) for place, x in enumerate(order)}  # type: ignore[arg-type]
    span = (max(at.values()) - min(at.values())) or 1.0
    gap = min(
        (high - low for low, high in zip(sorted(at.values()), sorted(at.values())[1:], strict=False)), default=span
    )
    joined = numeric or bool(figure.x_order) or figure.x_kind == "category"
    step = min(0.022 * span, 0.7 * gap / max(1, len(names))) if numeric else 0.7 / (len(names) + 1)

    beside = max(0.35 * step, 0.016 * span) if len(order) <= MANY else 0.35 * step

    def shifted(x: X, name: str) -> float:
        """Series that share an x stand side by side around it."""
        there = [other for other in names if any(row.series == other and row.x == x for row in rows)]
        return at[x] + step * (there.index(name) - (len(there) - 1) / 2)

    def draw(axes: Any) -> None:
        seen: list[float] = []
        for name in names:
            style, found = styles[name], points(rows, name)
            level = found.pop(None, None)  # a series without x, such as ERM, is a level
            if level:
                axes.axhline(mean(level), color=style.color, linestyle=style.dashes or "-", linewidth=1.3, zorder=1)
                _seeds(axes, [min(at.values()) - 0.06 * span] * len(level), level, style, seen)
            places = [x for x in order if x in found]
            if joined:
                axes.plot(
                    [shifted(x, name) for x in places], [mean(found[x]) for x in places],
                    color=style.color, linestyle=style.dashes or "-", linewidth=1.4, zorder=2,
                )  # fmt: skip
            for x in places:
                _seeds(axes, [shifted(x, name) + beside] * len(found[x]), found[x], style, seen)
                _mean(axes, shifted(x, name), found[x], style, seen, size=6.5 if len(order) <= MANY else 4.5)
        for value in published:
            if value.value is None or (value.series is not None and value.series not in names and value.x is not None):
                continue
            known = value.x in at
            if value.x is not None and not known:
                continue
            right = max(at.values()) + 0.1 * span
            place = at[value.x] if known else right
            _published(axes, place, value.value)
            axes.annotate(
                value.printed, (place, value.value), (-8, -3), textcoords="offset points", size=8, ha="right", color=INK
            )
            seen.append(value.value)
        if figure.guide:
            seen.append(figure.guide["value"])
            axes.axhline(figure.guide["value"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        share_axis(axes.set_ylim, seen, unit=unit)
        axes.margins(x=0.19 if published else 0.08)  # room for the numbers beside the marks
        axes.set_xticks(*_ticks(order, at, numeric))
        axes.grid(axis="y")
        axes.set_xlabel(x_label)
        axes.set_ylabel(label)

    return draw


def _ticks(order: Sequence[X], at: Mapping[X, float], numeric: bool) -> tuple[list[float], list[str]]:
    """A tick at each x; where their labels would meet, without some between; the last stays."""
    if not numeric:
        words = [f"{x:g}" if isinstance(x, float) else str(x).replace("_", " ") for x in order]
        return [at[x] for x in order], ["\n".join(textwrap.wrap(word, 12)) for word in words]
    span = (at[order[-1]] - at[order[0]]) or 1.0
    shown: list[X] = []
    for x in order:
        # a digit is about 3 % of the axis wide
        if not shown or at[x] - at[shown[-1]] >= (0.03 + 0.03 * len(f"{x:g}")) * span:
            shown.append(x)
    shown[-1:] = order[-1:]
    return [at[x] for x in shown], [f"{x:g}" for x in shown]


def _rows(
    rows: Sequence[Row],
    names: Sequence[str],
    styles: Mapping[str, Style],
    published: Sequence[Value],
    label: str,
    unit: str,
) -> Any:
    def draw(axes: Any) -> None:
        seen: list[float] = []
        for place, name in enumerate(names):
            style = styles[name]
            values = [value for found in points(rows, name).values() for value in found]
            interval = t_interval(values) or []
            axes.plot(values, [place + 0.28] * len(values), "o", color=style.color, **_DOT)
            if interval:
                axes.plot(interval, [place] * 2, color=style.color, linewidth=2, solid_capstyle="butt")
            axes.plot([mean(values)], [place], style.marker, color=style.color, markersize=7)
            seen += values + interval
            for value in published:
                if value.value is not None and value.series == name:
                    _published(axes, value.value, place)
                    seen.append(value.value)
        share_axis(axes.set_xlim, seen, unit=unit)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), ["\n".join(_wrapped(styles[name].label)) for name in names])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_xlabel(label.replace("\n", ", "))

    return draw


def _wrapped(label: str) -> list[str]:
    return textwrap.wrap(label, 20, max_lines=2, placeholder=" …")


def _seeds(axes: Any, places: Sequence[float], values: Sequence[float], style: Style, seen: list[float]) -> None:
    axes.plot(places, values, "o", color=style.color, zorder=3, **_DOT)
    seen += values


def _mean(axes: Any, place: float, values: Sequence[float], style: Style, seen: list[float], *, size: float) -> None:
    interval = t_interval(values) or []
    if interval:
        axes.plot([place] * 2, interval, color=style.color, linewidth=1.4, solid_capstyle="butt", zorder=3)
    axes.plot([place], [mean(values)], style.marker, color=style.color, markersize=size, zorder=4)
    seen += interval


def _published(axes: Any, x: float, y: float) -> None:
    axes.plot([x], [y], "D", mfc="none", mec=INK, mew=1.5, markersize=8.5, zorder=5, clip_on=False)
