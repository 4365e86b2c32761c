"""Several suspects of one audit taken together: a sample is a carrier if it carries at least one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.group_list import GroupList, GroupPart, read_groups
from spurcli.artifacts.provenance import Parent
from spurcli.auditing.ranks import read_ranks
from spurcli.auditing.statistics import carries
from spurcli.auditing.stored import StoredSuspect, presence_of, read_suspect
from spurcli.auditing.suspect import short_name
from spurcli.errors import InputError, UsageError
from spurcli.words import joined

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Union:
    """The carriers of `suspects`, of one audit and in the order of their ranks, each within the class of its suspect.

    `groups` has the groups of every split. With one suspect they are those of its file. With several suspects of one class, samples of other
    classes are divided in the same way; with suspects of several classes, a sample counts as a carrier for the suspects of its
    own class only, so the attribute differs between the classes and those without a suspect have no carriers.
    """

    suspects: tuple[StoredSuspect, ...]

    @property
    def labels(self) -> list[str]:
        """The classes of the suspects, in the order of the audit's classes."""
        own = {suspect.label for suspect in self.suspects}
        return [str(name) for name in self.suspects[0].audit["class_names"] if name in own]

    @property
    def attributes(self) -> tuple[str, str]:
        """What samples without and with a feature are called in groups."""
        if len(self.suspects) == 1:
            name = self.suspects[0].name
            return f"no {name}", name
        if len(self.labels) > 1:
            return "none of its suspects", "any of its suspects"
        names = ", ".join(suspect.name for suspect in self.suspects)
        return short_name("none of", names), short_name("any of", names)

    @property
    def carrier_groups(self) -> list[str]:
        """The groups of the carriers, one for each class of a suspect."""
        return [f"{label}/{self.attributes[1]}" for label in self.labels]

    @property
    def names(self) -> str:
        """The suspects in words: "suspect 1", "suspects 1, 3 and 5"."""
        ranks = [str(suspect.rank) for suspect in self.suspects]
        return f"suspect{'s' if len(ranks) > 1 else ''} {joined(ranks)}"

    def parents(self) -> list[Parent]:
        return [Parent.of(suspect.groups, read_groups(suspect.groups).provenance) for suspect in self.suspects]

    def share_in(self, label: str) -> float:
        """The share of carriers among the training samples of a class of which it is known whether they carry a feature."""
        if len(self.suspects) == 1:
            rows: list[JsonObject] = self.suspects[0].entry["carriers"]["train"]
            return next(float(row["share"]) for row in rows if row["class"] == label)
        without, with_it = self._counts(label)
        return with_it / (without + with_it) if with_it else 0.0

    def num_carriers(self, label: str) -> int:
        """The number of carriers among the training samples of a class."""
        return self._counts(label)[1]

    def _counts(self, label: str) -> tuple[int, int]:
        """The training samples of a class without and with a feature."""
        sizes = self.groups.sizes()
        without, with_it = (sizes[f"{label}/{attribute}"] for attribute in self.attributes)
        return without, with_it

    @cached_property
    def groups(self) -> GroupList:
        """The groups of all splits that every suspect's file has."""
        found = [read_groups(suspect.groups) for suspect in self.suspects]
        if len(found) == 1:
            return found[0]
        class_names = [str(name) for name in self.suspects[0].audit["class_names"]]
        combined = {name: self._combined(found, name, class_names) for name in found[0].splits if _in_all(found, name)}
        attributes = [*self.attributes]
        if any(np.isnan(presence).any() for _, presence in combined.values()):
            attributes.append("not known")
        has_probabilities = any(((each > 0) & (each < 1)).any() for _, each in combined.values())
        parts = {}
        for name, (label, presence) in combined.items():
            value = np.where(np.isnan(presence), 2, carries(presence)).astype(np.int64)
            group = label * len(attributes) + value
            subject = found[0].splits[name].subject
            parts[name] = GroupPart(group, subject, presence if has_probabilities else None)
        several = len(self.labels) > 1
        return GroupList(
            tuple(f"{label}/{attribute}" for label in class_names for attribute in attributes),
            parts,
            within_class=several,
            aligned=attributes[1] if several else None,
            probability_of=attributes[1] if has_probabilities else None,
            provenance=found[0].provenance,
        )

    def _combined(
        self, found: Sequence[GroupList], split: str, class_names: Sequence[str]
    ) -> tuple[NDArray[np.int64], Floats]:
        """The class int64 [n] of each sample of a split, and the probability float32 [n] that it carries a feature; NaN if not known."""
        label: NDArray[np.int64] | None = None
        without, is_unknown = np.ones(1), np.zeros(1, dtype=bool)  # as long as the samples after the first suspect
        for suspect, groups in zip(self.suspects, found, strict=True):
            part = groups.splits[split]
            own = part.group // (len(groups.names) // len(class_names))
            if label is not None and not np.array_equal(own, label):
                raise InputError(f"{suspect.groups} has other samples than {self.suspects[0].groups}", "Audit again.")
            label, presence = own, presence_of(groups, part, len(class_names)).astype(np.float64)
            if len(self.labels) > 1:
                presence = np.where(own == class_names.index(str(suspect.label)), presence, 0)
            without = without * (1 - np.nan_to_num(presence, nan=0.0))
            is_unknown = is_unknown | np.isnan(presence)
        assert label is not None
        combined: Floats = (1 - without).astype(np.float32)
        return label, np.where(is_unknown & ~carries(combined), np.float32(np.nan), combined)


def _in_all(found: Sequence[GroupList], split: str) -> bool:
    return all(split in each.splits for each in found)


def read_union(audit: str, ranks: Sequence[int]) -> Union:
    """The suspects of the audit in the folder `audit`. UsageError or InputError for one that is not there or has no class."""
    return Union(tuple(_removable(read_suspect(f"{audit}:{rank}")) for rank in ranks))


def read_named(named: str) -> Union:
    """The suspects that AUDIT:N or AUDIT:N,N,… names; suspect 1 if no rank is given."""
    place, colon, ranks = named.rpartition(":")
    if not (colon and ranks[:1].isdecimal()):
        return read_union(named, [1])
    return read_union(place, read_ranks(ranks))


def _removable(suspect: StoredSuspect) -> StoredSuspect:
    """The same suspect. Raises UsageError if it has no carriers that could be removed."""
    other = "Choose another suspect: --suspect N."
    if suspect.label is None:
        raise UsageError(f"{suspect.name} belongs to no single class, so there are no carriers to remove", other)
    rows: list[JsonObject] = suspect.entry["carriers"].get("train") or []
    if not any(row["class"] == suspect.label and float(row.get("share") or 0.0) > 0 for row in rows):
        raise UsageError(f"{suspect.name} has no carriers among the training samples of {suspect.label}", other)
    return suspect
