"""What a list removes, by class, group and difficulty quartile, and what in it deserves a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.groups import carrier_groups, conflict_groups
from spurcli.pruning.select import select_hardest


def summarise(
    removed: NDArray[np.bool_],
    keys: NDArray[np.uint32],
    label: NDArray[np.int32],
    class_names: Sequence[str],
    group: NDArray[np.int32] | None,
    group_names: Sequence[str],
) -> dict[str, Any]:
    """Counts for the list's header. Quartile 1 is the easiest; quartiles are taken within each class."""
    quartile = quartiles(keys, label, len(class_names))
    summary: dict[str, Any] = {
        "total": {"num_samples": len(removed), "num_removed": int(removed.sum())},
        "by_class": _counts(label, removed, class_names),
        "quartiles_of": "class",
        "by_quartile": [
            {"quartile": number + 1, **{key: row[key] for key in ("num_samples", "num_removed")}}
            for number, row in enumerate(_counts(quartile, removed, ("1", "2", "3", "4")))
        ],
        "by_group": None,
        "carriers_by_quartile": None,
    }
    if group is not None:
        summary["by_group"] = _counts(group, removed, group_names)
        counts = np.bincount(group, minlength=len(group_names))
        carriers = np.isin(group, carrier_groups(counts, len(class_names)))
        total = int(carriers.sum())
        if total:
            summary["carriers_by_quartile"] = [
                {
                    "quartile": number + 1,
                    "num_samples": int((quartile == number).sum()),
                    "num_carriers": (count := int(carriers[quartile == number].sum())),
                    "share_of_carriers": count / total,
                }
                for number in range(4)
            ]
    return summary


def warnings_of(summary: dict[str, Any], num_classes: int, group_names: Sequence[str]) -> list[str]:
    """Classes that vanish, and groups known to conflict with the feature that lose more than their share."""
    found = []
    for row in summary["by_class"]:
        if row["num_samples"] and row["num_samples"] == row["num_removed"]:
            found.append(f"Class {row['name']} loses all its samples")
    rows = summary["by_group"]
    if not rows:
        return found
    counts = np.array([row["num_samples"] for row in rows], dtype=np.int64)
    share = summary["total"]["num_removed"] / summary["total"]["num_samples"]
    for code in conflict_groups(counts, num_classes):
        row = rows[code]
        mine = row["num_removed"] / row["num_samples"] if row["num_samples"] else 0.0
        if mine > 1.5 * share:
            found.append(
                f"Group {group_names[code]} works against the spurious feature and loses {mine:.0%} of its samples "
                f"(all: {share:.0%}). The feature is strong here: prune within the groups that carry it (--group)"
            )
    return found


def quartiles(keys: NDArray[np.uint32], label: NDArray[np.int32], num_classes: int) -> NDArray[np.int8]:
    """Difficulty quartile 0 (easiest) … 3 of each sample within its class, int8 [n]."""
    sizes = np.bincount(label, minlength=num_classes)
    quartile = np.zeros(len(keys), dtype=np.int8)
    for part in (1, 2, 3):
        quartile += select_hardest(keys, label, sizes * part // 4)
    return quartile


def _counts(codes: NDArray[Any], removed: NDArray[np.bool_], names: Sequence[str]) -> list[dict[str, Any]]:
    total = np.bincount(codes, minlength=len(names))
    gone = np.bincount(codes[removed], minlength=len(names))
    return [
        {"name": name, "num_samples": int(total[number]), "num_removed": int(gone[number])}
        for number, name in enumerate(names)
    ]
