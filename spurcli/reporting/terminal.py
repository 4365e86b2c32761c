"""The tables of a report in 80 columns for the terminal: one for each way of making groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spurcli.reporting.document import ArmEntry, PartLevel, Report, ShownMetric
from spurcli.reporting.labels import WORST
from spurcli.reporting.naming import grouping_words
from spurcli.reporting.parts import worst_words
from spurcli.reporting.sections import headings
from spurcli.reporting.tables import interval_text, mean_sd
from spurcli.words import counted

if TYPE_CHECKING:
    from rich.table import Table

_MAX_ARMS = 40
_MAX_GROUPS = 12


def terminal_tables(report: Report) -> list[Table]:
    """The metrics asked first of a report's data (what `report` returns), an arm a row; of a single arm its groups."""
    groupings = list(dict.fromkeys(section.grouping for section in report.sections))
    tables: list[Table] = []
    for grouping in groupings:
        positions = [n for section in report.sections if section.grouping == grouping for n in section.arms]
        by = grouping_words(grouping) if len(groupings) > 1 else ""
        heading = f"{by[:1].upper()}{by[1:]}"
        title = f"\n{heading}" if tables else f"{report.title}\n{heading}".strip()
        arms = [report.arms[number] for number in positions]
        if len(arms) == 1 and WORST in arms[0].metrics and report.primary_metric == WORST:
            tables.append(_of_groups(arms[0], title))
        else:
            tables.append(_of_arms(report, positions, title, heading))
    return tables


def _table(title: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, title=Text(title), title_justify="left")
    table.caption_justify = "left"
    return table


def _of_arms(report: Report, positions: Sequence[int], title: str, heading: str) -> Table:
    from rich.text import Text

    metrics, table = _metrics(report), _table(title)
    arms = [report.arms[number] for number in positions[:_MAX_ARMS]]
    named = {words for arm in arms if report.primary_metric == WORST and (words := worst_words(arm))}
    table.add_column("arm", overflow="fold", min_width=16)
    table.add_column("seeds", justify="right")
    for metric in metrics:
        table.add_column(Text(metric.label), justify="right", min_width=max(12, *map(len, metric.label.split())))
    before = headings(report, positions)
    for row, arm in enumerate(arms):
        if row in before and before[row] != heading:
            table.add_row(Text(before[row], style="bold"))
        cells = [mean_sd(arm.metrics.get(metric.name), metric.unit) for metric in metrics]
        if len(named) > 1:
            cells = [
                "\n".join(filter(None, [cell, *_worst_lines(arm)])) if metric.name == WORST else cell
                for cell, metric in zip(cells, metrics, strict=True)
            ]
        # Text, not markup: a class called "[bold]" is a name, not a style
        table.add_row(Text(arm.short), str(arm.num_seeds), *map(Text, cells))
    hidden = len(positions) - _MAX_ARMS
    more = f" In the report: {counted(hidden, 'more arm')}." if hidden > 0 else ""
    same = f" Worst group: {next(iter(named))}." if len(named) == 1 else ""
    table.caption = Text(f"mean ± sd over seeds.{same}{more}")
    return table


def _worst_lines(arm: ArmEntry) -> list[str]:
    """The words of `worst_words` in short lines: the name, then counts."""
    name, _, counts = worst_words(arm).partition(", n = ")
    return [name, f"n = {counts}".removesuffix(" runs").replace(", in ", ", ")] if counts else [name]


def _of_groups(arm: ArmEntry, title: str) -> Table:
    """The groups of an arm, the lowest first, and all samples."""
    from rich.text import Text

    table = _table(title)
    table.add_column("group", overflow="fold", min_width=16)
    for name in ("samples", "accuracy", "95 % interval"):
        table.add_column(name, justify="right")
    table.add_column("")
    parts: list[PartLevel] = sorted(arm.per_group, key=lambda part: part.mean)
    for row, part in enumerate(parts[:_MAX_GROUPS]):
        count = f"{part.num_samples:,.0f}" if part.num_samples is not None else "–"
        is_worst = row == 0 and len(parts) > 1
        cells = [part.name, count, mean_sd(part, "%"), interval_text(part, "%"), "← worst" if is_worst else ""]
        table.add_row(*(Text(cell, style="bold" if is_worst else "") for cell in cells))
    if whole := arm.metrics.get("accuracy"):
        table.add_section()
        count = f"{sum(part.num_samples or 0 for part in parts):,.0f}"
        table.add_row(*map(Text, ("all samples", count, mean_sd(whole, "%"), interval_text(whole, "%"), "")))
    seeds = f"mean ± sd over {counted(arm.num_seeds, 'seed')}" if arm.num_seeds > 1 else "one run"
    hidden = len(parts) - _MAX_GROUPS
    more = f" In the report: {counted(hidden, 'more group')}." if hidden > 0 else ""
    table.caption = Text(f"{arm.short}: {seeds}.{more}")
    return table


def _metrics(report: Report) -> list[ShownMetric]:
    """The primary metric, worst-group accuracy and accuracy where there, else the first of the table; three at most."""
    wanted = [report.primary_metric, WORST, "accuracy"]
    there = {metric.name: metric for metric in report.metrics}
    names = [*wanted, *[metric.name for metric in report.metrics if metric.main]]
    return [there[name] for name in dict.fromkeys(names) if name in there][:3]
