"""What pruning removed, by class, group and quartile of difficulty, averaged over the lists of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spurcli.reporting import statistics
from spurcli.reporting.values import mapping, name_of, number, rows, whole

_PARTS = {"by_class": "name", "by_group": "name", "by_quartile": "quartile"}


def removed_by(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Mean numbers and shares removed of each class, group and quartile (1 = easiest); None without summaries.

    {"num_lists", "total": {share, num_removed, num_samples}, "by_class": [{name, share, …}], "by_group": […],
    "by_quartile": […], "carriers_by_quartile": [{name, share_of_carriers}]}
    """
    known = [summary for summary in summaries if summary]
    if not known:
        return None
    result: dict[str, Any] = {
        "num_lists": len(known),
        "total": _average([mapping(summary.get("total")) for summary in known]),
    }
    for part, key in _PARTS.items():
        result[part] = _rows_of(known, part, key)
    result["carriers_by_quartile"] = _carriers(known)
    return result


def _rows_of(summaries: Sequence[Mapping[str, Any]], part: str, key: str) -> list[dict[str, Any]]:
    entries: dict[Any, list[Mapping[str, Any]]] = {}
    for summary in summaries:
        for row in rows(summary.get(part)):
            entries.setdefault(str(row.get(key, "?")), []).append(row)
    averaged = []
    for name, found in entries.items():
        average = _average(found)
        if average:  # a group without samples lost nothing and kept nothing
            averaged.append({"name": name_of(name), **average})
    return averaged


def _average(found: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    """Means over lists; the share is the mean of shares, over the lists in which there were samples."""
    counted = []
    for row in found:
        num_samples, num_removed = whole(row.get("num_samples")), whole(row.get("num_removed"))
        if num_samples and num_removed is not None and num_samples > 0:
            counted.append((num_samples, num_removed))
    if not counted:
        return None
    return {
        "share": statistics.mean([num_removed / num_samples for num_samples, num_removed in counted]),
        "num_samples": statistics.mean([num_samples for num_samples, _ in counted]),
        "num_removed": statistics.mean([num_removed for _, num_removed in counted]),
    }


def _carriers(summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    shares: dict[str, list[float]] = {}
    for summary in summaries:
        for row in rows(summary.get("carriers_by_quartile")):
            share = number(row.get("share_of_carriers"))
            if share is not None:
                shares.setdefault(str(row.get("quartile", "?")), []).append(share)
    return [{"name": name_of(name), "share_of_carriers": statistics.mean(found)} for name, found in shares.items()]
