"""The HTML page: one file without scripts, fonts or images from elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Any

from spurcli.reporting.drawing import Figure, Style, render_svg
from spurcli.reporting.figures import all_figures, arm_styles, csv_text, slug
from spurcli.reporting.naming import selection_words
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


def page(data: Mapping[str, Any], gallery: Gallery | None) -> str:
    """The page as text; a pure function of its arguments."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["tight"] = _tight
    environment.globals.update(mean_sd=mean_sd, difference=difference, interval_text=interval_text)
    environment.globals.update(amount=amount, duration=duration, counted=counted)
    styles = arm_styles(data["arms"])
    figures = [_figure_view(figure, number, Markup) for number, figure in enumerate(all_figures(data))]
    text = environment.from_string(_resource("page.html.j2")).render(
        data=data,
        css=Markup(_resource("style.css")),
        keys=[Markup(swatch(style)) for style in styles],
        names=[_name(arm, has_heading=len(data["sections"]) > 1) for arm in data["arms"]],
        arm_headings=headings(data, range(len(data["arms"]))),
        pair_headings=headings(data, [entry["arm"] for entry in data["comparisons"]]),
        shows_labels=shows_labels(data),
        shows_seconds=shows_seconds(data),
        table_notes=table_notes(data),
        groups=_figure_groups(figures),
        gallery=asdict(gallery) if gallery else None,
        max_rows=MAX_ROWS,
        main=[metric for metric in data["metrics"] if metric["main"]],
        facts=_facts(data),
        splits=_interval_notes(data),
        accuracies=[_accuracies(data, part) for part in ("per_group", "per_class")],
        commands=_commands(data),
        settings=_settings(data),
        all_of_samples=_all_of_samples(data),
        versions=_versions(data),
    )
    return printable(text)


def _resource(name: str) -> str:
    return resources.files("spurcli.reporting").joinpath(name).read_text(encoding="utf-8")


def _tight(text: str) -> str:
    """No line break between a number and what belongs to it."""
    return str(text).replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0").replace("± ", "±\u00a0")


def _figure_view(figure: Figure, number: int, markup: Any) -> dict[str, Any]:
    text = csv_text(figure.columns, figure.data)
    lines = text.splitlines()
    short = len(text.encode()) <= _MAX_CSV_BYTES
    return {
        "name": figure.name,
        "heading": figure.heading,
        "caption": figure.caption,
        "legend": [{"label": style.label, "key": markup(swatch(style))} for style in figure.legend],
        "panels": [
            markup(render_svg(panel, prefix=f"f{number}p{position}-{slug(panel.name)}"))
            for position, panel in enumerate(figure.panels)
        ],
        "csv": "\n".join(lines[: _MAX_CSV_LINES + 1]),
        "csv_hidden": max(0, len(lines) - _MAX_CSV_LINES - 1),
        "csv_uri": "data:text/csv;base64," + base64.b64encode(text.encode()).decode() if short else "",
    }


