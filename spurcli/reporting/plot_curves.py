"""Training curves: loss and accuracy on the training samples, and the evaluations after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spurcli.reporting import statistics
from spurcli.reporting.document import Report, RunEntry, ShownMetric
from spurcli.reporting.drawing import Figure, Panel, Style, scaled, share_axis, spoken
from spurcli.reporting.labels import describe_metric, order_metrics
from spurcli.reporting.values import Table, mapping, number, whole
from spurcli.words import PERCENT, amount

_MAX_ARMS = 8
_MAX_EVALUATED = 4
_MAX_POINTS = 20_000  # thin lines of single seeds; above this only the means are drawn


@dataclass(frozen=True)
class _Curve:
    """One quantity of one run by epoch."""

    arm: int
    seed: int | None
    points: dict[int, float]


def curves(report: Report, styles: Sequence[Style]) -> Figure | None:
    """One panel per quantity; None without histories."""
    runs = _trained_once(report.runs)
    quantities: dict[tuple[str, str], list[_Curve]] = {}
    for run in runs:
        for key, points in _points(run.epochs).items():
            quantities.setdefault(key, []).append(_Curve(run.arm, run.seed, points))
    arms = sorted({run.arm for run in runs})
    shown = arms[:_MAX_ARMS]
    panels, rows = [], []
    for (split, name), label, unit in _chosen(quantities, {metric.name: metric for metric in report.metrics}):
        found = quantities[split, name]
        title = f"{label}, {_words(split)}"
        about = spoken(filter(None, (_in_words(found, arm, styles[arm], unit) for arm in shown)))
        panels.append(
            Panel(f"{split}-{name}", _lines(found, styles, shown, title, unit), title=f"{title}, by epoch", about=about)
        )
        rows += [
            (split, name, report.arms[curve.arm].label, curve.seed, epoch, value)
            for curve in found
            for epoch, value in curve.points.items()
        ]
    if not panels:
        return None
    several = len(runs) > len(arms)
    seeds = "Thin lines are single seeds, the thick line is their mean. " if several else ""
    hidden = f" The first {_MAX_ARMS} of {len(arms)} arms." if len(arms) > _MAX_ARMS else ""
    return Figure(
        name="curves",
        heading="Training curves",
        caption=f"{seeds}Training loss and accuracy are those of the "
        f"samples an arm was trained on, so pruned arms look easier.{hidden}",
        panels=panels,
        columns=("of", "quantity", "arm", "seed", "epoch", "value"),
        data=rows,
        legend=[styles[arm] for arm in shown],
    )


def _trained_once(runs: Sequence[RunEntry]) -> list[RunEntry]:
    """Runs with a history, each training once even if several splits or epochs were evaluated."""
    seen, chosen = set(), []
    for run in runs:
        key = run.history or run.name
        if run.epochs and key not in seen:
            seen.add(key)
            chosen.append(run)
    return chosen


def _points(epochs: Sequence[Table]) -> dict[tuple[str, str], dict[int, float]]:
    """(split or "training", quantity) → epoch → value."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for position, record in enumerate(epochs):
        epoch = whole(record.get("epoch"))
        at = epoch if epoch is not None else position + 1
        values: dict[tuple[str, str], Any] = {("training", name): record.get(name) for name in ("loss", "accuracy")}
        for split, metrics in mapping(record.get("evaluations")).items():
            values |= {(str(split), name): value for name, value in mapping(metrics).items()}
        for key, value in values.items():
            plain = number(value)
            if plain is not None:
                found.setdefault(key, {})[at] = plain
    return found


def _chosen(
    quantities: Mapping[tuple[str, str], Sequence[_Curve]], known: Mapping[str, ShownMetric]
) -> list[tuple[tuple[str, str], str, str]]:
    """The quantities with a panel: training loss and accuracy, then the first evaluated metrics. (key, label, unit)

    `known` are the metrics that evaluations describe, because a history holds values only.
    """
    chosen = [(("training", "loss"), "Loss", "nats"), (("training", "accuracy"), "Accuracy", PERCENT)]
    chosen = [item for item in chosen if item[0] in quantities]
    for split in dict.fromkeys(split for split, _ in quantities if split != "training"):
        names = order_metrics([name for other, name in quantities if other == split])
        for name in [name for name in names if not name.endswith("_without")][:_MAX_EVALUATED]:
            metric = known.get(name) or describe_metric(name, {})
            chosen.append(((split, name), metric.label, metric.unit))
    return chosen


def _in_words(found: Sequence[_Curve], arm: int, style: Style, unit: str) -> str:
    """The mean of an arm's curves at its first and last epoch; "" if it has none."""
    mine = [curve.points for curve in found if curve.arm == arm]
    if not mine:
        return ""
    ends = sorted({end for points in mine for end in (min(points), max(points))})
    at = [
        f"{amount(statistics.mean([points[epoch] for points in mine if epoch in points]), unit)} after epoch {epoch}"
        for epoch in dict.fromkeys((ends[0], ends[-1]))
    ]
    return f"{style.label}: {', '.join(at)}"


def _words(split: str) -> str:
    return "training samples" if split == "training" else f"{split} split"


def _lines(found: Sequence[_Curve], styles: Sequence[Style], shown: Sequence[int], title: str, unit: str) -> Any:
    single = sum(len(curve.points) for curve in found) <= _MAX_POINTS

    def draw(axes: Any) -> None:
        seen: list[float] = []
        for arm in shown:
            mine, style = [curve for curve in found if curve.arm == arm], styles[arm]
            for curve in mine if single and len(mine) > 1 else ():
                values = [scaled(value, unit) for value in curve.points.values()]
                axes.plot(list(curve.points), values, color=style.color, linewidth=0.6, alpha=0.35)
                seen += values
            epochs = sorted({epoch for curve in mine for epoch in curve.points})
            means = [
                scaled(statistics.mean([curve.points[epoch] for curve in mine if epoch in curve.points]), unit)
                for epoch in epochs
            ]
            axes.plot(epochs, means, color=style.color, linestyle=style.dashes, marker="o" * (len(epochs) == 1))
            seen += means
        share_axis(axes.set_ylim, seen, unit=unit)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
        axes.set_title(title)
        axes.set_xlabel("epochs completed")
        axes.set_ylabel(unit or "value")

    return draw
