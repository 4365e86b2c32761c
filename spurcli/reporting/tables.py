"""Arms × metrics over seeds, and differences paired by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.evaluation.metric import Bounds, within
from spurcli.reporting import statistics
from spurcli.reporting.arms import Arm
from spurcli.reporting.document import Comparison, Level, PartLevel, Report, SeedValue, ShownMetric
from spurcli.reporting.runs import Seed
from spurcli.reporting.statistics import Paired
from spurcli.words import amount

_LABELS_NOTE = (
    "Group labels: recorded when they are read, not declared. “train”: pruning or training read the groups of training "
    "samples; “val”: those of validation samples chose the epoch or were learned from; “inferred: …” and “file”: groups, or "
    "errors of an earlier model, that replaced them. All methods use class labels."
)
_TIME_NOTE = (
    "Time: training time in history.json over all epochs, whichever epoch was chosen, mean over seeds. Earlier steps are not included: "
    "scores, inferred groups, the model whose last layer is retrained."
)


def by_seed(arm: Arm, metric: str) -> dict[Seed, float]:
    """The metric at each (seed, draw); runs that share one are averaged first, so that no seed counts twice.

    Runs of unknown seed are not paired: each has its own key.
    """
    values: dict[Any, list[float]] = {}
    for position, run in enumerate(arm.runs):
        measured = run.metrics.get(metric)
        if measured is not None and measured.value is not None:
            key: Any = run.at if run.seed is not None else (None, position)
            values.setdefault(key, []).append(measured.value)
    return {key: statistics.mean(found) for key, found in values.items()}


def summarise(arm: Arm, metric: ShownMetric) -> Level | None:
    """Mean, sd and interval of one metric of one arm, within the metric's bounds; None if no run has it."""
    values = by_seed(arm, metric.name)
    if not values:
        return None
    level = over_seeds(
        [SeedValue(seed, draw if seed is not None else None, value) for (seed, draw), value in values.items()],
        metric.bounds,
    )
    spans = [run.metrics[metric.name].interval for run in arm.runs if metric.name in run.metrics]
    known = [span for span in spans if span]
    if level.interval is not None or not known:
        return level
    span = [min(low for low, _ in known), max(high for _, high in known)]
    return replace(level, interval=within(span, metric.bounds), interval_of="samples")


def over_seeds(values: Sequence[SeedValue], bounds: Bounds = (None, None)) -> Level:
    """Mean, sd and 95 % t-interval (from three values on) of one value or more, the interval cut to the bounds."""
    numbers = [item.value for item in values]
    interval = statistics.t_interval(numbers)
    return Level(
        mean=statistics.mean(numbers),
        sd=statistics.sd(numbers),
        num_seeds=len(numbers),
        interval=within(interval, bounds) if interval else None,
        interval_of="seeds" if interval else None,
        values=values,
    )


def comparisons(arms: Sequence[Arm], metrics: Sequence[ShownMetric]) -> list[Comparison]:
    """Each arm that prunes by difficulty against the random control of equal size and against no pruning.

    Only arms with equal settings (training too), split and selection are compared, only at seeds that both have, and
    only where both saw the same injection. `arm` and `reference` are positions in `arms`.
    """
    found = []
    for position, arm in enumerate(arms):
        if arm.kind not in ("hardest", "easiest", "slice"):
            continue
        for other_position in _references(arms, position):
            paired = {metric.name: paired_arms(arm, arms[other_position], metric) for metric in metrics}
            if differences := {name: pairs for name, pairs in paired.items() if pairs}:
                found.append(Comparison(position, other_position, differences))
    return found


def _references(arms: Sequence[Arm], position: int) -> list[int]:
    arm = arms[position]
    same = [number for number, other in enumerate(arms) if _shared(other) == _shared(arm)]
    random = [n for n in same if arms[n].kind == "random" and _same_size(arms[n], arm)]
    matched = [n for n in random if (arms[n].rule or {}).get("matched")]
    return [*(matched or random), *[n for n in same if arms[n].kind == "all" and _same_budget(arms[n], arm)]]


def _shared(arm: Arm) -> str:
    return canonical_json([arm.split, arm.selection, arm.base, arm.training])


def _same_size(first: Arm, second: Arm) -> bool:
    if first.fraction is None or second.fraction is None or abs(first.fraction - second.fraction) > 1e-3:
        return False
    # a matched control carries the scope of the list that it matches
    keys = ("per", "groups", "balance_classes", "balance_groups", "quotas")
    scopes = [[(arm.rule or {}).get(key) for key in keys] for arm in (first, second)]
    return scopes[0] == scopes[1] and _same_budget(first, second)


def _same_budget(first: Arm, second: Arm) -> bool:
    return first.variant.get("budget") == second.variant.get("budget")


def paired_arms(first: Arm, second: Arm, metric: ShownMetric) -> statistics.Paired | None:
    """first − second, seed by seed, where both saw the same injection; None if they share no such seed."""

    def injections(arm: Arm) -> dict[Seed, str | None]:
        return {run.at: run.injection_sha256 for run in arm.runs}

    mine, theirs = injections(first), injections(second)
    same = {at for at in mine if at in theirs and mine[at] == theirs[at] and at[0] is not None}
    values = [{at: value for at, value in by_seed(arm, metric.name).items() if at in same} for arm in (first, second)]
    return statistics.paired(*values, lower_is_better=metric.lower_is_better)


def mean_sd(entry: Level | PartLevel | None, unit: str) -> str:
    """ "25.3 ± 1.2 %" over seeds, "25.3 %" for one."""
    if not entry:
        return "–"
    if entry.sd is None:
        return amount(entry.mean, unit)
    return f"{amount(entry.mean, unit, bare=True)} ± {amount(entry.sd, unit)}"


def mean_sd_bare(entry: Level | None, unit: str) -> str:
    """The same without the unit."""
    if not entry:
        return "–"
    numbers = [amount(value, unit, bare=True) for value in (entry.mean, entry.sd) if value is not None]
    return " ± ".join(numbers)


def difference(entry: Paired | None, unit: str) -> str:
    """ "−14.1 ± 2.8" (percentage points, standard error), with a sign."""
    if not entry:
        return "–"
    shown = amount(entry.mean, unit, signed=True, bare=True)
    return shown if entry.se is None else f"{shown} ± {amount(entry.se, unit, bare=True)}"


def interval_text(entry: Level | PartLevel | None, unit: str) -> str:
    if not entry or not entry.interval:
        return ""
    low, high = (amount(value, unit, bare=True) for value in entry.interval)
    return f"{low} to {high}" if low.startswith("−") else f"{low}–{high}"


def shows_labels(report: Report) -> bool:
    """Whether it is known of any arm which labels it used; else a column of them says nothing."""
    return any(arm.labels_used is not None for arm in report.arms)


def shows_seconds(report: Report) -> bool:
    return any(arm.seconds is not None for arm in report.arms)


def table_notes(report: Report) -> list[str]:
    """The notes below the table of arms: settings that most arms share, and the meaning of the columns on labels and time."""
    notes = [f"Unless an arm says otherwise: {words}." for words in report.common_settings]
    if shows_labels(report):
        notes.append(_LABELS_NOTE)
    if shows_seconds(report):
        devices = sorted({device for arm in report.arms for device in arm.devices})
        where = f" Devices differ ({', '.join(devices)}), so the times differ too." if len(devices) > 1 else ""
        notes.append(f"{_TIME_NOTE}{where}")
    return notes
