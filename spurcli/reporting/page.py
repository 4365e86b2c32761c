"""The HTML page: one file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from spurcli.reporting.choosing import choice_header, choice_note, choice_rows
from spurcli.reporting.document import ArmEntry, Report, ShownMetric
from spurcli.reporting.drawing import Figure, Style, render_svg
from spurcli.reporting.figures import all_figures, arm_styles, csv_text, slug
from spurcli.reporting.labels import WORST
from spurcli.reporting.naming import NO_SPLIT, grouping_words, selection_words, split_words
from spurcli.reporting.parts import PartTable, class_table, group_tables, worst_words
from spurcli.reporting.pictures import Gallery
from spurcli.reporting.sections import headings
from spurcli.reporting.tables import (
    difference,
    interval_text,
    mean_sd,
    shows_labels,
    shows_seconds,
    table_notes,
)
from spurcli.reporting.values import printable
from spurcli.words import amount, counted, duration

MAX_ROWS = 60
_MAX_CSV_LINES = 40
_MAX_CSV_BYTES = 300_000
_MAX_COMMANDS = 400
_MAX_UNBROKEN = 18


def page(report: Report, gallery: Gallery | None) -> str:
    """The page as text; a pure function of its arguments."""
    from markupsafe import Markup

    styles = arm_styles(report.arms)
    figures = [figure_view(figure, number) for number, figure in enumerate(all_figures(report))]
    text = template("page.html.j2").render(
        data=report,
        keys=[Markup(swatch(style)) for style in styles],
        names=[_name(arm, has_heading=len(report.sections) > 1) for arm in report.arms],
        blocks=_blocks(report),
        pair_headings=headings(report, [entry.arm for entry in report.comparisons]),
        shows_labels=shows_labels(report),
        shows_seconds=shows_seconds(report),
        table_notes=table_notes(report),
        choices=(choice_header(report), choice_rows(report), choice_note(report)) if report.choices else None,
        groups=_figure_groups(figures),
        gallery=gallery,
        max_rows=MAX_ROWS,
        main=[metric for metric in report.metrics if metric.main],
        first_main=sorted((m for m in report.metrics if m.main), key=lambda m: m.name != report.primary_metric),
        facts=_facts(report),
        splits=_interval_notes(report),
        classes=class_table(report),
        worst=WORST,
        commands=_commands(report),
        settings=_settings(report),
        all_of_samples=_all_of_samples(report),
        versions=_versions(report),
    )
    return printable(text)


@functools.cache
def template(name: str) -> Any:
    """A template of this folder, compiled once; it has `css`, and words and numbers are written as everywhere in the package."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_resource),
    )
    environment.filters["tight"] = _tight
    environment.globals.update(
        mean_sd=mean_sd, difference=difference, interval_text=interval_text, worst_words=worst_words
    )
    environment.globals.update(amount=amount, duration=duration, counted=counted, css=Markup(_resource("style.css")))
    return environment.get_template(name)


def _resource(name: str) -> str:
    return resources.files("spurcli.reporting").joinpath(name).read_text(encoding="utf-8")


def _tight(text: str) -> str:
    """Prevent a line break between a number and its unit."""
    return str(text).replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0").replace("± ", "±\u00a0")


@dataclass(frozen=True)
class FigureView:
    """A figure as the template shows it: panels as markup, the first rows of its data, all of it as a link if short."""

    name: str
    heading: str
    caption: str
    legend: Sequence[tuple[Any, str]]
    panels: Sequence[Any]
    csv: str
    csv_hidden: int
    csv_uri: str


@dataclass(frozen=True)
class Block:
    """The arms of one way of making groups: their table (a single arm has a row a metric), then the accuracy of each group.

    `headings` stand before rows: row → heading of the section that begins there.
    """

    heading: str
    arms: Sequence[int]
    metrics: Sequence[ShownMetric]
    headings: Mapping[int, str]
    groups: Sequence[PartTable]


@dataclass(frozen=True)
class CommandsView:
    """The commands of an arm's first run, those of the others (run, commands), and how many more there are."""

    label: str
    key: int | None
    first: str
    others: Sequence[tuple[str, str]] = ()
    hidden: int = 0


