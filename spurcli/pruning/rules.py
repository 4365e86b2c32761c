"""The rules of the paper: what share is removed, from which samples, in which order."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.records import ListRule
from spurcli.errors import InputError, UsageError
from spurcli.groups import aligned_groups, named, nearly_aligned
from spurcli.pruning.quotas import kept_by_recall
from spurcli.pruning.samples import KnownGroups
from spurcli.registry import near
from spurcli.selection import Codes, count_codes, select_hardest
from spurcli.words import counted, listed

AUTO = "auto"


@dataclass(frozen=True)
class Rule:
    """What to remove.

    `fraction` is an exact decimal, always the share that is **removed**: floor(fraction · n) of the whole set, of each class
    (`per` = class) or of each of the named `groups` (`per` = group). `select` is hardest, easiest, random, or a
    slice (start, stop) of the order from easiest to hardest, in which case `fraction` is None. With `balance` more of
    the same samples are removed until all classes (`class`) or groups (`group`) are as small as the smallest non-empty one. With
    `recall` (of each class), `fraction` of the whole set is removed by class quotas (`spurcli.pruning.quotas`).
    """

    fraction: Fraction | None
    per: str = "all"
    select: str | tuple[int, int] = "hardest"
    groups: tuple[str, ...] = ()
    balance: str = ""
    recall: tuple[Fraction, ...] = ()


def quota_of(fraction: Fraction, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(fraction · n) for each n, exactly."""
    return np.array([int(fraction * int(size)) for size in sizes], dtype=np.int64)


