"""Small tables on stderr. Names are Text, not markup: a class called "[bold]" is a name, not a style."""

from __future__ import annotations

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.evaluation import is_unsplit
from spurcli.artifacts.records import Removed
from spurcli.cli.console import console, say
from spurcli.evaluation.metrics import METRICS
from spurcli.results import InferResult, PruneResult
from spurcli.words import PERCENT, amount, counted, listed

_MAX_ROWS = 20
_MAX_COLUMNS = 10


def removed_table(result: PruneResult) -> None:
    """What a list removes by class, or by group where groups are known, and by difficulty quartile."""
    summary = result["summary"]
    rows = summary["by_group"] or summary["by_class"]
    table = Table(box=SIMPLE, title_justify="left", title="Removed")
    table.add_column("group" if summary["by_group"] else "class")
    for name in ("samples", "removed", "share"):
        table.add_column(name, justify="right")
    for row in rows[:_MAX_ROWS]:
        _add(table, row["name"], row)
    if len(rows) > _MAX_ROWS:
        table.add_row(f"… {len(rows) - _MAX_ROWS} more", "", "", "")
    table.add_section()
    names = {1: "easiest quarter", 2: "second", 3: "third", 4: "hardest quarter"}
    for quarter in summary["by_quartile"]:
        _add(table, names[quarter["quartile"]], quarter)
    console().print(table)


def _add(table: Table, name: str, row: Removed) -> None:
    if row["num_samples"]:
        share = row["num_removed"] / row["num_samples"]
        table.add_row(Text(name), f"{row['num_samples']:,}", f"{row['num_removed']:,}", f"{share:.1%}")


def inferred_table(result: InferResult) -> None:
    """How many samples of each true group (or class) have each attribute that was inferred."""
    rows = [row for row in result["counts"] if any(row["counts"].values())]
    names = list(result["counts"][0]["counts"])
    table = Table(box=SIMPLE, title_justify="left", title=Text(f"Inferred: {result['by']}"))
    table.add_column(result["rows"])
    for name in names[:_MAX_COLUMNS]:
        table.add_column(Text(name), justify="right")
    for row in rows[:_MAX_ROWS]:
        table.add_row(Text(row["name"]), *(f"{row['counts'][name]:,}" for name in names[:_MAX_COLUMNS]))
    console().print(table)
    hidden = [counted(len(rows) - _MAX_ROWS, "more row")] if len(rows) > _MAX_ROWS else []
    hidden += [counted(len(names) - _MAX_COLUMNS, "more column")] if len(names) > _MAX_COLUMNS else []
    if hidden:
        say(f"… {' and '.join(hidden)}: --json shows all")


def metrics_table(result: JsonObject) -> None:
    """The metrics of an evaluation, then accuracy per group (or class)."""
    samples = counted(result["num_samples"], "sample")
    title = f"All {samples}" if is_unsplit(result) else f"Split {result['split']}, {samples}"
    table = Table(box=SIMPLE, title_justify="left", title=Text(title))
    table.add_column("metric")
    for name in ("value", "95 % interval", "samples"):
        table.add_column(name, justify="right")
    leaning = {name for name in result["metrics"] if name in METRICS and "feature" in METRICS[name].needs}
    for name, metric in result["metrics"].items():
        if name not in leaning:
            detail = _detail(metric)
            _metric(table, name.replace("_", " ") + (f" ({detail})" if detail else ""), metric, metric["unit"])
    table.add_section()
    key = "group" if result["per_group"] else "class"
    rows = [row for row in result["per_group"] or result["per_class"] if row["accuracy"]["num_samples"]]
    for row in rows[:_MAX_ROWS]:
        _metric(table, row[key], row["accuracy"], PERCENT)
    console().print(table)
    if leaning:
        _reliance_table({name: entry for name, entry in result["metrics"].items() if name in leaning})
        several = [record for record in result["features"] if record["against"] is None]
        for record in several[1:] and several:
            _say_record(record)
    elif result.get("no_features") and result["per_group"]:
        say(f"Reliance is not measured: {result['no_features']}")


def _reliance_table(metrics: dict[str, JsonObject]) -> None:
    """How far the model leans on the feature, and below why something is undefined."""
    about = next(iter(metrics.values()))
    title = Text(f"Reliance on {about.get('feature', 'the feature')}, the feature of {about.get('of', 'its class')}")
    table = Table(box=SIMPLE, title_justify="left", title=title)
    table.add_column("measure")
    for name in ("value", "95 % interval", "samples"):
        table.add_column(name, justify="right")
    reasons: dict[str, list[str]] = {}
    for name, entry in metrics.items():
        label = name.replace("spurious_misclassification", "SM").replace("_", " ")
        label = label.replace("auroc", "AUROC").replace("bpsn", "BPSN").replace("bnsp", "BNSP")
        if entry["value"] is None:
            reasons.setdefault(entry["reason"], []).append(label)
        _metric(table, label, entry, entry["unit"])
    console().print(table)
    for reason, labels in reasons.items():
        say(f"Undefined ({', '.join(labels)}): {reason}")


def _say_record(record: JsonObject) -> None:
    """One line for each of several features; `record` is that of evaluation.json."""
    values = [(name, record["metrics"][name]["value"]) for name in ("feature_effect", "probit_gap", "background_auroc")]
    shown = ", ".join(f"{name.replace('_', ' ')} {amount(value, '')}" for name, value in values)
    note = f" ({record['note']})" if record["note"] else ""
    say(f"{record['feature']}, of {' and '.join(record['classes'])}: {shown}{note}")


def _detail(metric: JsonObject) -> str:
    """What a metric is about: a group, some groups, an attribute, or which class is taken for which."""
    if "true" in metric:
        return f"{metric['true']} → {metric['predicted']}"
    if "feature" in metric:
        return str(metric["feature"])
    groups = metric.get("groups", [])
    if "group" in metric:
        return f"lowest: {metric['group']}"
    return listed(groups) if len(groups) <= 2 else f"{len(groups)} groups"


def _metric(table: Table, name: str, metric: JsonObject, unit: str) -> None:
    bound = f"{metric['bound']} " if metric.get("bound") else ""
    value = "undefined" if metric["value"] is None else bound + amount(metric["value"], unit)
    interval = metric.get("interval")
    bounds = " … ".join(amount(end, unit) for end in interval) if interval and metric["value"] is not None else ""
    table.add_row(Text(name), value, bounds, f"{metric['num_samples']:,}")
