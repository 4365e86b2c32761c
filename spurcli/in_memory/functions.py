"""`spurcli.el2n`, `scores_of`, `scores_of_epochs`, `kept_indices` and `measures`: the computations of the stages, on arrays.

Each takes NumPy arrays, tensors of any device, or lists, and returns NumPy arrays. Nothing is read, written or trained.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.scores import Direction
from spurcli.datasets.prediction_table import TablePredictions, attribute_of, group_values
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.in_memory.values import Labels, array_of, coded, has_zeros, label_codes, logits_of, require_length
from spurcli.selection import hardness_keys, parse_fraction, parse_select, quartiles, random_keys

if TYPE_CHECKING:
    from spurcli.pruning.samples import KnownGroups

Scores = dict[str, NDArray[np.float32]]
_BLOCK = 1 << 16


def el2n(logits: ArrayLike, labels: Labels, *, probabilities: bool = False) -> NDArray[np.float32]:
    """The EL2N score of each sample, float32 [n]: ‖p − e_y‖₂. Larger is harder.

    Source: Paul et al., NeurIPS 2021, Definition 2.2.

    Args:
        logits: Numbers [n, classes]: the model's output before the softmax.
        labels: The column of each sample's class, integers [n].
        probabilities: `logits` are probabilities. In float32 they round to 0 and 1, which gives ties.

    Raises:
        InputError: Shapes that do not fit, or a number that is not finite.
    """
    return _scores(logits, labels, probabilities, ["el2n"])["el2n"]


def scores_of(logits: ArrayLike, labels: Labels, *, probabilities: bool = False) -> Scores:
    """All scores that can be computed from logits, by name, float32 [n] each, as `spurcli score --logits` writes them.

    `spurcli list scores` shows the formula, direction and source of each. Larger is harder, except for `margin` and `margin_logit`.

    Args:
        logits: Numbers [n, classes].
        labels: The column of each sample's class, integers [n].
        probabilities: `logits` are probabilities.

    Raises:
        InputError: Shapes that do not fit, or a number that is not finite.
    """
    from spurcli.scoring.formulas import FROM_LOGITS

    return _scores(logits, labels, probabilities, list(FROM_LOGITS))


def scores_of_epochs(logits: ArrayLike, labels: Labels, *, probabilities: bool = False) -> Scores:
    """Scores of a whole training, by name, float32 [n] each: AUM, forgetting and others, as `spurcli score --dynamics`.

    `spurcli list dynamics` shows the formula, direction and source of each. Scores that need more epochs are left out. For data
    that do not fit into memory record a file: `spurcli.DynamicsRecorder`.

    Args:
        logits: Numbers [epochs, n, classes]: the logits of all samples after each epoch.
        labels: The column of each sample's class, integers [n].
        probabilities: `logits` are probabilities. The margin of logits (AUM) is then that of their logarithms.

    Raises:
        InputError: Shapes that do not fit, or a number that is not finite.
    """
    from spurcli.artifacts.dynamics import EpochDynamics
    from spurcli.registries import DYNAMICS
    from spurcli.scoring.dynamics import measured, needed_epochs

    values = logits_of(logits, probabilities=probabilities, ndim=3)
    label = label_codes(labels, None, values.shape[2])
    require_length(label, "Labels", values.shape[1])
    epochs = [measured(each, label) for each in values]
    taken = EpochDynamics(
        *(np.stack([getattr(each, name) for each in epochs]) for name in ("log_p", "margin", "correct"))
    )
    names = [name for name in DYNAMICS.entries if needed_epochs(name) <= len(values)]
    return {name: DYNAMICS.load(name)(taken).astype(np.float32) for name in names}


def kept_indices(
    scores: ArrayLike,
    labels: Labels | None = None,
    *,
    fraction: float | str | None = None,
    per_class: bool = False,
    groups: ArrayLike | None = None,
    within: str | Sequence[str] = "auto",
    select: str = "hardest",
    higher_is: Direction = "harder",
    seed: int = 0,
) -> NDArray[np.int64]:
    """The positions of the samples to keep, int64, ascending: what `spurcli prune` writes into keep.txt.

    Exactly floor(fraction · n) samples are removed, the first ones among ties; a fraction is an exact decimal, so 0.29 is
    29/100. The rules are those of the paper (Severing Spurious Correlations with Data Pruning, ICLR 2025).

    Args:
        scores: One score for each sample, numbers [n].
        labels: The class of each sample [n], integers or names. `per_class` and `groups` need it.
        fraction: The share to remove.
        per_class: Remove this fraction of every class.
        groups: The attribute of each sample [n], e.g. its background. The groups are class × attribute.
        within: With `groups`: remove only inside these groups, "class/attribute"; "auto" stands for the groups that carry
            their class's spurious feature.
        select: hardest, easiest, random (with `seed`), or "A:B", positions from easiest to hardest instead of a fraction.
        higher_is: "harder" or "easier": the score's direction.
        seed: Seed of the random draw.

    Raises:
        UsageError: Arguments that contradict each other.
        InputError: Arrays that do not fit together, or a score that is not finite.
    """
    from spurcli.pruning.rules import AUTO, Rule, doubts_about, found_groups, removed_by
    from spurcli.pruning.samples import KnownGroups
    from spurcli.pruning.summary import one_class, summarise, warnings_of

    values = array_of(scores)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "fiub" or not np.isfinite(values).all():
        raise InputError("Scores must be one finite number for each sample, [n]", "Name one score: scores['el2n'].")
    if higher_is not in ("harder", "easier"):
        raise UsageError(f"higher_is={higher_is!r} is unknown", "Use harder or easier.")
    if labels is None and (per_class or groups is not None):
        raise UsageError("per_class and groups need the labels", "Add labels.")
    if per_class and groups is not None:
        raise UsageError("per_class and groups cannot be combined", "Choose one: each group is within one class.")
    order = parse_select(select)
    if isinstance(order, str) == (fraction is None):
        raise UsageError(
            "Either a fraction or a slice such as select='0:100' sets how many samples are removed", "Name one of them."
        )
    share = None if fraction is None else parse_fraction(str(fraction))
    label, class_names = coded(np.zeros(len(values), int) if labels is None else labels, "Labels", len(values))
    known = KnownGroups(None, ())
    if groups is not None:
        known = _crossed(groups, label, class_names)
    rule = Rule(share, "class" if per_class else "all", order)
    doubts: list[str] = []
    if groups is not None:
        asked = (within,) if isinstance(within, str) else tuple(within)
        rule = replace(rule, groups=found_groups(asked, known, len(class_names)) if AUTO in asked else asked)
        doubts = doubts_about(rule.groups, known, class_names) if AUTO in asked else []
    keys = hardness_keys(np.array(values, dtype=np.float32), higher_is)
    quartile = quartiles(keys, label, len(class_names))
    if order == "random":
        keys = random_keys(len(values), seed, "prune")
    removed = removed_by(rule, keys, label, len(class_names), known)
    if removed.all():
        raise InputError("Nothing would be kept", "Remove a smaller fraction.")
    if labels is not None:
        summary = summarise(removed, quartile, label, class_names, known)
        doubts += [*one_class(summary, rule), *warnings_of(summary, class_names, known)]
    for doubt in doubts:
        warnings.warn(SpurWarning(doubt), stacklevel=2)
    return np.flatnonzero(~removed)


def measures(
    logits: ArrayLike,
    labels: Labels,
    *,
    groups: ArrayLike | Mapping[str, ArrayLike] | None = None,
    splits: ArrayLike | None = None,
    split: str = "test",
    class_names: Sequence[str] | None = None,
    probabilities: bool = False,
) -> JsonObject:
    """Accuracy, worst group and reliance on the spurious feature: the numbers of `spurcli evaluate`.

    Returns `metrics` (each with value, number of samples and 95 % interval), `per_class`, `per_group`, `features` and
    `warnings`, as docs/formats.md describes them for evaluation.json. docs/measures.md has each measure's source.

    Args:
        logits: Numbers [n, classes].
        labels: The class of each sample [n]: the number of its column, or its name with `class_names`.
        groups: The attribute of each sample [n], e.g. its hospital; several in a dictionary are crossed. The groups are
            class × attribute. A column of more than 20 different numbers is divided into quarters.
        splits: The split of each sample [n]. Samples of "train" then give the training counts, which measures of reliance need,
            and those of "val" the matched threshold. Without it all samples are evaluated.
        split: With `splits`: which one is evaluated.
        class_names: The classes in the order of the columns. By default the numbers from 0.
        probabilities: `logits` are probabilities. Measures of reliance are undefined where one is 0.

    Raises:
        InputError: Arrays that do not fit together, a number that is not finite, or a split without samples.
    """
    from spurcli.evaluation.from_table import evaluated_rows
    from spurcli.evaluation.metrics import compute

    values = logits_of(logits, probabilities=probabilities)
    if probabilities and has_zeros(logits):
        values = np.asarray(array_of(logits), dtype=np.float32)
        warnings.warn(SpurWarning("A probability is 0: measures of reliance are undefined"), stacklevel=2)
    num_samples, num_classes = values.shape
    names = tuple(map(str, range(num_classes) if class_names is None else class_names))
    if len(names) != num_classes:
        raise InputError(f"{len(names)} class names for {num_classes} columns of logits", "Name each column's class.")
    label = label_codes(labels, None if class_names is None else names, num_classes)
    require_length(label, "Labels", num_samples)
    found = TablePredictions(Path("the arrays"), values, label, names)
    if splits is not None:
        parts = tuple(str(each) for each in array_of(splits).tolist())
        require_length(parts, "splits", num_samples)
        found = replace(found, split=parts)
    if groups is not None:
        named = groups if isinstance(groups, Mapping) else {"groups": groups}
        columns = []
        for name, column in named.items():
            written = [str(each) for each in array_of(column).tolist()]
            require_length(written, name, num_samples)
            columns.append(group_values(written, name, name, ""))
        attribute_names, attribute = attribute_of(columns)
        found = replace(found, attribute=attribute, attribute_names=attribute_names)
    rows = found.require_rows_of(split, "Name one with split=.")
    return compute(evaluated_rows(found, rows, split))


def _scores(logits: Any, labels: Any, probabilities: bool, names: Sequence[str]) -> Scores:
    """With NumPy, one block at a time."""
    from spurcli.scoring.formulas import FROM_LOGITS, Prediction

    values = logits_of(logits, probabilities=probabilities)
    label = label_codes(labels, None, values.shape[1])
    require_length(label, "Labels", len(values))
    found = {name: np.empty(len(values), dtype=np.float32) for name in names}
    for start in range(0, len(values), _BLOCK):
        block = slice(start, start + _BLOCK)
        prediction = Prediction(np.array(values[block], order="F"), label[block])
        with np.errstate(
            all="ignore"
        ):  # the formulas are finite for finite logits; intermediate values that underflow are 0
            for name, of_block in found.items():
                of_block[block] = FROM_LOGITS[name](prediction)
    return found


def _crossed(groups: Any, label: NDArray[np.int64], class_names: Sequence[str]) -> KnownGroups:
    from spurcli.pruning.samples import KnownGroups

    attribute, names = coded(groups, "groups", len(label))
    crossed = tuple(f"{one}/{other}" for one in class_names for other in names)
    return KnownGroups(label * len(names) + attribute, crossed, is_crossed=True, source="arrays")