def _blocks(report: Report) -> list[Block]:
    """A block for each way of making groups; arms that were not evaluated stand in the first one."""
    groupings = list(dict.fromkeys(section.grouping for section in report.sections if section.split))
    tables = group_tables(report)
    found = []
    for grouping in groupings or [""]:
        arms = [
            number
            for section in report.sections
            for number in section.arms
            if (section.grouping == grouping if section.split else grouping == (groupings or [""])[0])
        ][:MAX_ROWS]
        by = grouping_words(grouping) if len(groupings) > 1 else ""
        heading = f"{by[:1].upper()}{by[1:]}"
        above = {row: words for row, words in headings(report, arms).items() if words != heading}
        groups = [table for table in tables if any(number in arms for number, _ in table.arms)]
        there = {name for number in arms for name in report.arms[number].metrics}
        metrics = [metric for metric in report.metrics if metric.main and (metric.name in there or not by)]
        found.append(Block(heading, arms, metrics, above, groups))
    return found


def figure_view(figure: Figure, number: int, *, max_bytes: int | None = _MAX_CSV_BYTES) -> FigureView:
    """Figure `number` of a page; its data is a link if it is not larger than `max_bytes`."""
    from markupsafe import Markup

    text = csv_text(figure.columns, figure.data)
    lines = text.splitlines()
    short = max_bytes is None or len(text.encode()) <= max_bytes
    return FigureView(
        name=figure.name,
        heading=figure.heading,
        caption=figure.caption,
        legend=[(Markup(swatch(style)), style.label) for style in figure.legend],
        panels=[
            Markup(render_svg(panel, prefix=f"f{number}p{position}-{slug(panel.name)}"))
            for position, panel in enumerate(figure.panels)
        ],
        csv="\n".join(lines[: _MAX_CSV_LINES + 1]),
        csv_hidden=max(0, len(lines) - _MAX_CSV_LINES - 1),
        csv_uri="data:text/csv;base64," + base64.b64encode(text.encode()).decode() if short else "",
    )


def _figure_groups(figures: Sequence[FigureView]) -> dict[str, list[FigureView]]:
    """Figures by their section."""
    section = {"results": "results", "fraction": "results", "curves": "training", "removed": "removed"}
    groups: dict[str, list[FigureView]] = {"results": [], "training": [], "difficulty": [], "removed": []}
    for figure in figures:
        groups[section.get(figure.name, "difficulty")].append(figure)
    return groups


def swatch(style: Style) -> str:
    """A swatch for a legend: line and marker as in the figures."""
    dashes = {"-": "", "--": "5 3", ":": "2 2", "-.": "6 2 2 2"}.get(style.dashes, "")
    line = f'<path d="M1 6H25" stroke="{style.color}" stroke-width="2" stroke-dasharray="{dashes}" fill="none"/>'
    line = line if style.dashes else ""
    shapes = {
        "s": '<rect x="9" y="2" width="8" height="8" {}/>',
        "^": '<path d="M13 1.5l4.6 8.5h-9.2z" {}/>',
        "v": '<path d="M13 10.5l4.6 -8.5h-9.2z" {}/>',
        "<": '<path d="M8.5 6l8.5 -4.6v9.2z" {}/>',
        "X": '<path d="M9 4l2 -2l2 2l2 -2l2 2l-2 2l2 2l-2 2l-2 -2l-2 2l-2 -2l2 -2z" {}/>',
        "D": '<path d="M13 1l5 5l-5 5l-5 -5z" {}/>',
        "d": '<path d="M13 1l5 5l-5 5l-5 -5z" fill="none" stroke="currentColor" stroke-width="1.5"/>',
        "P": '<path d="M11 2h4v2h2v4h-2v2h-4v-2h-2v-4h2z" {}/>',
        "o": '<circle cx="13" cy="6" r="4.2" {}/>',
    }
    shape = shapes.get(style.marker, "").replace("{}", f'fill="{style.color}"')
    return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{line}{shape}</svg>'


