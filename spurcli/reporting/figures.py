"""All figures of a report, and writing them as files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from spurcli.artifacts.atomic import atomic_path, write_text
from spurcli.errors import InputError
from spurcli.reporting.document import ArmEntry, ListEntry, Report
from spurcli.reporting.drawing import COLORS, OTHER_COLORS, Figure, Style, render_pdf, render_png, render_svg
from spurcli.reporting.plot_curves import curves
from spurcli.reporting.plot_results import against_fraction, results
from spurcli.reporting.plot_samples import difficulty, removed

_COLOR_OF_KIND = {"all": "blue", "hardest": "vermillion", "random": "green", "easiest": "purple"}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", "--", ":", "-.")


def arm_styles(arms: Sequence[ArmEntry | ListEntry]) -> list[Style]:
    """A colour for each kind of arm, a marker and line style for each arm of a kind; further arms share the remaining ones.

    Arms of the same short name, in sections of other splits or selections, look the same.
    """
    shorts: dict[str, list[str]] = {}
    styles = []
    for arm in arms:
        mine, short = shorts.setdefault(arm.kind, []), arm.short if isinstance(arm, ArmEntry) else arm.label
        if short not in mine:
            mine.append(short)
        number = mine.index(short)
        name = _COLOR_OF_KIND.get(arm.kind)
        color = COLORS[name] if name else OTHER_COLORS[number % len(OTHER_COLORS)]
        turn = number if name else number // len(OTHER_COLORS)
        styles.append(Style(arm.label, color, _MARKERS[turn % len(_MARKERS)], _DASHES[turn % len(_DASHES)]))
    return styles


def all_figures(report: Report) -> list[Figure]:
    """Every figure that the data has numbers for, in the order of the page."""
    styles = arm_styles([*report.arms, *report.lists])
    found = [results(report, styles), against_fraction(report, styles), curves(report, styles)]
    return [figure for figure in (*found, *difficulty(report), removed(report, styles)) if figure is not None]


def write_figures(folder: Path, report: Report, kind: Literal["svg", "pdf", "png"]) -> list[str]:
    """One file for each panel, and each figure's numbers as CSV, into `folder`; returns the file names."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; figures are written into a folder", "Name a folder with -o FOLDER.")
    names = []
    for figure in all_figures(report):
        for panel in figure.panels:
            name = f"{figure.name}-{slug(panel.name)}.{kind}"
            if kind == "svg":
                write_text(folder / name, render_svg(panel, prefix="f", legend=figure.legend, inline=False))
            else:
                content = (render_pdf if kind == "pdf" else render_png)(panel, figure.legend)
                with atomic_path(folder / name) as temporary:
                    temporary.write_bytes(content)
            names.append(name)
        write_text(folder / f"{figure.name}.csv", csv_text(figure.columns, figure.data))
        names.append(f"{figure.name}.csv")
    return names


def slug(name: str) -> str:
    """A name that is safe in file names and ids: metrics and splits may be called anything."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "panel"


def csv_text(columns: Sequence[str], data: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else value for value in row] for row in data)
    return buffer.getvalue()
