"""The order of metrics, and which are in the main table; by the registry, with unregistered metrics added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spurcli.evaluation.metric import RETIRED, described
from spurcli.evaluation.metrics import METRICS
from spurcli.reporting.document import Level, ShownMetric
from spurcli.reporting.values import Table, name_of

_MAX_COLUMNS = 8
WORST = "worst_group_accuracy"
_OTHERS = 100  # the column of metrics that are not registered


def order_metrics(names: Sequence[str]) -> list[str]:
    """Registered metrics in their order, then others by name."""
    known = [name for name in METRICS if name in names]
    return known + sorted(name for name in names if name not in METRICS)


def primary_metric(names: Sequence[str]) -> str | None:
    ranked = [
        (metric.first, name)
        for name, metric in METRICS.items()
        if name in names and metric.first is not None and metric.first_unless not in names
    ]
    return min(ranked)[1] if ranked else names[0] if names else None


def leading_metric(primary: str | None, arms: Sequence[Mapping[str, Level]], *, is_injected: bool) -> str | None:
    """`primary`, or worst-group accuracy where accuracy on conflict groups hides a group that is worse.

    Conflict accuracy is the headline of an injected feature, and where the conflict group is the worst group of every arm, so
    that both are one number: which of them leads can favour no arm.
    """
    if primary != "conflict_accuracy" or is_injected:
        return primary
    pairs = [(arm[primary].mean, arm[WORST].mean) for arm in arms if primary in arm and WORST in arm]
    return WORST if any(worst < conflict for conflict, worst in pairs) else primary


def main_columns(names: Sequence[str]) -> list[str]:
    """The metrics of the main table; the others are in the full table."""
    ranked = []
    for position, name in enumerate(order_metrics(names)):
        metric = METRICS.get(name)
        column = metric.column if metric else None if name in RETIRED else _OTHERS
        if column is not None and not (metric and set(metric.no_column_with) & set(names)):
            ranked.append((column, position, name))
    return order_metrics([name for _, _, name in sorted(ranked)[:_MAX_COLUMNS]])


def describe_metric(name: str, told: Table, *, main: bool = False) -> ShownMetric:
    """Label, unit ("%" for shares), direction (None where not known) and bounds, as a file told or as registered."""
    found = described(name, told)
    return ShownMetric(name, name_of(found.label), name_of(found.unit), found.lower_is_better, found.bounds, main)