def _name(arm: ArmEntry, *, has_heading: bool) -> tuple[str, str]:
    """An arm's label in two lines: its short form, and the rest, without what the heading already says."""
    label = arm.label
    if has_heading:
        label = label.replace(f", {selection_words(arm.selection)}", "", 1).removesuffix(f" · {split_words(arm.split)}")
        label = label.removesuffix(f" · {grouping_words(arm.grouping)}")
    label, dot, suffix = label.partition(" · ")
    short = arm.short.partition(" · ")[0]
    if not label.lower().startswith(short.lower()):
        return label, suffix
    first = label[: len(short)]
    first = first.replace(" ", "\u00a0") if len(first) <= _MAX_UNBROKEN else first
    return first, f"{label[len(short) :].strip(' ,')}{dot}{suffix}".removeprefix(" · ")


def _facts(report: Report) -> list[str]:
    """The subject of the page, in a line below the title."""
    labels = [arm.label.replace(f" · {grouping_words(arm.grouping)}", "") for arm in report.arms]
    num_runs = len({(labels[run.arm], run.seed, run.draw, run.weights_sha256 or run.name) for run in report.runs})
    seeds = {(run.seed, run.draw) for run in report.runs if run.seed is not None}
    splits = list(dict.fromkeys(run.split for run in report.runs if run.split not in ("", NO_SPLIT)))
    groupings = list(dict.fromkeys(grouping_words(section.grouping) for section in report.sections if section.grouping))
    facts = []
    if num_runs:
        facts += [counted(len(set(labels)), "arm"), counted(num_runs, "run")]
    if seeds:
        facts.append(counted(len(seeds), "seed"))
    if splits:
        facts.append(f"{', '.join(splits[:3])} split{'s' * (len(splits) != 1)}")
    if groupings and not all(words in report.title for words in groupings):
        facts.append(f"groups {' and '.join(groupings[:8])}")
    if report.scores:
        facts.append(counted(len(report.scores), "score file"))
    return facts


def _interval_notes(report: Report) -> list[str]:
    """The source of the intervals in the table."""
    kinds = {entry.interval_of for arm in report.arms for entry in arm.metrics.values()}
    notes = []
    if "seeds" in kinds:
        notes.append("The interval is the 95 % t-interval of the mean over seeds.")
    if "samples" in kinds:
        which = "The interval" if len(kinds - {None}) == 1 else "What is marked “samples”"
        notes.append(f"{which} is that of the test samples in the run, at 95 %, as there are fewer than three seeds.")
    return notes


def _commands(report: Report) -> list[CommandsView]:
    """For each arm the commands of its first run, and those of the others."""
    found, left = [], _MAX_COMMANDS
    for number, arm in enumerate(report.arms[:MAX_ROWS]):
        others = [run for run in report.runs if run.arm == number][1:]
        shown = [(run.name, "\n".join(run.commands)) for run in others if run.commands][:left]
        left -= len(shown)
        found.append(CommandsView(arm.label, number, "\n".join(arm.commands), shown, len(others) - len(shown)))
    for entry in report.lists[:MAX_ROWS]:
        found.append(CommandsView(f"{entry.label} (list only)", None, "\n".join(entry.commands)))
    return [view for view in found if view.first]


def _settings(report: Report) -> list[tuple[str, str]]:
    """Settings as JSON, once for all arms that share them: (arms, settings)."""
    arms: dict[str, list[str]] = {}
    for arm in report.arms[:MAX_ROWS]:
        arms.setdefault(json.dumps(arm.settings, indent=2, sort_keys=True, default=str), []).append(arm.label)
    return [("All arms" if len(arms) == 1 else "; ".join(labels), settings) for settings, labels in arms.items()]


def _all_of_samples(report: Report) -> bool:
    """Whether every interval is one of test samples, so that marking each would be redundant."""
    return {entry.interval_of for arm in report.arms for entry in arm.metrics.values()} <= {"samples", None}


def _versions(report: Report) -> list[tuple[str, str]]:
    """Package versions of all runs; several if runs were made with several."""
    found: dict[str, list[str]] = {}
    for versions in [*[arm.versions for arm in report.arms], report.provenance["versions"]]:
        for name, version in versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return [(name, ", ".join(versions[:5])) for name, versions in sorted(found.items())]
