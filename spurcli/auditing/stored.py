"""A suspect of a finished audit, read again: its carriers in each split, and the addition that puts its feature into samples."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import Addition, read_addition
from spurcli.artifacts.audit import read_audit
from spurcli.artifacts.envelope import JsonObject, optional_field, sha256_of_file
from spurcli.artifacts.group_list import GroupList, GroupPart, part_about, read_groups
from spurcli.artifacts.provenance import Parent, portable_path
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.auditing.additions import added_to
from spurcli.datasets.base import Dataset, Twin
from spurcli.datasets.inputs import Inputs
from spurcli.errors import InputError, UsageError
from spurcli.words import listed

AUDIT_NAME = "audit.json"
_AGAIN = "Audit again: spurcli audit --force"
_SEVERAL = re.compile(r"\s*\d+\s*[,-][\d\s,-]*")


@dataclass(frozen=True)
class StoredSuspect:
    """Suspect `entry` of the audit in `folder`, as audit.json has it. `addition` is None if its feature cannot be added."""

    folder: Path
    rank: int
    entry: JsonObject
    audit: JsonObject
    groups: Path
    addition: Addition | None = None
    addition_path: Path | None = None

    @property
    def name(self) -> str:
        return str(self.entry["name"])

    @property
    def label(self) -> str | None:
        """The class of the feature; None if it belongs to no single class."""
        return self.entry.get("class")

    @property
    def files(self) -> list[Path]:
        return [self.groups, *([self.addition_path] if self.addition_path else [])]

    def parents(self) -> list[Parent]:
        return [Parent.of(path) for path in self.files]

    def about(self) -> JsonObject:
        """What evaluation.json says about it."""
        return {
            "audit": portable_path(str(self.folder)),
            "rank": self.rank,
            "name": self.name,
            "class": self.label,
            "measured_by": "groups" if self.addition is None else "insertion",
        }

    def put_into(self, dataset: Dataset, added: Callable[[str, NDArray[np.int64]], Inputs] | None = None) -> Dataset:
        """The data set in groups without / with the feature, with a twin of each other split: its samples without the feature once more, with it.

        Of embeddings, `added` makes those of the samples `index` of a split with the feature.
        A feature that the data set was injected with is left aside. "Not known" counts as without. Raises InputError if the
        audit is one of other samples.
        """
        assert self.addition is not None
        if self.label not in dataset.class_names:
            raise InputError(
                f"{self.folder} is an audit of other classes: {self.label!r} is none of {listed(dataset.class_names, 5)}",
                "Name an audit of this data set, AUDIT:N, or a model of the data set of the audit.",
            )
        found = read_groups(self.groups)
        splits, twins = {}, {}
        width = len(found.names) // len(dataset.class_names)
        for name, split in dataset.splits.items():
            part = part_about(found, self.groups, dataset.subject(name), InjectionPolicy.ANY, name)
            carries = part.group % width == 1
            splits[name] = replace(split, attribute=carries.astype(np.int64))
            if name != "train":
                index = np.flatnonzero(~carries)
                twins[name] = Twin(
                    index,
                    partial(added, name, index) if added else partial(added_to, self.addition, split.inputs, index),
                )
        return replace(
            dataset,
            splits=splits,
            attribute_names=(f"no {self.name}", self.name),
            published={},
            confusion=None,
            twins=twins,
            injection={"feature_of": dataset.class_names.index(self.label), "twin_class": None},
        )


def read_presence(
    folder: Path, entry: JsonObject, subject: Subject, num_classes: int, split: str
) -> NDArray[np.float32] | None:
    """The probability float32 [n] that each sample of a split carries the suspect `entry` of the audit in `folder`, as its groups file says.

    NaN if not known; None if the file does not cover the split.
    """
    path = _whole(folder, entry, "groups")
    if path is None:
        return None
    found = read_groups(path)
    if split not in found.splits:
        return None
    return presence_of(found, part_about(found, path, subject, InjectionPolicy.ANY, split), num_classes)


def presence_of(found: GroupList, part: GroupPart, num_classes: int) -> NDArray[np.float32]:
    """The probability float32 [n] that each sample of a part of a suspect's groups file carries the feature; NaN if not known."""
    if part.probability is not None:
        return part.probability
    which = part.group % (len(found.names) // num_classes)
    return np.where(which > 1, np.nan, which).astype(np.float32)


def read_suspect(named: str) -> StoredSuspect:
    """The suspect that AUDIT:N names: an audit's folder and the rank of a suspect, 1 if absent.

    Raises UsageError for a suspect that does not exist, InputError if its files are missing or damaged.
    """
    place, colon, number = named.rpartition(":")
    if colon and _SEVERAL.fullmatch(number):
        raise UsageError(
            f"{named} names several suspects, and they are measured one at a time",
            f"Name one, for instance {place}:{re.split(r'[,-]', number)[0].strip()}. To cut several together: spurcli cut --suspect {number}",
        )
    if not (colon and number.isdecimal()):
        place, number = named, "1"
    folder = Path(place)
    folder = folder.parent if folder.name == AUDIT_NAME else folder
    if not folder.is_dir():
        raise InputError(f"{folder} is not the folder of an audit", "Name one as AUDIT:N, for instance audit:1.")
    audit = read_audit(folder / AUDIT_NAME)
    entry = _entry(audit["suspects"], int(number), folder)
    groups = _whole(folder, entry, "groups")
    if groups is None:
        raise InputError(f"Suspect {number} of {folder} has no groups file", _AGAIN)
    path = _whole(folder, entry, "addition")
    addition = read_addition(path).addition if path else None
    return StoredSuspect(folder, int(number), entry, audit, groups, addition, path)


def _entry(suspects: Sequence[JsonObject], rank: int, folder: Path) -> JsonObject:
    found = next((entry for entry in suspects if entry.get("rank") == rank), None)
    if found is None:
        known = f"It has the suspects 1 to {len(suspects)}." if suspects else "It has none."
        raise UsageError(f"{folder} has no suspect {rank}", known)
    return found


def _whole(folder: Path, entry: JsonObject, what: str) -> Path | None:
    """The file of a suspect; None if it has none. InputError unless it is the one that the audit wrote."""
    name = optional_field(entry, what, str, str(folder / AUDIT_NAME))
    if name is None:
        return None
    path = folder / str(name)
    if not path.is_file() or path.resolve().parent.parent != folder.resolve():
        raise InputError(f"{path} is missing", _AGAIN)
    if sha256_of_file(path) != entry.get(f"{what}_sha256"):
        raise InputError(f"{path} is not the file that the audit wrote", _AGAIN)
    return path
