"""A report as Markdown, and as CSV with one row per run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spurcli.reporting.choosing import choice_header, choice_note, choice_rows
from spurcli.reporting.document import ArmEntry, Level, ListEntry, Measured, Report, ShownMetric
from spurcli.reporting.figures import csv_text
from spurcli.reporting.levels import worst_part
from spurcli.reporting.tables import (
    difference,
    interval_text,
    mean_sd,
    shows_labels,
    shows_seconds,
    table_notes,
)
from spurcli.reporting.values import printable
from spurcli.words import counted, duration

MAX_ROWS = 60


def markdown(report: Report) -> str:
    """Verdict, warnings, table of arms, paired differences, caveats and commands."""
    first, *more = report.verdict
    lines = [f"# {_escape(report.title)}", "", _escape(first), ""]
    if more:
        lines += [*[f"- {_escape(paragraph)}" for paragraph in more], ""]
    if report.reading:
        lines += [_escape(" ".join(report.reading)), ""]
    if report.doubts:
        lines += ["## What would prove this wrong", "", *[f"- {_escape(line)}" for line in report.doubts], ""]
    for warning in report.warnings[:MAX_ROWS]:
        where = f" ({len(warning.runs)} runs)" if len(warning.runs) > 1 else f" ({warning.runs[0]})"
        lines += [f"> **Warning:** {_escape(warning.text + where)}", ""]
    metrics = [metric for metric in report.metrics if metric.main]
    if metrics:
        lines += ["## Results", "", "Mean ± sd over seeds; in brackets the 95 % interval.", ""]
        labels, seconds = shows_labels(report), shows_seconds(report)
        header = ["arm", *["group labels"] * labels, "seeds", *[m.label for m in metrics], *["time"] * seconds]
        body = [
            [
                *[arm.label, *[arm.group_labels] * labels, str(arm.num_seeds)],
                *[_cell(arm.metrics.get(m.name), m.unit) + worst_part(arm, m.name) for m in metrics],
                *[duration(arm.seconds)] * seconds,
            ]
            for arm in report.arms[:MAX_ROWS]
        ]
        lines += [*_table(header, body), *_hidden(len(report.arms), "more arm")]
        lines += [line for note in table_notes(report) for line in (_escape(note), "")]
        lines += _differences(report, metrics)
        lines += _choices(report)
    for heading, items in (("Notes", report.notes), ("Remarks", report.remarks)):
        if items:
            lines += [f"## {heading}", "", *[f"- {_escape(item)}" for item in items], ""]
    if report.skipped:
        items = [f"- {_escape(item.file)}: {_escape(item.reason)}" for item in report.skipped[:MAX_ROWS]]
        lines += ["## Files that could not be read", "", *items, ""]
    lines += _commands(report)
    return printable("\n".join(lines).rstrip()) + "\n"


def _differences(report: Report, metrics: Sequence[ShownMetric]) -> list[str]:
    if not report.comparisons:
        return []
    lines = [
        "## Differences paired by seed", "",
        "Mean ± standard error (percentage points where the metric is in %); in brackets the number of seeds that are better.", "",
    ]  # fmt: skip
    arms = report.arms
    body = []
    for entry in report.comparisons[:MAX_ROWS]:
        cells = []
        for metric in metrics:
            found = entry.metrics.get(metric.name)
            count = f" ({found.num_better} of {found.num_pairs})" if found else ""
            cells.append(difference(found, metric.unit) + count)
        body.append([f"{arms[entry.arm].label} − {arms[entry.reference].label}", *cells])
    header = ["difference", *[metric.label for metric in metrics]]
    return [*lines, *_table(header, body), *_hidden(len(report.comparisons), "more comparison")]


def _choices(report: Report) -> list[str]:
    if not report.choices:
        return []
    lines = ["## Chosen without and with group labels", "", _escape(choice_note(report)), ""]
    return [*lines, *_table(choice_header(report), choice_rows(report))]


def _cell(entry: Level | None, unit: str) -> str:
    interval = interval_text(entry, unit)
    return mean_sd(entry, unit) + (f" [{interval}]" if interval else "")


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_escape(cell) for cell in cells)} |"

    return [row(header), f"|---|{'---:|' * (len(header) - 1)}", *[row(cells) for cells in body], ""]


def _hidden(num_rows: int, what: str) -> list[str]:
    return [f"{counted(num_rows - MAX_ROWS, 'more ' + what)} in the JSON output.", ""] if num_rows > MAX_ROWS else []


def _commands(report: Report) -> list[str]:
    lines: list[str] = []
    made: list[ArmEntry | ListEntry] = [*report.arms, *report.lists]
    for arm in made[:MAX_ROWS]:
        if arm.commands:
            code = "\n".join(arm.commands)
            longest = max((len(run) for run in re.findall("`+", code)), default=0)
            fence = "`" * max(3, longest + 1)
            lines += [f"{_escape(arm.label)}:", "", f"{fence}sh", code, fence, ""]
    return ["## Commands", "", "Shown for the first seed of each arm.", "", *lines] if lines else []


def _escape(text: str) -> str:
    """Names are text, never Markdown or HTML."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]|<>#])", r"\\\1", line)


def csv_of_runs(report: Report) -> str:
    """One row per run: its identity, then value, interval and number of samples of every metric."""
    names = [metric.name for metric in report.metrics]
    columns = ["run", "arm", "split", "seed", "draw", "method", "select", "fraction", "per", "num_train", "num_kept"]
    columns += ["selection", "epoch", "group_labels", "details", "seconds", "weights_sha256"]
    columns += [f"{name}{suffix}" for name in names for suffix in ("", "_low", "_high", "_num_samples")]
    table = []
    for run in report.runs:
        arm = report.arms[run.arm]
        rule = arm.rule or {}
        row = [run.name, arm.label, run.split, run.seed, run.draw, arm.method, rule.get("select")]
        row += [arm.fraction, rule.get("per"), run.num_train, run.num_kept]
        row += [run.selection, run.epoch, arm.group_labels, ", ".join(arm.details), run.seconds]
        row += [run.weights_sha256]
        for name in names:
            entry = run.metrics.get(name) or Measured(None, None, None)
            low, high = entry.interval or (None, None)
            row += [entry.value, low, high, entry.num_samples]
        table.append(row)
    return printable(csv_text(columns, table))
