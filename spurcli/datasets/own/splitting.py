"""Splits of a user's own data: those that it names, and seeded ones otherwise."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.inputs import Inputs
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import canonical
from spurcli.registry import near

_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
KNOWN = tuple(_NAMES)  # the splits that have a role
_DEFAULT = {"val": 0.1, "test": 0.2}


def split_name(written: str) -> str:
    """`train`, `val` or `test` for the names that data sets use (valid, dev, Training, …); other names stay."""
    lowered = canonical(written).lower()
    return next((name for name, spellings in _NAMES.items() if lowered in spellings), canonical(written))


def chosen_splits(there: Iterable[str], asked: Sequence[str], where: str) -> list[str]:
    """Those of the splits `there` (as the data writes them) that the option `splits` selects; all by default.

    Names are compared as `split_name` reads them, so that "val" takes a split that is written validation.
    Raises UsageError for a split that is not there, or if train is left out.
    """
    named = {written: split_name(written) for written in there}
    wanted = {split_name(name): name for name in asked}
    for name, written in wanted.items():
        if name not in named.values():
            raise UsageError(
                f"{where} has no split {written!r}{near(written, named)}", f"It has: {', '.join(list(named)[:20])}."
            )
    if wanted and "train" not in wanted:
        raise UsageError(
            f"dataset.options.splits = {list(asked)} leaves out train", 'Add it: dataset.options.splits=["train", …]'
        )
    return [written for written, name in named.items() if not wanted or name in wanted]


@dataclass(frozen=True)
class Shares:
    """The share of the training samples that goes to `val` and `test` if the data has no such split, by `seed`.

    None is 0.1 and 0.2 where the data has no splits at all, else 0.
    """

    val: float | None
    test: float | None
    seed: int

    def __post_init__(self) -> None:
        for name, share in (("val", self.val), ("test", self.test)):
            if share is not None and (isinstance(share, bool) or not isinstance(share, int | float)):
                raise UsageError(
                    f"dataset.options.{name}_share = {share!r} is not a number", "Write 0.2, for instance."
                )
        val, test = self.val or 0, self.test or 0
        if not (val >= 0 and test >= 0 and val + test < 1):  # NaN is none of these
            raise UsageError(
                "dataset.options.val_share and test_share leave nothing to train on",
                "Both are at least 0, together below 1.",
            )


@dataclass(frozen=True)
class Samples:
    """All samples in their order: `label` int64 [n], `sample_id` [n], `split` int64 [n] into `split_names`.

    `inputs` gives those at some positions. Without `split_names` the data names no splits. `read_as` says how it was read.
    """

    name: str
    class_names: tuple[str, ...]
    label: NDArray[np.int64]
    sample_id: Sequence[str]
    inputs: Callable[[NDArray[np.int64]], Inputs]
    split: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    split_names: tuple[str, ...] = ()
    attribute: NDArray[np.int64] | None = None
    attribute_names: tuple[str, ...] = ()
    read_as: str = ""

    @property
    def group(self) -> NDArray[np.int64]:
        """Class × attribute, or the class alone."""
        return self.label if self.attribute is None else self.label * len(self.attribute_names) + self.attribute


def assemble(samples: Samples, shares: Shares) -> Dataset:
    """The data set of all samples, split as stated and by `shares`; a warning reports splits that were made here.

    Raises InputError for a repeated id, or a class without training samples; UsageError for a share of an
    existing split.
    """
    if len(set(samples.sample_id)) < len(samples.sample_id):
        twice, count = Counter(samples.sample_id).most_common(1)[0]
        raise InputError(f"{samples.name} has the id {twice!r} {count} times", "An id names one sample.")
    split, names = _with_seeded(samples, shares)
    if "train" not in names:
        raise InputError(f"{samples.name} has no split 'train', but {', '.join(names)}", "Name one train.")
    ordered = sorted(names, key=lambda name: (["train", "val", "test", name].index(name), name))
    splits = {}
    for name in ordered:
        index = np.flatnonzero(split == names.index(name))
        attribute = None if samples.attribute is None else samples.attribute[index]
        identifiers = [samples.sample_id[row] for row in index.tolist()]
        splits[name] = Split(samples.label[index], samples.inputs(index), attribute, identifiers)
    dataset = Dataset(samples.name, samples.class_names, splits, samples.attribute_names, read_as=samples.read_as)
    _require_trained(dataset)
    if len(set(dataset.group_names)) < len(dataset.group_names):
        twice, _ = Counter(dataset.group_names).most_common(1)[0]
        raise InputError(f"{samples.name} has two groups called {twice!r}", "Leave out the / in a class or attribute.")
    return dataset


def _with_seeded(samples: Samples, shares: Shares) -> tuple[NDArray[np.int64], list[str]]:
    """Split numbers int64 [n] and their names, those that `shares` asks for taken from train."""
    split, names = samples.split.copy(), list(samples.split_names)
    asked = {name: share for name, share in (("val", shares.val), ("test", shares.test)) if share is not None}
    if not names:
        split, names, asked = np.zeros(len(samples.label), dtype=np.int64), ["train"], _DEFAULT | asked
    taken = {name: share for name, share in asked.items() if share}
    for name in taken:
        if name in names:
            raise UsageError(f"{samples.name} already has a split {name!r}", f"Leave out dataset.options.{name}_share.")
    if not taken or "train" not in names:
        return split, names
    rows = np.flatnonzero(split == names.index("train"))
    chosen = seeded_split([samples.sample_id[row] for row in rows.tolist()], samples.group[rows], taken, shares.seed)
    for number, name in enumerate(taken, start=1):
        if not (chosen == number).any():
            raise InputError(
                f"{samples.name} has too few samples for a split {name!r} of {taken[name]:.0%}",
                f"Add this split, increase dataset.options.{name}_share, or set it to 0 to have no such split.",
            )
        split[rows[chosen == number]] = len(names)
        names.append(name)
    parts = ", ".join(f"{share:.0%} {name}" for name, share in taken.items())
    lacks = f"split {' or '.join(taken)}" if samples.split_names else "splits"
    warnings.warn(
        SpurWarning(f"{samples.name} has no {lacks}: {parts} taken at random (seed {shares.seed})"),
        stacklevel=3,
    )
    return split, names


def seeded_split(
    sample_id: Sequence[str], stratum: NDArray[np.int64], shares: dict[str, float], seed: int
) -> NDArray[np.int64]:
    """The number (from 1) of the share that each sample falls into, 0 for the rest; int64 [n].

    A function of (seed, id, stratum) whatever the order: of each stratum, by the hash of seed and id, the first
    floor(share · size) are the first share's, and so on.
    """
    hashes = [hashlib.sha256(f"{seed}\n{identifier}".encode()).digest()[:8] for identifier in sample_id]
    key = np.frombuffer(b"".join(hashes), dtype=">u8").astype(np.uint64)
    order = np.lexsort((key, stratum))
    chosen = np.zeros(len(order), dtype=np.int64)
    for members in np.split(order, np.flatnonzero(np.diff(stratum[order])) + 1):
        begin = 0
        for number, share in enumerate(shares.values(), start=1):
            end = begin + int(Fraction(str(share)) * len(members))
            chosen[members[begin:end]] = number
            begin = end
    return chosen


def _require_trained(dataset: Dataset) -> None:
    trained = np.bincount(dataset.splits["train"].label, minlength=len(dataset.class_names))
    for label in np.flatnonzero(trained == 0).tolist():
        name = dataset.class_names[label]
        others = [other for number, other in enumerate(dataset.class_names) if trained[number]]
        where = [split for split, samples in dataset.splits.items() if (samples.label == label).any()]
        raise InputError(
            f"{dataset.name}: no training sample is of class {name!r}, which is in {', '.join(where) or 'the option'}"
            f"{near(name, others)}",
            _leave_out(dataset, where, label) or "Every class needs training samples.",
        )


def _leave_out(dataset: Dataset, where: Sequence[str], label: int) -> str:
    """The option that leaves a split out if all of it is of a class without training samples; "" otherwise."""
    if len(where) != 1 or not bool((dataset.splits[where[0]].label == label).all()):
        return ""
    asked = ", ".join(f'"{name}"' for name in dataset.splits if name != where[0])
    return f"Every class needs training samples. If {where[0]} has no labels: --set 'dataset.options.splits=[{asked}]'"
