"""The options of `report`, each a flag and a Python parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spurcli.errors import UsageError
from spurcli.requests.files import FIGURES, output_file
from spurcli.requests.options import Caller, DataRoot, File, Option, Shown, output, path, several

if TYPE_CHECKING:
    from spurcli.reporting.document import Report


@dataclass(frozen=True, kw_only=True)
class ReportRequest:
    """Show all runs on one page."""

    runs: Annotated[
        File | Sequence[File] | None,
        Option("Files or folders. (default: the current folder)", "RUNS", repeated=True, positional=True),
    ] = field(default=None, kw_only=False)
    format: Annotated[
        str | None,
        Option(
            "html, md, csv, tex, json, or svg, pdf or png (a folder of figures). (default: by -o)",
            "KIND",
            completes="html md csv tex json svg pdf png",
        ),
    ] = None
    title: Annotated[str | None, Option("Title of the page.", "TEXT")] = None
    note: Annotated[
        str | Sequence[str] | None, Option("A remark to print on the page. Repeatable.", "TEXT", repeated=True)
    ] = None
    pictures: Annotated[bool, Option("Show the easiest and the hardest samples.")] = True
    output: Annotated[File | None, output("report.html")] = None
    data_root: DataRoot = None
    progress: Shown = False

    @property
    def standard_output(self) -> str:
        return FIGURES if self.format in ("svg", "pdf", "png") else f"report.{self.format or 'html'}"


def run(asked: ReportRequest, caller: Caller) -> dict[str, object]:
    """Resolve the request and write the report."""
    return write(asked, caller)[1]


def write(asked: ReportRequest, caller: Caller, lead: Sequence[str] = ()) -> tuple[Report, dict[str, object]]:
    """As `run`, with the report in types beside its JSON. `lead` are paragraphs before its verdict."""
    from spurcli.session import find_data_root
    from spurcli.stages import report as stage

    if asked.standard_output == FIGURES and not caller.companions:
        raise UsageError("Figures are a folder, which cannot go to stdout", "Name a folder with -o.")
    return stage.write(
        [Path(run) for run in several(asked.runs)] or [Path()],
        output_file(asked.output, asked.standard_output),
        asked.format,
        title=asked.title,
        notes=several(asked.note),
        data_root=find_data_root(path(asked.data_root)),
        pictures=asked.pictures,
        command=caller.command,
        lead=lead,
    )
