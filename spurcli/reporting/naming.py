"""The names of arms: method, pruning rule, and other differences."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from spurcli.epoch_rules import RULES
from spurcli.registries import METHODS
from spurcli.reporting.values import Table, name_of, text
from spurcli.words import counted

ArmKind = Literal["all", "hardest", "random", "easiest", "slice", "other"]

# How an epoch was chosen, in the order of a report.
SELECTIONS = {**{name: rule.label for name, rule in RULES.items()}, "": "epoch chosen elsewhere"}
_BALANCED = {"balance_classes": "classes balanced", "balance": "classes balanced", "balance_groups": "groups balanced"}
# In place of a split: every row of a table of predictions that has no column of splits.
NO_SPLIT = "all samples"
# What `labels_used` calls labels that came with the data; scores.h5 holds those of the data set that was scored.
_REAL = ("data set", "scores")


def selection_words(selection: str) -> str:
    return SELECTIONS.get(selection) or name_of(selection)


def split_words(split: str) -> str:
    return split if split == NO_SPLIT else f"{split} split" if split else "not evaluated"


def grouping_words(grouping: str) -> str:
    """ "by hospital": what groups are made of beside the class (`arm_key.grouping_of`)."""
    return f"by {grouping}" if grouping else "groups of the data set, or none"


def setting_words(key: str, value: Any) -> str:
    """ "15 epochs", "learning rate 0.001", "no flip"; the key may be dotted."""
    words = name_of(key.rpartition(".")[2].replace("_", " "))
    if words == "epochs":
        return counted(value, "epoch") if isinstance(value, int) else f"{name_of(value)} epochs"
    if isinstance(value, bool) or value in (None, "", [], ()):
        return words if value is True else f"no {words}"
    if isinstance(value, list | tuple):
        return f"{words} {name_of(', '.join(map(str, value)))}"
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {name_of(value)}"


def group_labels(labels_used: Table | None) -> str:
    """Which group labels led to a model: "none", "train", "val", "train and val", and what replaced them.

    Replacements are inferred groups or errors ("inferred: mistakes"), or a file of unknown origin ("file").
    """
    if labels_used is None:
        return "unknown"
    sources = {key: text(source).split(", ") for key, source in labels_used.items() if text(source)}
    training = [source for key in ("pruning_groups", "training_groups", "errors") for source in sources.get(key, ())]
    val = sources.get("val_groups", [])
    real = [split for split, found in (("train", training), ("val", val)) if set(found) & set(_REAL)]
    instead = [name_of(source) for source in [*training, *val] if source not in _REAL]
    return "; ".join(filter(None, [" and ".join(real), *dict.fromkeys(instead)])) or "none"


def method_name(method: str) -> str:
    """A registered method by the name of its class, "GroupDRO" as "Group DRO"; any other as it is."""
    if method in METHODS:
        return re.sub(r"(?<=[a-z])(?=[A-Z]{2})", " ", METHODS.entries[method].target.rpartition(":")[2])
    return name_of(method) or "Unknown method"


def percent_of_fraction(fraction: float) -> str:
    """0.3 as "30 %", 0.125 as "12.5 %"."""
    return f"{100 * fraction:.1f}".removesuffix(".0") + " %"


def fraction_of(rule: Table, num_train: float | None, num_kept: float | None) -> float | None:
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


def arm_kind(method: str, rule: Table | None) -> ArmKind:
    if rule is None:
        return "all" if method == "erm" else "other"
    if method != "erm":
        return "other"
    select = text(rule.get("select"))
    if select in ("hardest", "random", "easiest"):
        return select  # type: ignore[return-value]
    return "slice" if ":" in select else "other"


def arm_label(method: str, rule: Table | None, fraction: float | None, training_groups: str = "") -> tuple[str, str]:
    """A label for tables, and a short one for sentences; `training_groups` says where the groups came from."""
    name = method_name(method)
    if training_groups not in ("", *_REAL):
        way = re.fullmatch(r"inferred: (\w+)", training_groups)
        name += f" on inferred groups ({way[1]})" if way else f" on groups of: {name_of(training_groups)}"
    if rule is None:
        return (f"{name}, all samples" if name == "ERM" else name), name
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
        share = "all" if fraction == 1 else share
        if rule.get("matched") == "class":  # drawn from whole classes, not from those groups
            return (
                f"{prefix}Random samples, per class as many as {share}{scope}",
                f"{prefix}random per class, as many as {share}{where}",
            )
    whole = fraction == 1 and bool(where)  # of complete groups no order is left
    label = f"{prefix}all{scope} removed" if whole else f"{prefix}{select} {share}{scope} removed"
    if rule.get("matched"):
        label += ", matched counts"
    for key, words in _BALANCED.items():
        label += f", {words}" if rule.get(key) else ""
    short = f"{prefix}without all{where}" if whole else f"{prefix}{select} {share}{where}"
    return label[0].upper() + label[1:], short


def rule_scope(rule: Table | None) -> str:
    """The samples that a rule's share refers to; "" for no rule, or a list from another program."""
    if rule is None or not text(rule.get("select")):
        return ""
    if rule.get("quotas"):
        return " by class quotas"
    return {"class": " of each class", "group": " of each group"}.get(text(rule.get("per")), " of all samples")


def lower_first(label: str) -> str:
    """For the middle of a sentence: "Hardest 10 %" as "hardest 10 %", "ERM" and "CnC" as they are."""
    first = label.partition(" ")[0]
    return label if any(letter.isupper() for letter in first[1:]) else label[:1].lower() + label[1:]
