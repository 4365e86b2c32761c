"""The page of a user's study: parts with text, a figure over seeds and tables, in one file that is as accessible as the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spurcli.reporting.drawing import Figure
from spurcli.reporting.page import figure_view, template
from spurcli.reporting.pictures import Picture
from spurcli.reporting.values import printable

MAX_ROWS = 150


@dataclass(frozen=True)
class Grid:
    """A table as text: `num_names` columns of words, then numbers; further lines of a cell are small."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int = 1
    is_open: bool = False


@dataclass(frozen=True)
class Part:
    """A section; `name` is its anchor. `facts` are (label, text), `findings` are the conclusions, one per line."""

    name: str
    heading: str
    facts: Sequence[tuple[str, str]] = ()
    findings: Sequence[str] = ()
    figure: Figure | None = None
    pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict)
    note: str = ""
    tables: Sequence[Grid] = ()


@dataclass(frozen=True)
class Study:
    """A page; `kind` is shown above the title, `facts` below it; `reading` explains how to read figures and numbers."""

    title: str
    parts: Sequence[Part]
    kind: str = "spurcli"
    facts: Sequence[str] = ()
    reading: str = ""


def study_page(study: Study) -> str:
    """The page as HTML text. The page contains the data of every figure, whatever its size."""
    figures = [
        figure_view(part.figure, number, max_bytes=None) if part.figure else None
        for number, part in enumerate(study.parts)
    ]
    return printable(template("study.html.j2").render(study=study, figures=figures, max_rows=MAX_ROWS))
