"""Figures and tables of a study from its curves (`tidy`): a panel for each metric and setting, with published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from spurcli.reporting.document import ShownMetric
from spurcli.reporting.drawing import COLORS, OTHER_COLORS, Panel, Style
from spurcli.reporting.plot_seeds import Published, Series, X, draw_along, draw_rows, in_words, rows_height, x_words
from spurcli.reporting.tables import interval_text, mean_sd
from spurcli.studies.page import Grid
from spurcli.studies.tidy import Curves, Key, Printed, in_order, level

WIDTH = 4.3  # inches: narrower than other panels, so that the letters are larger on a telephone
# Series differ in shape and dashes too, for print.
LOOKS = {
    "blue": (COLORS["blue"], "o", "-"),
    "vermillion": (COLORS["vermillion"], "s", "-"),
    "green": (COLORS["green"], "^", "--"),
    "purple": (COLORS["purple"], "v", "-."),
    "sky": (OTHER_COLORS[0], "X", ":"),
    "orange": (OTHER_COLORS[1], "P", "--"),
    "grey": (OTHER_COLORS[2], "<", ":"),
}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The x axis: its label (of single panels: `x_of`), the order of categories, a level drawn as a thin line.

    `x_kind` "category" spaces numbers evenly; "rows" draws a row for each series, in `row_order` where it is there.
    """

    x: str = ""
    x_of: Mapping[str, str] = field(default_factory=dict)
    x_order: Sequence[str] = ()
    x_kind: Literal["", "category", "rows"] = ""
    row_order: Sequence[str] = ()
    guide: Mapping[str, Any] = field(default_factory=dict)


def styles_of(labels: Mapping[str, str], colors: Mapping[str, str]) -> dict[str, Style]:
    """A style for each series (name → label), of its colour in LOOKS or of those that are left; none looks like another."""
    looks = list(LOOKS)
    free = [look for look in looks if look not in colors.values()] or looks
    num_free, shapes = 0, [LOOKS[look][1:] for look in looks]
    styles: dict[str, Style] = {}
    for name, label in labels.items():
        color = colors.get(name) or free[num_free % len(free)]
        num_free += name not in colors
        first = looks.index(color)
        turned = [*shapes[first:], *shapes[:first]]
        taken = [(style.marker, style.dashes) for style in styles.values()]
        shape = min(turned, key=taken.count)  # its own, if no other has it
        styles[name] = Style(label, LOOKS[color][0], *shape)
    return styles


def panels(
    curves: Curves,
    metrics: Sequence[ShownMetric],
    styles: Mapping[str, Style],
    axis: Axis,
    printed: Sequence[Printed] = (),
) -> list[Panel]:
    """One for each panel, setting and metric that there are curves of."""
    places = dict.fromkeys((key.panel, key.setting) for key in curves)
    keys = [Key(*place, metric.name, "") for place in places for metric in metrics]
    shown = {metric.name: metric for metric in metrics}
    there = {key._replace(series="") for key in curves}
    return [_panel(key, curves, shown[key.metric], styles, axis, printed) for key in keys if key in there]


def _panel(
    place: Key,
    curves: Curves,
    metric: ShownMetric,
    styles: Mapping[str, Style],
    axis: Axis,
    printed: Sequence[Printed],
) -> Panel:
    series = []
    for name, style in styles.items():
        if curve := curves.get(place._replace(series=name)):
            levels = [(x, level(curve[x], metric)) for x in in_order(curve, axis.x_order)]
            series.append(Series(style, [(x, found) for x, found in levels if found]))
    marks = [
        Published(item.value, item.words.partition(" (")[0], _label(item, styles), item.x)
        for item in printed
        if item.metric == metric.name and item.is_at(place) and not item.elsewhere and item.value is not None
    ]
    xs = [x for one in series for x, _ in one.levels if x is not None]
    has_x = axis.x_kind != "rows" and bool(xs)
    way = {True: "lower is better", False: "higher is better", None: ""}[metric.lower_is_better]
    label = metric.label + (f" ({metric.unit})" if metric.unit else "")

    def draw(axes: Any) -> None:
        if has_x:
            is_joined = axis.x_kind == "category" or bool(axis.x_order) or all(isinstance(x, float) for x in xs)
            draw_along(
                axes,
                series,
                metric.unit,
                to_scale=axis.x_kind != "category",
                joined=is_joined,
                published=marks,
                reference=axis.guide["value"] / 100 if axis.guide else None,
            )
            axes.set_xlabel(axis.x_of.get(place.panel, axis.x))
            axes.set_ylabel("\n".join(filter(None, [label, way])))
        else:
            draw_rows(axes, series, metric.unit, published=marks)
            axes.set_xlabel(", ".join(filter(None, [label, way])))
        axes.set_title("\n".join(filter(None, [place.place, metric.label])))

    about = f"{label} against {axis.x_of.get(place.panel, axis.x)}" if has_x else f"{label} of each series"
    title = " · ".join(filter(None, [place.place, about]))
    height = 3.3 if has_x else 0.3 + rows_height([one.style.label for one in series])
    return Panel(" ".join(place[:3]), draw, height, WIDTH, title, in_words(series, metric.unit))


def _label(item: Printed, styles: Mapping[str, Style]) -> str:
    """The label of the series that is meant; one that is not drawn gets its name."""
    return styles[item.series].label if item.series in styles else item.series


def numbers(
    curves: Curves,
    metrics: Sequence[ShownMetric],
    labels: Mapping[str, str],
    axis: Axis,
    printed: Sequence[Printed] = (),
) -> Grid:
    """A row for each point, and for each published number that has none: mean ± sd and interval beside what is published."""
    points = dict.fromkeys((key._replace(metric=""), x) for key, curve in curves.items() for x in curve)
    beside: dict[tuple[Key, X], dict[str, list[str]]] = {point: {} for point in points}
    for item in printed:
        words = f"{item.words}{' elsewhere' if item.elsewhere else ''}\n{item.source}"
        at = [
            (key, x) for key, x in points if item.is_at(key) and item.series in ("", key.series) and x in (item.x, None)
        ]
        for point in at or [(Key(item.panel.strip("*"), item.setting.strip("*"), "", item.series), item.x)]:
            beside.setdefault(point, {}).setdefault(item.metric, []).append(words)
    have = {item.metric for item in printed}
    order = {name: place for place, name in enumerate(axis.row_order)}
    rows = []
    for (key, x), published in sorted(beside.items(), key=lambda point: order.get(point[0][0].series, len(order))):
        row, num_seeds = [labels.get(key.series, key.series) or "all series", key.place or "–", x_words(x) or "–"], 0
        for metric in metrics:
            found = level(curves.get(key._replace(metric=metric.name), {}).get(x, {}), metric)
            num_seeds = max(num_seeds, found.num_seeds if found else 0)
            row.append(f"{mean_sd(found, metric.unit)}\n{interval_text(found, metric.unit)}" if found else "not run")
            row += ["\n".join(published.get(metric.name, ["–"]))] if metric.name in have else []
        rows.append((*row, str(num_seeds or "–")))
    heads = [head for metric in metrics for head in (metric.label, *["published (%)"] * (metric.name in have))]
    title = "All numbers: mean ± sd, 95 % interval over seeds" + (", next to the published" if have else "")
    return Grid(title, ("Series", "Where", "x", *heads, "Seeds"), rows, num_names=3, is_open=axis.x_kind == "rows")
