"""What things are called: metrics, their direction and unit; pruning rules; numbers as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from spurcli.reporting.values import name_of, text

ArmKind = Literal["all", "hardest", "random", "easiest", "slice", "other"]

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
_INJECTED_COLUMNS = (
    "spurious_misclassification",
    "spurious_misclassification_without",
    "spurious_misclassification_all",
    "spurious_misclassification_reverse",
    "conflict_accuracy",
    "worst_group_accuracy",
    "auroc_with_feature",
    "accuracy",
)
_GROUP_COLUMNS = (
    "conflict_accuracy",
    "worst_group_accuracy",
    "adjusted_mean_accuracy",
    "auroc_with_feature",
    "auroc_without_feature",
    "accuracy",
)


def order_metrics(names: Sequence[str]) -> list[str]:
    """Known metrics in the order above, then others by name."""
    known = [name for name in METRIC_LABELS if name in names]
    return known + sorted(name for name in names if name not in METRIC_LABELS)


def primary_metric(names: Sequence[str]) -> str | None:
    return next((name for name in _PRIMARY if name in names), names[0] if names else None)


def main_columns(names: Sequence[str]) -> list[str]:
    """The metrics of the main table; the others stand in the full one."""
    wanted = _INJECTED_COLUMNS if any(name.startswith("spurious") for name in names) else _GROUP_COLUMNS
    chosen = [name for name in wanted if name in names]
    others = [name for name in names if name not in METRIC_LABELS]
    return chosen + others[: max(0, 7 - len(chosen))]


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


def percent_of_fraction(fraction: float) -> str:
    """0.3 as "30 %", 0.125 as "12.5 %"."""
    return f"{100 * fraction:.1f}".removesuffix(".0") + " %"


def fraction_of(rule: Mapping[str, Any], num_train: float | None, num_kept: float | None) -> float | None:
    """The fraction that a rule removes: as stated, else from the counts."""
    stated = rule.get("fraction")
    if isinstance(stated, str | int | float) and not isinstance(stated, bool):
        try:
            exact = Decimal(str(stated))
        except InvalidOperation:
            exact = Decimal(-1)
        if 0 <= exact <= 1:
            return float(exact)
    if num_train and num_kept is not None:
        return 1 - num_kept / num_train
    return None


def arm_kind(method: str, rule: Mapping[str, Any] | None) -> ArmKind:
    if rule is None:
        return "all" if method in ("", "erm") else "other"
    if method not in ("", "erm"):
        return "other"
    select = text(rule.get("select"))
    if select in ("hardest", "random", "easiest"):
        return select  # type: ignore[return-value]
    return "slice" if ":" in select else "other"


def arm_label(method: str, rule: Mapping[str, Any] | None, fraction: float | None) -> tuple[str, str]:
    """A label for tables, and a short one for sentences."""
    name = "ERM" if method in ("", "erm") else name_of(method)
    if rule is None:
        return f"{name}, all samples", name
    prefix = "" if name == "ERM" else f"{name}, "
    select = name_of(text(rule.get("select")))
    share = percent_of_fraction(fraction) if fraction is not None else "some"
    if not select:
        return f"{prefix}own list, {share} removed", f"{prefix}own list"
    if ":" in select:
        select = f"slice {select}"
    scope = rule_scope(rule) if text(rule.get("per")) in ("class", "group") or rule.get("quotas") else ""
    groups, where = rule.get("groups"), ""
    if isinstance(groups, list | tuple) and groups:
        shown = ", ".join(name_of(group) for group in groups[:3])
        scope = f" of {shown}" + (" …" if len(groups) > 3 else "")
        where = f" of {shown}" if len(groups) == 1 else f" of {len(groups)} groups"
        if rule.get("matched") == "class":  # drawn from whole classes, not from those groups
            return (
                f"{prefix}Random samples, per class as many as {share}{scope}",
                f"{prefix}random per class, {share}{where}",
            )
    label = f"{prefix}{select} {share}{scope} removed"
    if rule.get("matched"):
        label += ", matched counts"
    if rule.get("balance_classes") or rule.get("balance"):
        label += ", classes balanced"
    if rule.get("balance_groups"):
        label += ", groups balanced"
    return label[0].upper() + label[1:], f"{prefix}{select} {share}{where}"


def rule_scope(rule: Mapping[str, Any] | None) -> str:
    """Of what a rule's share is removed; "" for no rule, or a list that somebody else made."""
    if rule is None or not text(rule.get("select")):
        return ""
    if rule.get("quotas"):
        return " by class quotas"
    return {"class": " of each class", "group": " of each group"}.get(text(rule.get("per")), " of all samples")


def lower_first(label: str) -> str:
    """For the middle of a sentence: "Hardest 10 %" as "hardest 10 %", "ERM" as it is."""
    return label[0].lower() + label[1:] if label and not label[:2].isupper() else label
