"""What a list removes, by class, group and difficulty quartile, and what in it deserves a warning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.records import CarriersOfQuartile, RemovalSummary, RemovedOfName
from spurcli.groups import aligned_groups, carrier_groups, conflict_groups, named
from spurcli.pruning.rules import Rule
from spurcli.pruning.samples import KnownGroups
from spurcli.selection import Codes, count_codes
from spurcli.words import counted, listed

_MAX_NAMES = 10
_CHANCE = 0.01  # that a random draw of as many samples hits one class alone; more is no reason for a warning


def summarise(
    removed: NDArray[np.bool_],
    quartile: NDArray[np.int8] | None,
    label: Codes,
    class_names: Sequence[str],
    groups: KnownGroups,
) -> RemovalSummary:
    """Counts for the list's header. `quartile` is that of `quartiles`, None if difficulty is not known; in the header 1 is the easiest."""
    by_quartile = _counts(quartile, removed, ("1", "2", "3", "4")) if quartile is not None else []
    summary: RemovalSummary = {
        "total": {"num_samples": len(removed), "num_removed": int(removed.sum())},
        "by_class": _counts(label, removed, class_names),
        "quartiles_of": "class",
        "by_quartile": [
            {"quartile": number + 1, "num_samples": row["num_samples"], "num_removed": row["num_removed"]}
            for number, row in enumerate(by_quartile)
        ],
        "by_group": None,
        "carriers_by_quartile": None,
    }
    if groups.codes is not None:
        summary["by_group"] = rows = _counts(groups.codes, removed, groups.names)
        if groups.is_crossed and quartile is not None:
            counts = np.array([row["num_samples"] for row in rows], dtype=np.int64)
            codes = carrier_groups(counts, len(class_names))
            summary["carriers_by_quartile"] = _carriers_by_quartile(quartile, groups.codes, codes, len(groups.names))
    return summary


def _carriers_by_quartile(
    quartile: NDArray[np.int8], group: Codes, carriers: Sequence[int], num_groups: int
) -> list[CarriersOfQuartile] | None:
    """How the carriers of the classes' spurious features spread over the quartiles of difficulty; None if no feature is known."""
    if not carriers:
        return None
    counts = np.array([count_codes(group, num_groups, quartile == number) for number in range(4)])
    held = counts[:, carriers].sum(axis=1)
    return [
        {
            "quartile": number + 1,
            "num_samples": int(counts[number].sum()),
            "num_carriers": int(held[number]),
            "share_of_carriers": float(held[number] / held.sum()),
        }
        for number in range(4)
    ]


def unbalanced(summary: RemovalSummary) -> list[str]:
    """Groups that a balance leaves out, because they have no samples to keep."""
    empty = [row["name"] for row in summary["by_group"] or [] if not row["num_samples"]]
    gone = [row["name"] for row in summary["by_group"] or [] if 0 < row["num_samples"] == row["num_removed"]]
    shown = ", ".join(empty[:_MAX_NAMES]) + (
        f" and {len(empty) - _MAX_NAMES:,} more" if len(empty) > _MAX_NAMES else ""
    )
    found = [f"Not balanced, because they have no training samples: {shown}"] if empty else []
    return [*found, *[f"Group {name} loses all its samples, so the others are balanced without it" for name in gone]]


def one_class(summary: RemovalSummary, rule: Rule) -> list[str]:
    """That a rule over all samples takes from one class of several alone, by more than chance."""
    removed = [row for row in summary["by_class"] if row["num_removed"]]
    if rule.per != "all" or rule.groups or rule.balance or rule.recall or len(removed) != 1:
        return []
    (row,) = removed
    if (row["num_samples"] / summary["total"]["num_samples"]) ** row["num_removed"] > _CHANCE:
        return []
    return [
        f"All {counted(row['num_removed'], 'removed sample')} are of class {row['name']}; --per-class removes from each"
    ]


def warnings_of(summary: RemovalSummary, class_names: Sequence[str], groups: KnownGroups) -> list[str]:
    """Classes that vanish, and groups known to conflict with the feature that lose more than their share.

    More means beyond two standard deviations of a random draw, so that a random control gives no alarm.
    """
    found = []
    if not summary["total"]["num_removed"]:
        found.append("Nothing is removed: the share of each class or group is below one sample")
    for row in summary["by_class"]:
        if row["num_samples"] and row["num_samples"] == row["num_removed"]:
            found.append(f"Class {row['name']} loses all its samples")
    rows = summary["by_group"]
    if not rows or not groups.is_crossed:
        return found
    counts = np.array([row["num_samples"] for row in rows], dtype=np.int64)
    share = summary["total"]["num_removed"] / summary["total"]["num_samples"]
    lost = []
    for code in conflict_groups(counts, len(class_names)):
        row = rows[code]
        size, gone = row["num_samples"], row["num_removed"]
        if gone > size * share + 2 * (size * share * (1 - share)) ** 0.5:
            lost.append((str(row["name"]), f"{gone / size:.0%}"))
    if lost:
        names, shares = (listed(column) for column in zip(*lost, strict=True))
        aligned = listed(named(aligned_groups(counts, len(class_names)), groups.names))
        found.append(
            f"{f'Group {names} works' if len(lost) == 1 else f'Groups {names} work'} against the spurious feature and "
            f"{f'loses {shares} of its' if len(lost) == 1 else f'lose {shares} of their'} samples (all: {share:.0%}). "
            f"Prune inside the groups that carry their class's feature, {aligned}: --group auto"
        )
    return found


def _counts(codes: Codes, removed: NDArray[np.bool_], names: Sequence[str]) -> list[RemovedOfName]:
    total, gone = count_codes(codes, len(names)), count_codes(codes, len(names), removed)
    return [
        {"name": name, "num_samples": int(total[number]), "num_removed": int(gone[number])}
        for number, name in enumerate(names)
    ]
