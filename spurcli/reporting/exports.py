"""A report as Markdown, and as CSV with one row a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spurcli.reporting.figures import csv_text
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


def markdown(data: Mapping[str, Any]) -> str:
    """Verdict, warnings, table of arms, paired differences, caveats and commands."""
    first, *more = data["verdict"]
    lines = [f"# {_escape(data['title'])}", "", _escape(first), ""]
    if more:
        lines += [*[f"- {_escape(paragraph)}" for paragraph in more], ""]
    if data["reading"]:
        lines += [_escape(" ".join(data["reading"])), ""]
    for warning in data["warnings"][:MAX_ROWS]:
        where = f" ({len(warning['runs'])} runs)" if len(warning["runs"]) > 1 else f" ({warning['runs'][0]})"
        lines += [f"> **Warning:** {_escape(warning['text'] + where)}", ""]
    metrics = [metric for metric in data["metrics"] if metric["main"]]
    if metrics:
        lines += ["## Results", "", "Mean ± sd over seeds; in brackets the 95 % interval.", ""]
        labels, seconds = shows_labels(data), shows_seconds(data)
        header = ["arm", *["group labels"] * labels, "seeds", *[m["label"] for m in metrics], *["time"] * seconds]
        body = [
            [
                *[arm["label"], *[arm["group_labels"]] * labels, str(arm["num_seeds"])],
                *[_cell(arm["metrics"].get(m["name"]), m["unit"]) for m in metrics],
                *[duration(arm["seconds"])] * seconds,
            ]
            for arm in data["arms"][:MAX_ROWS]
        ]
        lines += [*_table(header, body), *_hidden(len(data["arms"]), "more arm")]
        lines += [line for note in table_notes(data) for line in (_escape(note), "")]
        lines += _differences(data, metrics)
    for heading, items in (("Notes", data["notes"]), ("Remarks", data["remarks"])):
        if items:
            lines += [f"## {heading}", "", *[f"- {_escape(item)}" for item in items], ""]
    if data["skipped"]:
        items = [f"- {_escape(item['file'])}: {_escape(item['reason'])}" for item in data["skipped"][:MAX_ROWS]]
        lines += ["## Files that could not be read", "", *items, ""]
    lines += _commands(data)
    return printable("\n".join(lines).rstrip()) + "\n"


def _differences(data: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    if not data["comparisons"]:
        return []
    lines = [
        "## Differences paired by seed", "",
        "Mean ± standard error (percentage points where the metric is in %); in brackets the seeds that are better.", "",
    ]  # fmt: skip
    arms = data["arms"]
    body = []
    for entry in data["comparisons"][:MAX_ROWS]:
        cells = []
        for metric in metrics:
            found = entry["metrics"].get(metric["name"])
            count = f" ({found['num_better']} of {found['num_pairs']})" if found else ""
            cells.append(difference(found, metric["unit"]) + count)
        body.append([f"{arms[entry['arm']]['label']} − {arms[entry['reference']]['label']}", *cells])
    header = ["difference", *[metric["label"] for metric in metrics]]
    return [*lines, *_table(header, body), *_hidden(len(data["comparisons"]), "more comparison")]


def _cell(entry: Mapping[str, Any] | None, unit: str) -> str:
    interval = interval_text(entry, unit)
    return mean_sd(entry, unit) + (f" [{interval}]" if interval else "")


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(_escape(cell) for cell in cells)} |"

    return [row(header), f"|---|{'---:|' * (len(header) - 1)}", *[row(cells) for cells in body], ""]


def _hidden(num_rows: int, what: str) -> list[str]:
    return [f"In the JSON, not here: {counted(num_rows - MAX_ROWS, what)}.", ""] if num_rows > MAX_ROWS else []


def _commands(data: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for arm in [*data["arms"], *data["lists"]][:MAX_ROWS]:
        if arm["commands"]:
            code = "\n".join(arm["commands"])
            longest = max((len(run) for run in re.findall("`+", code)), default=0)
            fence = "`" * max(3, longest + 1)
            lines += [f"{_escape(arm['label'])}:", "", f"{fence}sh", code, fence, ""]
    return ["## Commands", "", "Of the first seed of each arm.", "", *lines] if lines else []


def _escape(text: str) -> str:
    """Names are text, never Markdown or HTML."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_\[\]|<>#])", r"\\\1", line)


def csv_of_runs(data: Mapping[str, Any]) -> str:
    """One row a run: who it is, then value, interval and number of samples of every metric."""
    names = [metric["name"] for metric in data["metrics"]]
    columns = ["run", "arm", "split", "seed", "draw", "method", "select", "fraction", "per", "num_train", "num_kept"]
    columns += ["selection", "epoch", "group_labels", "details", "seconds", "weights_sha256"]
    columns += [f"{name}{suffix}" for name in names for suffix in ("", "_low", "_high", "_num_samples")]
    table = []
    for run in data["runs"]:
        arm = data["arms"][run["arm"]]
        rule = arm["rule"] or {}
        row = [run["name"], arm["label"], run["split"], run["seed"], run["draw"], arm["method"], rule.get("select")]
        row += [arm["fraction"], rule.get("per"), run["num_train"], run["num_kept"]]
        row += [run["selection"], run["epoch"], arm["group_labels"], ", ".join(arm["details"]), run["seconds"]]
        row += [run["weights_sha256"]]
        for name in names:
            entry = run["metrics"].get(name, {})
            low, high = entry.get("interval") or (None, None)
            row += [entry.get("value"), low, high, entry.get("num_samples")]
        table.append(row)
    return printable(csv_text(columns, table))
