"""What pruning removed, by class, group and quartile of difficulty, averaged over the lists of an arm."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting import statistics
from spurcli.reporting.document import CarrierShare, Removal, Removed, RemovedPart
from spurcli.reporting.values import Table, mapping, name_of, number, rows, whole


def removed_by(summaries: Sequence[Table]) -> Removed | None:
    """Mean numbers and shares removed of each class, group and quartile (1 = easiest); None without summaries."""
    known = [summary for summary in summaries if summary]
    if not known:
        return None
    return Removed(
        num_lists=len(known),
        total=_average([mapping(summary.get("total")) for summary in known]),
        by_class=_rows_of(known, "by_class", "name"),
        by_group=_rows_of(known, "by_group", "name"),
        by_quartile=_rows_of(known, "by_quartile", "quartile"),
        carriers_by_quartile=_carriers(known),
    )


def _rows_of(summaries: Sequence[Table], part: str, key: str) -> list[RemovedPart]:
    entries: dict[str, list[Table]] = {}
    for summary in summaries:
        for row in rows(summary.get(part)):
            entries.setdefault(str(row.get(key, "?")), []).append(row)
    averaged = []
    for name, found in entries.items():
        average = _average(found)
        if average:  # a group without samples lost nothing and kept nothing
            averaged.append(RemovedPart(average.share, average.num_samples, average.num_removed, name_of(name)))
    return averaged


def _average(found: Sequence[Table]) -> Removal | None:
    """Means over lists; the share is the mean of shares, over the lists in which there were samples."""
    counted = []
    for row in found:
        num_samples, num_removed = whole(row.get("num_samples")), whole(row.get("num_removed"))
        if num_samples and num_removed is not None and num_samples > 0:
            counted.append((num_samples, num_removed))
    if not counted:
        return None
    return Removal(
        share=statistics.mean([num_removed / num_samples for num_samples, num_removed in counted]),
        num_samples=statistics.mean([num_samples for num_samples, _ in counted]),
        num_removed=statistics.mean([num_removed for _, num_removed in counted]),
    )


def _carriers(summaries: Sequence[Table]) -> list[CarrierShare]:
    shares: dict[str, list[float]] = {}
    for summary in summaries:
        for row in rows(summary.get("carriers_by_quartile")):
            share = number(row.get("share_of_carriers"))
            if share is not None:
                shares.setdefault(str(row.get("quartile", "?")), []).append(share)
    return [CarrierShare(name_of(name), statistics.mean(found)) for name, found in shares.items()]
