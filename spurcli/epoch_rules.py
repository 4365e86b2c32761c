"""By which rules the epoch of a training is chosen: the one table that settings, training, reports and help read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spurcli.artifacts.records import EpochRecord

LAST = "last"


@dataclass(frozen=True)
class EpochRule:
    """A rule: `value` of a finished epoch's row; the epoch with the highest is chosen, the first of equal ones.

    A value of None is never chosen. `metric` names what the rule looks at, and `reads_labels`, `reads_groups` say
    which annotations of the validation split it uses.
    """

    label: str
    summary: str
    value: Callable[[EpochRecord], float | None]
    metric: str = ""
    reads_labels: bool = False
    reads_groups: bool = False


def _of_val(metric: str, sign: int = 1) -> Callable[[EpochRecord], float | None]:
    """A metric of the validation split; `sign` −1 where lower is better."""

    def value(row: EpochRecord) -> float | None:
        found = row["evaluations"]["val"].get(metric)
        return None if found is None else sign * found

    return value


# In the order in which a report speaks of them.
RULES: dict[str, EpochRule] = {
    LAST: EpochRule("last epoch", "The last epoch", lambda row: row["epoch"]),
    "best-val-mean": EpochRule(
        "best val mean",
        "The highest accuracy on the validation split",
        _of_val("accuracy"),
        metric="accuracy",
        reads_labels=True,
    ),
    "best-val-worst-group": EpochRule(
        "best val worst group",
        "The highest worst-group accuracy on the validation split",
        _of_val("worst_group_accuracy"),
        metric="worst_group_accuracy",
        reads_labels=True,
        reads_groups=True,
    ),
}
