"""Groups (class × attribute): which attribute is a class's spurious feature, which groups carry or contradict it.

From training counts alone, int64 [classes · attributes] with group = label · attributes + attribute. Three notions,
which differ on the benchmarks (a = attribute, y = class):

- aligned (what `prune --group auto` takes): the groups whose attribute has the largest P(a | y) / P(a) of its class; all of them if several are tied. The
  hardest of these are pruned in identifiable settings (Waterbirds landbird/land and waterbird/water; MultiNLI contradiction/negation, entailment/none, neutral/none).
- carriers: aligned groups of the marked attribute, the rarer of the features: negation rather than none, glasses rather
  than no glasses. "Carriers by quartile" shows these.
- conflict: groups that hold another class's feature and fewer than half the samples that independence of y and a
  would give: where a model that leans on the feature fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Below this P(a|y) / P(a) a group counts as conflicting. CelebA men without glasses have 0.67 and are not in conflict.
_CONFLICT_LIFT = 0.5


def lift(train_counts: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """P(a|y) / P(a), float64 [classes, attributes]; NaN for a class or an attribute without training samples."""
    counts = train_counts.reshape(num_classes, -1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((counts / counts.sum(axis=1, keepdims=True)) / (counts.sum(axis=0) / counts.sum()))


def spurious_attributes(train_counts: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """The spurious feature of each class y: argmax over attributes a of P(a|y) / P(a), int64 [classes].

    −1 for a class without training samples. Lift, not the majority group, which is wrong on MultiNLI and CelebA hair. Of
    several attributes with the largest lift the first; `spurious_sets` has all.
    """
    known = np.nan_to_num(lift(train_counts, num_classes), nan=-1.0)
    return np.where(known.max(axis=1) >= 0, known.argmax(axis=1), -1)


def spurious_sets(train_counts: NDArray[np.int64], num_classes: int) -> list[tuple[int, ...]]:
    """All attributes with the largest P(a|y) / P(a) of each class y, compared exactly.

    Two attributes crossed (background × size) give such ties: a class that goes with water goes with water of either size.
    () for a class that goes with no attribute more than with others, or has no training samples.
    """
    table = train_counts.reshape(num_classes, -1)
    totals, found = table.sum(axis=0).tolist(), []
    for row in table.tolist():
        best = max((Fraction(n, total) for n, total in zip(row, totals, strict=True) if total), default=Fraction(0))
        leads = best * sum(totals) > sum(row)
        found.append(tuple(a for a, n in enumerate(row) if leads and totals[a] and Fraction(n, totals[a]) == best))
    return found


def marked_attribute(train_counts: NDArray[np.int64], num_classes: int) -> int | None:
    """The spurious feature that the fewest training samples carry, among those of the classes: glasses rather than no glasses.

    None if every class favours the same attributes, because then no attribute marks a class.
    """
    totals = train_counts.reshape(num_classes, -1).sum(axis=0)
    found = {attributes for attributes in spurious_sets(train_counts, num_classes) if attributes}
    if len(found) < 2:
        return None
    return min({a for attributes in found for a in attributes}, key=lambda attribute: (totals[attribute], -attribute))


def aligned_groups(train_counts: NDArray[np.int64], num_classes: int) -> list[int]:
    """Each class with its own spurious feature, several in a tie; none if no attribute marks a class."""
    if marked_attribute(train_counts, num_classes) is None:
        return []
    width = len(train_counts) // num_classes
    sets = spurious_sets(train_counts, num_classes)
    return [y * width + a for y, attributes in enumerate(sets) for a in attributes]


def nearly_aligned(train_counts: NDArray[np.int64], num_classes: int) -> list[tuple[int, int]]:
    """Groups that may also be aligned, each with the aligned group of its class that it is compared with.

    Their P(y|a) differs from that of the aligned group by less than two standard errors, as counts of samples vary.
    """
    table, width = train_counts.reshape(num_classes, -1), len(train_counts) // num_classes
    totals, aligned = table.sum(axis=0), aligned_groups(train_counts, num_classes)
    found = []
    for group in aligned:
        y, best = divmod(group, width)
        if any(y * width + a in aligned for a in range(best)):
            continue  # in a tie the first is compared
        for a in range(width):
            if not table[y, a] or y * width + a in aligned:
                continue
            pooled = (table[y, a] + table[y, best]) / (totals[a] + totals[best])
            error = (pooled * (1 - pooled) * (1 / totals[a] + 1 / totals[best])) ** 0.5
            if table[y, best] / totals[best] - table[y, a] / totals[a] < 2 * error:
                found.append((y * width + a, group))
    return found


def carrier_groups(train_counts: NDArray[np.int64], num_classes: int) -> list[int]:
    """Aligned groups whose attribute is the marked one, or ties with it."""
    marked, width = marked_attribute(train_counts, num_classes), len(train_counts) // num_classes
    tied = {a for attributes in spurious_sets(train_counts, num_classes) if marked in attributes for a in attributes}
    return [group for group in aligned_groups(train_counts, num_classes) if group % width in tied]


def conflict_groups(train_counts: NDArray[np.int64], num_classes: int) -> list[int]:
    """Groups with the spurious feature of another class, not their own, and of a lift below one half.

    A class without training samples conflicts with nothing.
    """
    aligned, width = aligned_groups(train_counts, num_classes), len(train_counts) // num_classes
    features = {group % width for group in aligned}
    with np.errstate(invalid="ignore"):
        rare = (lift(train_counts, num_classes) < _CONFLICT_LIFT).ravel()
    return [g for g in range(len(train_counts)) if rare[g] and g % width in features and g not in aligned]


def is_grid(group_names: Sequence[str], class_names: Sequence[str]) -> bool:
    """Whether the groups are class × attribute in order, "class/attribute", so that the functions above apply."""
    width, rest = divmod(len(group_names), len(class_names))
    if rest or not width:
        return False
    attributes = [name.removeprefix(f"{class_names[0]}/") for name in group_names[:width]]
    return list(group_names) == [f"{label}/{attribute}" for label in class_names for attribute in attributes]


def named(groups: Sequence[int], names: Sequence[str]) -> list[str]:
    return [names[group] for group in groups]
