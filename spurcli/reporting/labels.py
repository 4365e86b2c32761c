"""What metrics are called, their direction and unit, and which of them is asked first; numbers as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spurcli.reporting.values import name_of

METRIC_LABELS = {
    "spurious_misclassification": "Spurious misclassification",
    "spurious_misclassification_without": "… without the feature",
    "spurious_misclassification_all": "Spurious misclassification, all other classes",
    "spurious_misclassification_all_without": "… all other classes, without the feature",
    "spurious_misclassification_reverse": "… the other way round",
    "conflict_accuracy": "Conflict accuracy",
    "worst_conflict_accuracy": "Conflict accuracy, worst group",
    "worst_group_accuracy": "Worst-group accuracy",
    "adjusted_mean_accuracy": "Adjusted mean accuracy",
    "accuracy": "Accuracy",
    "class_mean_accuracy": "Mean of class accuracies",
    "auroc_with_feature": "AUROC with the feature",
    "auroc_without_feature": "AUROC without the feature",
}
# What is asked first; the first of these that is there is the metric the verdict speaks about.
_PRIMARY = (
    "spurious_misclassification",
    "spurious_misclassification_all",
    "conflict_accuracy",
    "worst_group_accuracy",
    "accuracy",
)
# Where there are several conflict groups: all of them together is mostly the largest, so the worst group comes first.
_SEVERAL_CONFLICT_GROUPS = "worst_conflict_accuracy"
_MAX_COLUMNS = 7
_INJECTED_COLUMNS = (
    "spurious_misclassification",
    "spurious_misclassification_without",
    "spurious_misclassification_all",
    "spurious_misclassification_reverse",
    "worst_group_accuracy",
    "conflict_accuracy",
    "adjusted_mean_accuracy",
    "accuracy",
    "auroc_with_feature",
)
_GROUP_COLUMNS = (
    "worst_group_accuracy",
    "conflict_accuracy",
    "adjusted_mean_accuracy",
    "accuracy",
    "auroc_with_feature",
    "auroc_without_feature",
)


def order_metrics(names: Sequence[str]) -> list[str]:
    """Known metrics in the order above, then others by name."""
    known = [name for name in METRIC_LABELS if name in names]
    return known + sorted(name for name in names if name not in METRIC_LABELS)


def primary_metric(names: Sequence[str]) -> str | None:
    hidden = "conflict_accuracy" if _SEVERAL_CONFLICT_GROUPS in names else ""
    return next((name for name in _PRIMARY if name in names and name != hidden), names[0] if names else None)


def main_columns(names: Sequence[str]) -> list[str]:
    """The metrics of the main table; the others stand in the full one."""
    wanted = _INJECTED_COLUMNS if any(name.startswith("spurious") for name in names) else _GROUP_COLUMNS
    chosen = [name for name in wanted if name in names]
    if len(chosen) > _MAX_COLUMNS:  # of one class rather than of all others together
        chosen = [name for name in chosen if name != "spurious_misclassification_all"]
    others = [name for name in names if name not in METRIC_LABELS]
    return chosen + others[: max(0, _MAX_COLUMNS - len(chosen))]


def describe_metric(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Label, unit ("%" for shares, "" for plain numbers) and direction (None where not known)."""
    is_share = not name.startswith("auroc") and all(0 <= value <= 1 for value in values)
    lower: bool | None = None
    if "misclassification" in name or "error" in name or "loss" in name:
        lower = True
    elif name in METRIC_LABELS or "accuracy" in name or name.startswith("auroc"):
        lower = False
    label = METRIC_LABELS.get(name) or name_of(name).replace("_", " ").capitalize()
    return {"name": name, "label": label, "unit": "%" if is_share else "", "lower_is_better": lower}


def amount(value: float | None, unit: str, *, signed: bool = False, bare: bool = False) -> str:
    """A metric's value: 0.253 as "25.3 %", an AUROC as "0.953"; `bare` leaves the unit out."""
    if value is None:
        return "–"
    shown = f"{100 * value:.1f}" if unit == "%" else f"{value:.3f}"
    if float(shown) == 0:
        shown = shown.lstrip("-")
    sign = "+" if signed and float(shown) > 0 else ""
    return sign + shown.replace("-", "−") + (" %" if unit == "%" and not bare else "")
