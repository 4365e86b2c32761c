"""Figures of results: arms against metrics, and metrics against the fraction removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.reporting.document import ArmEntry, Report, SeedValue, ShownMetric
from spurcli.reporting.drawing import FONT_SIZE, INK, Figure, Panel, Style, spoken
from spurcli.reporting.naming import arm_label, percent_of_fraction
from spurcli.reporting.plot_seeds import Series, draw_along, draw_rows, rows_height
from spurcli.reporting.sections import first_section
from spurcli.reporting.tables import mean_sd
from spurcli.words import counted

_MAX_ARMS = 20
_MAX_PANELS = 4


def results(report: Report, styles: Sequence[Style]) -> Figure | None:
    """Each arm's seeds, mean and interval for the main metrics, one panel per metric; None for fewer than two arms."""
    positions = first_section(report)
    metrics = _shown_metrics(report, positions)
    if not metrics or len(positions) < 2:
        return None
    shown = positions[:_MAX_ARMS]
    panels = [
        Panel(
            metric.name,
            _dots(report, styles, shown, metric),
            height=rows_height([report.arms[position].short for position in shown]),
            title=f"{metric.label} of {counted(len(shown), 'arm')}",
            about=spoken(
                f"{report.arms[position].short}: {mean_sd(report.arms[position].metrics.get(metric.name), metric.unit)}"
                for position in shown
            ),
        )
        for metric in metrics
    ]
    hidden = f"The first {_MAX_ARMS} of {len(positions)} arms." if len(positions) > _MAX_ARMS else ""
    return Figure(
        name="results",
        heading="Arms and metrics",
        caption=_caption(
            "Small dots are single seeds, the large mark is their mean, the bar its 95 % interval (over seeds if there are at least three, otherwise over test samples).",
            *(_line(report, positions), hidden, _section_words(report, positions)),
        ),
        panels=panels,
        columns=("metric", "arm", "seed", "draw", "value"),
        data=[
            (metric.name, report.arms[position].label, value.seed, value.draw, value.value)
            for metric in metrics
            for position in positions
            for value in _values(report.arms[position], metric)
        ],
    )


def _values(arm: ArmEntry, metric: ShownMetric) -> Sequence[SeedValue]:
    level = arm.metrics.get(metric.name)
    return level.values if level else ()


