"""Accuracy of each class and group of an arm, its worst group, and both as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spurcli.reporting import statistics
from spurcli.reporting.arms import Arm
from spurcli.reporting.document import ArmEntry, PartAccuracy, PartLevel, Report, SeedValue, WorstGroup
from spurcli.reporting.labels import WORST
from spurcli.reporting.naming import grouping_words
from spurcli.reporting.tables import interval_text, mean_sd, over_seeds
from spurcli.words import amount, counted

MAX_PARTS = 60
_MAX_ARMS = 8


def part_levels(arm: Arm, items: Sequence[Sequence[PartAccuracy]]) -> list[PartLevel]:
    """Mean, sd and interval of the accuracy of each class or group, over the seeds of an arm; `items` are those of its runs.

    Runs that share a seed and draw are averaged first, as for metrics (`tables.by_seed`).
    """
    found: dict[str, list[tuple[Any, PartAccuracy]]] = {}
    for position, (run, parts) in enumerate(zip(arm.runs, items, strict=True)):
        for part in parts:
            if part.value is not None:
                at: Any = run.at if run.seed is not None else (None, position)
                found.setdefault(part.name, []).append((at, part))
    return [_level(name, parts) for name, parts in found.items()]


def _level(name: str, parts: Sequence[tuple[Any, PartAccuracy]]) -> PartLevel:
    by_seed: dict[Any, list[float]] = {}
    for at, part in parts:
        by_seed.setdefault(at, []).append(part.value or 0.0)
    level = over_seeds([SeedValue(None, None, statistics.mean(values)) for values in by_seed.values()], (0.0, 1.0))
    counts = [part.num_samples for _, part in parts if part.num_samples is not None]
    intervals = [part.interval for _, part in parts if part.interval]
    interval, interval_of = level.interval, level.interval_of
    if interval is None and intervals:
        interval, interval_of = [min(low for low, _ in intervals), max(high for _, high in intervals)], "samples"
    num_samples = statistics.mean(counts) if counts else None
    return PartLevel(name, level.mean, level.sd, len(parts), num_samples, interval, interval_of)


def worst_group(arm: Arm) -> WorstGroup | None:
    """The group that `worst_group_accuracy` names in most runs; None where no run has named one."""
    named = [run.metrics[WORST] for run in arm.runs if WORST in run.metrics]
    named = [measured for measured in named if measured.facts.get("group")]
    if not named:
        return None
    name, number = Counter(measured.facts["group"] for measured in named).most_common(1)[0]
    counts = [m.num_samples for m in named if m.facts["group"] == name and m.num_samples is not None]
    return WorstGroup(name, statistics.mean(counts) if counts else None, number, len(named))


def worst_words(arm: ArmEntry) -> str:
    """ "pneumonia/south, n = 57", with how many runs it is the worst of where that is not all; "" where it is not known."""
    worst = arm.worst_group
    if worst is None:
        return ""
    count = f", n = {worst.num_samples:,.0f}" if worst.num_samples is not None else ""
    runs = f", in {worst.num_worst} of {worst.num_runs} runs" if worst.num_worst < worst.num_runs else ""
    return f"{worst.name}{count}{runs}"


@dataclass(frozen=True)
class PartCell:
    """Accuracy of a group or class in an arm; `is_worst` marks the lowest mean of the arm."""

    level: str
    interval: str
    is_worst: bool = False


@dataclass(frozen=True)
class PartTable:
    """Accuracy of each group or class: a row a name with the number of its samples, a column an arm (position, label)."""

    what: str
    heading: str
    arms: Sequence[tuple[int, str]]
    rows: Sequence[tuple[str, str, Sequence[PartCell | None]]]
    notes: Sequence[str]
    hidden: int


def group_tables(report: Report) -> list[PartTable]:
    """A table for each section of the first split, and for others where the first split has no groups; each grouping its own."""
    tables = []
    for section in report.sections:
        arms = [number for number in section.arms if report.arms[number].per_group]
        if arms and section.split == report.sections[0].split:
            by = f", {grouping_words(section.grouping)}" if section.grouping else ""
            heading = f"Accuracy of each group{by}" + (
                f" ({section.heading})" if _is_told(report, section.heading) else ""
            )
            tables.append(_table(report, "group", heading, arms))
    return tables


def _is_told(report: Report, heading: str) -> bool:
    """Whether a heading says more than the grouping, which is in the table's heading already."""
    return bool(heading) and len({(section.split, section.selection) for section in report.sections}) > 1