def _figure_groups(figures: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Figures by the section they stand in."""
    section = {"results": "results", "fraction": "results", "curves": "training", "removed": "removed"}
    groups: dict[str, list[Mapping[str, Any]]] = {"results": [], "training": [], "difficulty": [], "removed": []}
    for figure in figures:
        groups[section.get(figure["name"], "difficulty")].append(figure)
    return groups


def swatch(style: Style) -> str:
    """A swatch for a legend: line and marker as in the figures."""
    dashes = {"-": "", "--": "5 3", ":": "2 2", "-.": "6 2 2 2"}.get(style.dashes, "")
    line = f'<path d="M1 6H25" stroke="{style.color}" stroke-width="2" stroke-dasharray="{dashes}" fill="none"/>'
    shapes = {
        "s": '<rect x="9" y="2" width="8" height="8" {}/>',
        "^": '<path d="M13 1.5l4.6 8.5h-9.2z" {}/>',
        "v": '<path d="M13 10.5l4.6 -8.5h-9.2z" {}/>',
        "<": '<path d="M8.5 6l8.5 -4.6v9.2z" {}/>',
        "X": '<path d="M9 4l2 -2l2 2l2 -2l2 2l-2 2l2 2l-2 2l-2 -2l-2 2l-2 -2l2 -2z" {}/>',
        "D": '<path d="M13 1l5 5l-5 5l-5 -5z" {}/>',
        "P": '<path d="M11 2h4v2h2v4h-2v2h-4v-2h-2v-4h2z" {}/>',
        "o": '<circle cx="13" cy="6" r="4.2" {}/>',
    }
    shape = shapes.get(style.marker, "").replace("{}", f'fill="{style.color}"')
    return f'<svg class="key" viewBox="0 0 26 12" aria-hidden="true">{line}{shape}</svg>'


def _name(arm: Mapping[str, Any], *, has_heading: bool) -> tuple[str, str]:
    """An arm's label in two lines: its short form, and the rest, but for what the heading above it says."""
    label = arm["label"]
    if has_heading:
        label = label.replace(f", {selection_words(arm['selection'])}", "", 1).removesuffix(f" · {arm['split']} split")
        label = label.removesuffix(" · not evaluated")
    label, dot, suffix = label.partition(" · ")
    short = arm["short"].partition(" · ")[0]
    if not label.lower().startswith(short.lower()):
        return label, suffix
    first = label[: len(short)]
    first = first.replace(" ", "\u00a0") if len(first) <= _MAX_UNBROKEN else first
    return first, f"{label[len(short) :].strip(' ,')}{dot}{suffix}".removeprefix(" · ")


def _facts(data: Mapping[str, Any]) -> list[str]:
    """What the page is about, in a line under the title."""
    num_runs = len(data["runs"])
    seeds = {(run["seed"], run["draw"]) for run in data["runs"] if run["seed"] is not None}
    splits = list(dict.fromkeys(run["split"] for run in data["runs"] if run["split"]))
    facts = []
    if num_runs:
        facts += [counted(len(data["arms"]), "arm"), counted(num_runs, "run")]
    if seeds:
        facts.append(counted(len(seeds), "seed"))
    if splits:
        facts.append(f"{', '.join(splits[:3])} split{'s' * (len(splits) != 1)}")
    if data["scores"]:
        facts.append(counted(len(data["scores"]), "score file"))
    return facts


def _interval_notes(data: Mapping[str, Any]) -> list[str]:
    """What the intervals of the table are about."""
    kinds = {entry["interval_of"] for arm in data["arms"] for entry in arm["metrics"].values()}
    notes = []
    if "seeds" in kinds:
        notes.append("Second line: 95 % t-interval of the mean over seeds.")
    if "samples" in kinds:
        which = "Second line" if len(kinds - {None}) == 1 else "Marked “samples”"
        notes.append(f"{which}: 95 % interval of the test samples in the run, as there are fewer than three seeds.")
    return notes


def _accuracies(data: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Accuracy of each group or class by arm, the lowest first where there are too many to show."""
    arms = [(number, arm) for number, arm in enumerate(data["arms"]) if arm[part]][:8]
    values = [{item["name"]: item for item in arm[part]} for _, arm in arms]
    names = list(dict.fromkeys(name for found in values for name in found))
    hidden = len(names) - MAX_ROWS
    if hidden > 0:
        names.sort(key=lambda name: min(found[name]["mean"] for found in values if name in found))
    return {
        "what": part.removeprefix("per_"),
        "arms": [(number, arm["label"]) for number, arm in arms],
        "rows": [(name, [found.get(name) for found in values]) for name in names[:MAX_ROWS]],
        "hidden": max(0, hidden),
    }


def _commands(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each arm the commands of its first run, and those of the others."""
    found, left = [], _MAX_COMMANDS
    for number, arm in enumerate(data["arms"][:MAX_ROWS]):
        others = [run for run in data["runs"] if run["arm"] == number][1:]
        shown = [(run["name"], "\n".join(run["commands"])) for run in others if run["commands"]][:left]
        left -= len(shown)
        found.append(
            {
                "label": arm["label"],
                "key": number,
                "first": "\n".join(arm["commands"]),
                "others": shown,
                "hidden": len(others) - len(shown),
            }
        )
    for entry in data["lists"][:MAX_ROWS]:
        label = f"{entry['label']} (list only)"
        found.append({"label": label, "key": None, "first": "\n".join(entry["commands"]), "others": [], "hidden": 0})
    return [entry for entry in found if entry["first"]]


def _settings(data: Mapping[str, Any]) -> list[dict[str, str]]:
    """Settings as JSON, once for all arms that share them."""
    arms: dict[str, list[str]] = {}
    for arm in data["arms"][:MAX_ROWS]:
        arms.setdefault(json.dumps(arm["settings"], indent=2, sort_keys=True, default=str), []).append(arm["label"])
    return [
        {"label": "All arms" if len(arms) == 1 else "; ".join(labels), "settings": settings}
        for settings, labels in arms.items()
    ]


def _all_of_samples(data: Mapping[str, Any]) -> bool:
    """Whether every interval is one of test samples, so that marking each would say nothing."""
    return {entry["interval_of"] for arm in data["arms"] for entry in arm["metrics"].values()} <= {"samples", None}


def _versions(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Package versions of all runs; several if runs were made with several."""
    found: dict[str, list[str]] = {}
    for versions in [*[arm["versions"] for arm in data["arms"]], data["provenance"]["versions"]]:
        for name, version in versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return [(name, ", ".join(versions[:5])) for name, versions in sorted(found.items())]