def _caption(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _section_words(report: Report, positions: Sequence[int]) -> str:
    """Which arms a figure shows, where there are others."""
    headings = [section.heading for section in report.sections if set(positions) & set(section.arms)]
    return f"Shown: {headings[0].lower()}; the others are in the table." if headings and headings[0] else ""


def _line(report: Report, positions: Sequence[int]) -> str:
    return "" if _plain(report, positions) is None else "The dashed line is training on all samples."


def _plain(report: Report, positions: Sequence[int]) -> int | None:
    """The arm that is plain training on all samples, in the settings of most; None if none or several are."""
    found = [position for position in positions if report.arms[position].kind == "all"]
    plain = [position for position in found if not report.arms[position].details] if len(found) > 1 else found
    return plain[0] if len(plain) == 1 else None


def _plain_mean(report: Report, positions: Sequence[int], metric: ShownMetric) -> float | None:
    plain = _plain(report, positions)
    level = report.arms[plain].metrics.get(metric.name) if plain is not None else None
    return level.mean if level else None


def _shown_metrics(report: Report, positions: Sequence[int]) -> list[ShownMetric]:
    """The main metrics, the primary one first, accuracy always among them."""
    there = {name for position in positions for name in report.arms[position].metrics}
    main = [metric for metric in report.metrics if metric.main and metric.name in there]
    wanted = [name for name in (report.primary_metric, "accuracy") if name]
    without = f"{report.primary_metric}_without"
    rest = [metric for metric in main if metric.name not in wanted and metric.name != without]
    first = [metric for metric in main if metric.name == wanted[0]] if wanted else []
    last = [metric for metric in main if metric.name == "accuracy" and metric not in first]
    return [*first, *rest[: _MAX_PANELS - len(first) - len(last)], *last]


def _dots(report: Report, styles: Sequence[Style], positions: Sequence[int], metric: ShownMetric) -> Any:
    unit = metric.unit
    arms = [report.arms[position] for position in positions]
    series = [
        Series(styles[position], [(None, arm.metrics[metric.name])] if metric.name in arm.metrics else [])
        for position, arm in zip(positions, arms, strict=True)
    ]
    reference = _plain_mean(report, positions, metric)

    def draw(axes: Any) -> None:
        draw_rows(axes, series, unit, reference=reference, names=[arm.short for arm in arms])
        arrow = {True: ", lower is better", False: ", higher is better", None: ""}[metric.lower_is_better]
        # over the full panel, because the axes are narrow next to long names of arms
        axes.figure.suptitle(metric.label, x=0.01, ha="left", size=FONT_SIZE + 1, weight="bold", color=INK)
        axes.set_xlabel((unit + arrow).removeprefix(", "))

    return draw


def against_fraction(report: Report, styles: Sequence[Style]) -> Figure | None:
    """Metrics against the fraction removed, one line per rule; None unless a rule has two fractions."""
    positions = first_section(report)
    series: dict[str, list[int]] = {}
    for position in positions:
        arm = report.arms[position]
        if arm.rule is not None and arm.fraction is not None:
            rule = {key: value for key, value in arm.rule.items() if key != "fraction"}
            series.setdefault(canonical_json([arm.settings, rule, arm.method]), []).append(position)
    lines = [found for found in series.values() if len({report.arms[p].fraction for p in found}) > 1]
    metrics = _shown_metrics(report, positions)
    if not lines or not metrics:
        return None
    legend = [_line_style(report, styles, found, lines) for found in lines]
    every = [position for found in lines for position in found]
    return Figure(
        name="fraction",
        heading="Against the fraction removed",
        caption=_caption(
            "Small dots are single seeds, lines join the means, bars are 95 % intervals.",
            _line(report, positions),
            "All fractions that were run are shown; none was picked by its test result.",
            _section_words(report, positions),
        ),
        panels=[
            Panel(
                metric.name,
                _fractions(report, lines, legend, metric, _plain_mean(report, positions, metric)),
                title=f"{metric.label} against the fraction removed",
                about=spoken(
                    _line_in_words(report, found, style, metric) for found, style in zip(lines, legend, strict=True)
                ),
            )
            for metric in metrics
        ],
        columns=("metric", "arm", "fraction_removed", "seed", "draw", "value"),
        data=[
            (metric.name, report.arms[p].label, report.arms[p].fraction, v.seed, v.draw, v.value)
            for metric in metrics
            for p in every
            for v in _values(report.arms[p], metric)
        ],
        legend=legend,
    )


def _removed(arm: ArmEntry) -> float:
    """The fraction that the rule of an arm in a line removes; lines are made of arms that have one."""
    assert arm.fraction is not None
    return arm.fraction


def _line_in_words(report: Report, found: Sequence[int], style: Style, metric: ShownMetric) -> str:
    arms = sorted((report.arms[position] for position in found), key=_removed)
    levels = [
        f"{mean_sd(arm.metrics.get(metric.name), metric.unit)} at {percent_of_fraction(_removed(arm))}" for arm in arms
    ]
    return f"{style.label}: {', '.join(levels)}"


def _of_what(report: Report, lines: Sequence[Sequence[int]]) -> str:
    """The reference of the fractions, if all lines agree."""
    rules = [report.arms[found[0]].rule or {} for found in lines]
    scopes = {"groups" if rule.get("groups") else rule.get("per") for rule in rules}
    words = {"class": "of each class", "all": "of all samples", "groups": "of the named groups"}
    return words.get(str(scopes.pop()), "of its samples") if len(scopes) == 1 else "of the samples it chooses from"


def _line_style(report: Report, styles: Sequence[Style], found: Sequence[int], lines: Sequence[Sequence[int]]) -> Style:
    arm = report.arms[found[0]]
    label, _ = arm_label(arm.method, arm.rule, arm.fraction)
    label = label.replace(f" {percent_of_fraction(_removed(arm))}", "")
    twins = [other for other in lines if report.arms[other[0]].kind == arm.kind]
    dashes = ("-", "--", ":", "-.")[list(twins).index(found) % 4]
    suffix = arm.label.partition(" · ")[2] if len(twins) > 1 else ""
    return Style(f"{label} · {suffix}" if suffix else label, styles[found[0]].color, "o", dashes)


def _fractions(
    report: Report,
    lines: Sequence[Sequence[int]],
    legend: Sequence[Style],
    metric: ShownMetric,
    reference: float | None,
) -> Any:
    series = []
    for found, style in zip(lines, legend, strict=True):
        arms = sorted((report.arms[position] for position in found), key=_removed)
        levels = [(100 * _removed(arm), arm.metrics[metric.name]) for arm in arms if metric.name in arm.metrics]
        series.append(Series(style, levels))

    def draw(axes: Any) -> None:
        draw_along(axes, series, metric.unit, reference=reference)
        axes.set_title(metric.label)
        axes.set_xlabel(f"removed (% {_of_what(report, lines)})")
        axes.set_ylabel(metric.unit or "value")

    return draw