def class_table(report: Report) -> PartTable | None:
    """Accuracy of each class for all arms, each model once: other groups change nothing there."""
    arms, seen = [], []
    for number, arm in enumerate(report.arms):
        key = (arm.short, arm.split, arm.selection, tuple((part.name, part.mean) for part in arm.per_class))
        if arm.per_class and key not in seen:
            seen.append(key)
            arms.append(number)
    return _table(report, "class", "Accuracy of each class", arms) if arms else None


def _table(report: Report, what: str, heading: str, positions: Sequence[int]) -> PartTable:
    """The lowest first where there is one arm, or too many names to show all."""
    shown = positions[:_MAX_ARMS]
    levels = [
        {part.name: part for part in (arm.per_group if what == "group" else arm.per_class)}
        for arm in (report.arms[number] for number in shown)
    ]
    lowest = [min(found.values(), key=lambda part: part.mean).name if len(found) > 1 else "" for found in levels]
    names = list(dict.fromkeys(name for found in levels for name in found))
    if (len(shown) == 1 and what == "group") or len(names) > MAX_PARTS:
        names.sort(key=lambda name: min(found[name].mean for found in levels if name in found))
    rows = []
    for name in names[:MAX_PARTS]:
        parts = [found.get(name) for found in levels]
        counts = {round(part.num_samples) for part in parts if part and part.num_samples is not None}
        cells = [_cell(part, is_worst=what == "group" and name == low) for part, low in zip(parts, lowest, strict=True)]
        rows.append((name, "–".join(f"{count:,}" for count in (sorted(counts)[:1] + sorted(counts)[1:][-1:])), cells))
    notes = group_notes(report, shown) if what == "group" else []
    arms = [(number, report.arms[number].label) for number in shown]
    return PartTable(what, heading, arms, rows, notes, max(0, len(names) - MAX_PARTS))


def _cell(part: PartLevel | None, *, is_worst: bool) -> PartCell | None:
    return None if part is None else PartCell(mean_sd(part, "%"), interval_text(part, "%"), is_worst)


def group_notes(report: Report, positions: Sequence[int]) -> list[str]:
    """What the intervals are about, and why worst-group accuracy differs from the row of the worst group."""
    arms = [report.arms[number] for number in positions]
    kinds = {part.interval_of for arm in arms for part in arm.per_group}
    notes = []
    if "seeds" in kinds:
        notes.append(
            "95 % interval: t-interval of the mean over seeds; it does not include the choice of test samples."
        )
    elif "samples" in kinds:
        notes.append("95 % interval: over the group's test samples, of each group by itself.")
    found = [_apart(arm, several=len(arms) > 1) for arm in arms]
    return [*notes, *filter(None, found)]


def _apart(arm: ArmEntry, *, several: bool) -> str:
    """Why the worst-group accuracy of an arm is not that of its lowest group; "" where it is."""
    level = arm.metrics.get(WORST)
    if level is None or arm.worst_group is None or len(arm.per_group) < 2:
        return ""
    lowest = min(arm.per_group, key=lambda part: part.mean)
    of = f"{arm.short}: worst" if several else "Worst"
    start = f"{of}-group accuracy is {mean_sd(level, '%')}"
    if level.interval_of == "samples" and level.interval and lowest.interval and level.interval != lowest.interval:
        return (
            f"{of}-group accuracy has the interval {interval_text(level, '%')} instead of {interval_text(lowest, '%')}: it covers "
            f"the lowest true accuracy of the {counted(len(arm.per_group), 'group')}, so it accounts for the choice of the worst."
        )
    if amount(level.mean, "%") != amount(lowest.mean, "%") and level.mean < lowest.mean:
        return (
            f"{start}, below the {amount(lowest.mean, '%')} of {lowest.name}: it is the mean of the lowest accuracy in each seed, "
            "and seeds differ in their worst group."
        )
    return ""
