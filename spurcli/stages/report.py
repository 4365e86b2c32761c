"""The stage `report`: artefacts in, one page (or tables, or a folder of figures) out. Never imports torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spurcli.artifacts.atomic import write_json, write_text
from spurcli.errors import SpurWarning, UsageError
from spurcli.reporting.content import build
from spurcli.reporting.document import Report
from spurcli.reporting.gather import gather
from spurcli.words import counted

STANDARD_NAME = "report.html"
FORMATS = ("html", "md", "csv", "tex", "json", "svg", "pdf", "png")
_MAX_NAMED = 3  # files that could not be read, each in a warning of its own
_SUFFIXES = {".html": "html", ".htm": "html", ".md": "md", ".csv": "csv", ".tex": "tex", ".json": "json"}


def report(
    runs: Sequence[Path],
    *,
    output: Path = Path(STANDARD_NAME),
    format: str | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
    data_root: Path | None = None,
    pictures: bool = True,
    command: str = "",
) -> dict[str, object]:
    """Write a report on everything in `runs`: artefacts, and folders that are searched for them.

    `format` is html, md, csv, tex (a table) or json (default: by the suffix of `output`), or svg, pdf or png, for which `output` is a
    folder of figures. `notes` are shown as caveats. Pictures of samples need the data set below `data_root`.

    Returns the report's data, which is also the content of the json format, with `output`. Raises InputError if
    nothing usable is found or a named file is damaged.
    """
    return write(
        runs, output, format, title=title, notes=notes, data_root=data_root, pictures=pictures, command=command
    )[1]


def write(
    runs: Sequence[Path],
    output: Path,
    format: str | None,
    *,
    title: str | None,
    notes: Sequence[str],
    data_root: Path | None,
    pictures: bool,
    command: str,
    lead: Sequence[str] = (),
) -> tuple[Report, dict[str, object]]:
    """As `report`, with the report in types beside its JSON. `lead` are paragraphs before its own verdict."""
    chosen = _format(output, format)
    gathered = gather(runs)
    found = build(gathered, title=title, notes=notes, command=command)
    found = replace(found, verdict=(*lead, *found.verdict))
    for item in found.skipped[:_MAX_NAMED]:
        warnings.warn(f"Not read: {item.file}: {item.reason}", SpurWarning, stacklevel=3)
    if len(found.skipped) > _MAX_NAMED:
        warnings.warn(f"Not read: {counted(len(found.skipped) - _MAX_NAMED, 'more file')}", SpurWarning, stacklevel=3)
    data = found.to_json()
    if chosen in ("svg", "pdf", "png"):
        from spurcli.reporting.figures import write_figures

        data["figures"] = write_figures(output, found, chosen)  # type: ignore[arg-type]
    elif chosen == "json":
        write_json(output, data)
    elif chosen == "html":
        from spurcli.reporting.page import page
        from spurcli.reporting.pictures import gallery

        wanted = [arm.rule["score"] for arm in found.arms if arm.rule and "score" in arm.rule]
        shown = gallery(gathered.of("scores"), gathered.of("injection"), wanted, data_root) if pictures else None
        write_text(output, page(found, shown))
    else:
        from spurcli.reporting.exports import csv_of_runs, markdown
        from spurcli.reporting.latex import latex

        write_text(output, {"md": markdown, "csv": csv_of_runs, "tex": latex}[chosen](found))
    return found, {**data, "output": str(output)}


def _format(output: Path, format_name: str | None) -> str:
    if format_name is None:
        if output.suffix.lower() not in _SUFFIXES:
            raise UsageError(
                f"The format of {output} is not clear from its name", f"Add --format: {', '.join(FORMATS)}"
            )
        return _SUFFIXES[output.suffix.lower()]
    if format_name not in FORMATS:
        raise UsageError(f"Unknown report format {format_name!r}", f"Choose from: {', '.join(FORMATS)}")
    return format_name