def group_codes(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Positions of group names, for an unknown name the error suggests similar ones."""
    for name in names:
        if name not in known:
            parts = [part.strip() for part in name.split(",")]
            if len(parts) > 1 and set(parts) <= set(known):
                raise UsageError(
                    f"Unknown group {name!r}", f"Repeat the flag: {' '.join(f'--group {part}' for part in parts)}"
                )
            raise UsageError(f"Unknown group {name!r}{near(name, known)}", f"Groups: {listed(known, 30)}")
    return [list(known).index(name) for name in names]


def removed_by(
    rule: Rule,
    keys: NDArray[np.uint32],
    label: Codes,
    num_classes: int,
    groups: KnownGroups,
) -> NDArray[np.bool_]:
    """Mark what `rule` removes, bool [n]. `keys` uint32 [n]: larger is harder (random keys for `random`)."""
    stratum = _strata(rule, label, groups)
    sizes = count_codes(stratum, int(stratum.max(initial=0)) + 1)
    if isinstance(rule.select, tuple):
        start, stop = rule.select
        if (sizes[sizes > 0] < stop).any():
            raise InputError(
                f"The slice {start}:{stop} reaches beyond {counted(int(sizes[sizes > 0].min()), 'sample')}",
                "Use a smaller slice, or leave out --per-class.",
            )
        above_start = np.maximum(sizes - start, 0)
        above_stop = np.maximum(sizes - stop, 0)
        return select_hardest(keys, stratum, above_start) & ~select_hardest(keys, stratum, above_stop)
    invert = rule.select == "easiest"
    if rule.recall:
        kept = kept_by_recall(len(keys) - int((rule.fraction or 0) * len(keys)), sizes.tolist(), rule.recall)
        quota = sizes - np.array(kept, dtype=np.int64)
    else:
        quota = quota_of(rule.fraction or Fraction(0), sizes)
    removed = select_hardest(keys, stratum, quota, invert=invert)
    if rule.balance:
        codes, num_codes = label, num_classes
        if rule.balance == "group":
            codes, num_codes = groups.require(", so none can be balanced", "Use --balance-classes"), len(groups.names)
        removed |= _balancing(removed, keys, stratum, codes, num_codes, invert)
    return removed


def _strata(rule: Rule, label: Codes, groups: KnownGroups) -> Codes:
    """The stratum int [n] in which each sample competes; −1 where nothing is removed."""
    if rule.groups:
        group = groups.require(", so none can be named", "Use --per-class")
        table = np.full(len(groups.names), -1, dtype=group.dtype)
        sizes = count_codes(group, len(groups.names))
        for number, code in enumerate(group_codes(rule.groups, groups.names)):
            if not sizes[code]:
                raise InputError(f"Group {groups.names[code]} has no training samples", "Leave that --group out.")
            table[code] = number
        return np.asarray(table[group])
    return label if rule.per == "class" or rule.recall else np.zeros(len(label), dtype=np.int16)


def _balancing(
    removed: NDArray[np.bool_],
    keys: NDArray[np.uint32],
    stratum: Codes,
    codes: Codes,
    num_codes: int,
    invert: bool,
) -> NDArray[np.bool_]:
    """Mark more of the same samples until each of `codes` is as small as the smallest, or none is left to take."""
    left = count_codes(codes, num_codes) - count_codes(codes, num_codes, removed)
    candidates = np.where(removed | (stratum < 0), codes.dtype.type(-1), codes)
    available = count_codes(candidates, num_codes)
    surplus = np.minimum(left - left[left > 0].min(initial=len(codes)), available)
    return select_hardest(keys, candidates, np.maximum(surplus, 0), invert=invert)


def found_groups(asked: Sequence[str], groups: KnownGroups, num_classes: int) -> tuple[str, ...]:
    """What `--group auto` stands for: the names of the groups that carry their class's spurious feature.

    They are those that the list of groups states to be aligned, else those of `spurcli.groups.aligned_groups`.
    """
    if list(asked) != [AUTO]:
        raise UsageError("--group auto finds all groups itself", "Leave the others out, or name each.")
    group = groups.require(", so none can be found", "Use --per-class")
    counts = count_codes(group, len(groups.names))
    if groups.aligned:
        stated = tuple(name for name in groups.aligned if counts[groups.names.index(name)])
        if not stated:
            raise InputError(f"No training sample is in {listed(groups.aligned)}", "Use --per-class, or name groups.")
        return stated
    if groups.varies:
        width = len(groups.names) // num_classes
        values = [name.rpartition("/")[2] for name in groups.names[:width]]
        first = [word for name in groups.names[: 4 * width : width] for word in ("--group", name)]
        raise InputError(
            f"The attributes {listed(values)} have a different meaning in each class, so they cannot be matched to classes",
            f"Name the groups: {shlex.join(first)}{' …' if num_classes > 4 else ''}",
        )
    if not groups.is_crossed:
        raise InputError(
            "The groups are not class/attribute with the same attributes in every class, so attributes cannot be matched to classes",
            "Name them: --group NAME.",
        )
    found = aligned_groups(counts, num_classes)
    if not found:
        raise InputError("No attribute is linked to one class more than to others", "Use --per-class, or name groups.")
    return tuple(named(found, groups.names))


def doubts_about(found: Sequence[str], groups: KnownGroups, class_names: Sequence[str]) -> list[str]:
    """What `--group auto` could not be sure of: groups nearly as aligned, and classes without a feature."""
    assert groups.codes is not None
    counts, width = count_codes(groups.codes, len(groups.names)), len(groups.names) // len(class_names)
    close_ones = [] if groups.aligned else nearly_aligned(counts, len(class_names))
    doubts = [
        f"Group {groups.names[close]} is about as strongly linked to its class as {groups.names[best]}, which is pruned: if it "
        "carries the feature too, name each group with --group"
        for close, best in close_ones
    ]
    for y, name in enumerate(class_names):
        mine = groups.names[y * width : (y + 1) * width]
        if counts[y * width : (y + 1) * width].any() and not set(mine) & set(found):
            why = (
                "has no samples in its aligned group"
                if groups.aligned
                else "is not linked to one attribute more than to others"
            )
            doubts.append(f"Class {name} {why}: none of its samples is removed")
    return doubts


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


def describe(rule: Rule, fraction_text: str | None) -> ListRule:
    """The rule as it is written in the header of a list."""
    select = rule.select if isinstance(rule.select, str) else f"{rule.select[0]}:{rule.select[1]}"
    return {
        "select": select,
        "fraction": fraction_text,
        "per": "group" if rule.groups else rule.per,
        "groups": list(rule.groups),
        "balance_classes": rule.balance == "class",
        "balance_groups": rule.balance == "group",
        "quotas": "recall" if rule.recall else None,
    }
