"""The rules of the paper: what share goes, of what, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError, UsageError
from spurcli.registry import near
from spurcli.selection import Codes, count_codes, select_hardest


@dataclass(frozen=True)
class Rule:
    """What to remove.

    `fraction` is an exact decimal, always what is **removed**: floor(fraction · n) of the whole set, of each class
    (`per` = class) or of each of the named `groups` (`per` = group). `select` is hardest, easiest, random, or a
    slice (start, stop) of the order from easiest to hardest, in which case `fraction` is None. With
    `balance_classes` more of the same goes until all classes are as small as the smallest.
    """

    fraction: Fraction | None
    per: str = "all"
    select: str | tuple[int, int] = "hardest"
    groups: tuple[str, ...] = ()
    balance_classes: bool = False


def quota_of(fraction: Fraction, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(fraction · n) for each n, exactly."""
    return np.array([int(fraction * int(size)) for size in sizes], dtype=np.int64)


def group_codes(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Positions of group names, unknown ones answered with near ones."""
    for name in names:
        if name not in known:
            raise UsageError(f"Unknown group {name!r}{near(name, known)}", f"Groups: {', '.join(known)}")
    return [list(known).index(name) for name in names]


def removed_by(
    rule: Rule,
    keys: NDArray[np.uint32],
    label: Codes,
    num_classes: int,
    group: Codes | None,
    group_names: Sequence[str],
) -> NDArray[np.bool_]:
    """Mark what `rule` removes, bool [n]. `keys` uint32 [n]: larger is harder (random keys for `random`)."""
    stratum = _strata(rule, label, group, group_names)
    sizes = count_codes(stratum, int(stratum.max(initial=0)) + 1)
    if isinstance(rule.select, tuple):
        start, stop = rule.select
        if (sizes[sizes > 0] < stop).any():
            raise InputError(
                f"The slice {start}:{stop} reaches beyond {int(sizes[sizes > 0].min()):,} samples",
                "Take a smaller one, or leave out --per-class.",
            )
        above_start = np.maximum(sizes - start, 0)
        above_stop = np.maximum(sizes - stop, 0)
        return select_hardest(keys, stratum, above_start) & ~select_hardest(keys, stratum, above_stop)
    invert = rule.select == "easiest"
    quota = quota_of(rule.fraction or Fraction(0), sizes)
    removed = select_hardest(keys, stratum, quota, invert=invert)
    if rule.balance_classes:
        removed |= _balancing(removed, keys, stratum, label, num_classes, invert)
    return removed


def _strata(rule: Rule, label: Codes, group: Codes | None, group_names: Sequence[str]) -> Codes:
    """The stratum int [n] in which each sample competes; −1 where nothing is removed."""
    if rule.groups:
        if group is None:
            raise InputError(
                "The scores hold no groups, so none can be named", "Use --per-class, or score a data set with groups."
            )
        table = np.full(len(group_names), -1, dtype=group.dtype)
        sizes = count_codes(group, len(group_names))
        for number, code in enumerate(group_codes(rule.groups, group_names)):
            if not sizes[code]:
                raise InputError(f"Group {group_names[code]} has no training samples", "Leave that --group out.")
            table[code] = number
        return np.asarray(table[group])
    return label if rule.per == "class" else np.zeros(len(label), dtype=np.int16)


def _balancing(
    removed: NDArray[np.bool_],
    keys: NDArray[np.uint32],
    stratum: Codes,
    label: Codes,
    num_classes: int,
    invert: bool,
) -> NDArray[np.bool_]:
    """Mark more of the same samples until every class is as small as the smallest, or none is left to take."""
    left = count_codes(label, num_classes) - count_codes(label, num_classes, removed)
    candidates = np.where(removed | (stratum < 0), label.dtype.type(-1), label)
    available = count_codes(candidates, num_classes)
    surplus = np.minimum(left - left[left > 0].min(), available)
    return select_hardest(keys, candidates, np.maximum(surplus, 0), invert=invert)


def within_class(group: Codes, label: Codes, num_classes: int) -> Codes:
    """Strata int32 [n] of class and group, numbered without gaps: groups of a user's own file may span classes."""
    num_groups = int(group.max()) + 1
    pair = label.astype(np.int32) * np.int32(num_groups)
    pair += group
    numbers = np.cumsum(count_codes(pair, num_classes * num_groups) > 0, dtype=np.int32) - np.int32(1)
    return np.asarray(numbers[pair])


def matched_random(removed: NDArray[np.bool_], stratum: Codes, keys: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """As many samples of each stratum (class, or class and group) as `removed` takes, drawn by random `keys`."""
    return select_hardest(keys, stratum, count_codes(stratum, int(stratum.max()) + 1, removed))


def describe(rule: Rule, fraction_text: str | None) -> dict[str, Any]:
    """The rule as it stands in the header of a list."""
    select = rule.select if isinstance(rule.select, str) else f"{rule.select[0]}:{rule.select[1]}"
    return {
        "select": select,
        "fraction": fraction_text,
        "per": "group" if rule.groups else rule.per,
        "groups": list(rule.groups),
        "balance_classes": rule.balance_classes,
    }
