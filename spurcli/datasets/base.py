"""The data set: splits of labelled inputs in a fixed order, with attributes if they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.subject import Subject
from spurcli.datasets.inputs import Inputs
from spurcli.errors import InputError
from spurcli.words import counted


@dataclass(frozen=True)
class Split:
    """`label` int64 [n] and inputs in a fixed order; `attribute` int64 [n] and `sample_id` [n] if known."""

    label: NDArray[np.int64]
    inputs: Inputs
    attribute: NDArray[np.int64] | None = None
    sample_id: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint.of(self.label, self.sample_id)


@dataclass(frozen=True)
class Twin:
    """Copies of the samples `index` int64 [m] of a split, all with the injected feature; made when first asked for."""

    index: NDArray[np.int64]
    make: Callable[[], Inputs]

    @cached_property
    def inputs(self) -> Inputs:
        return self.make()


@dataclass(frozen=True)
class Dataset:
    """Named splits (`train`, and `val` and `test` if they exist) of one classification task.

    group = label * num_attributes + attribute, called "class/attribute". An injected data set has the attributes
    without / with the feature, a `twin` of each evaluation split, and `injection` (the parsed inject.json).

    `published` has the counts that the owners of the data set or the paper state, by split: one per group, or per class if
    there are no groups; None for a count that is not published. `confusion` = (true, predicted) is the pair of classes
    that counts as the spurious error if no attribute is known. `backbone` is set if the inputs are embeddings: the frozen
    model that made them; `columns` then reads the columns of the table that they were made from, if the file keeps any: split → name
    → n texts. `read_as` describes how a user's own files were read. `class_order_note` is a sentence on other
    programs that order these class names differently; it is shown when foreign weights or logits are read.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, Split]
    attribute_names: tuple[str, ...] = ()
    published: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    confusion: tuple[int, int] | None = None
    twins: Mapping[str, Twin] | None = None
    injection: Mapping[str, object] | None = None
    injection_sha256: str | None = None
    class_order_note: str | None = None
    read_as: str = ""
    backbone: Mapping[str, object] | None = None
    columns: Callable[[], Mapping[str, Mapping[str, Sequence[str]]]] | None = None

    def __post_init__(self) -> None:
        if "train" not in self.splits:
            raise InputError(f"Data set {self.name!r} has no split 'train'", "Name it in its splits.")
        for name, split in self.splits.items():
            _check_split(split, f"{self.name}, split {name!r}", len(self.class_names), len(self.attribute_names))

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(f"{label}/{attribute}" for label in self.class_names for attribute in self.attribute_names)

    def group(self, split: str) -> NDArray[np.int64] | None:
        """Group int64 [n] of each sample of a split, or None if attributes are not known."""
        attribute = self.splits[split].attribute
        if attribute is None:
            return None
        return self.splits[split].label * len(self.attribute_names) + attribute

    def subject(self, split: str) -> Subject:
        """The subject (fingerprint and injection) of files about this split."""
        return Subject(self.split(split).fingerprint, self.injection_sha256, name=f"data set {self.name!r}")

    def split(self, name: str) -> Split:
        if name not in self.splits:
            raise InputError(f"Data set {self.name!r} has no split {name!r}", f"It has: {', '.join(self.splits)}.")
        return self.splits[name]


def _check_split(split: Split, where: str, num_classes: int, num_attributes: int) -> None:
    num_samples = len(split.label)
    if not num_samples:
        raise InputError(f"{where} has no samples", "Check the data set's folder.")
    if len(split.inputs) != num_samples:
        raise InputError(
            f"{where} has {counted(len(split.inputs), 'input')} and {counted(num_samples, 'label')}",
            "Check its loader.",
        )
    for name, codes, limit in (("label", split.label, num_classes), ("attribute", split.attribute, num_attributes)):
        if codes is None:
            continue
        if codes.shape != (num_samples,) or codes.dtype != np.int64:
            raise InputError(f"{where}: {name} is {codes.dtype} {list(codes.shape)}", "It must be int64 [n].")
        if codes.min() < 0 or codes.max() >= limit:
            bad = int(np.flatnonzero((codes < 0) | (codes >= limit))[0])
            raise InputError(
                f"{where}: {name} {int(codes[bad])} of sample {bad:,} is outside 0..{limit - 1}", "Check its loader."
            )
    if split.sample_id is None:
        return
    if len(split.sample_id) != num_samples:
        raise InputError(
            f"{where} has {counted(len(split.sample_id), 'id')} for {counted(num_samples, 'sample')}",
            "Check its loader.",
        )
    if len(set(split.sample_id)) < num_samples:
        twice, count = Counter(split.sample_id).most_common(1)[0]
        raise InputError(f"{where} has the id {twice!r} {count} times", "An id names one sample of its split.")
