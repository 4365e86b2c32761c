"""What is known about the scored samples: labels, groups and the source of the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, part_about, read_groups
from spurcli.artifacts.provenance import Parent, origin_of
from spurcli.artifacts.scores import ScoresReader
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError
from spurcli.groups import is_grid
from spurcli.selection import BLOCK, Codes

_MAX_CODE = 1 << 20


@dataclass(frozen=True)
class KnownGroups:
    """Group int [n] of each sample (None where nothing is known) and the groups' names.

    `is_crossed`: they are class × attribute with the same attributes in every class, as `spurcli.groups` requires.
    `aligned` are the groups that their file states to be aligned; `varies`: its attributes mean something else in each class.
    `source` is where they come from: "scores", or "file" or "inferred: WAY" for a groups.txt, which `parents` records.
    """

    codes: Codes | None
    names: tuple[str, ...]
    is_crossed: bool = False
    source: str | None = None
    parents: tuple[Parent, ...] = ()
    aligned: tuple[str, ...] = ()
    varies: bool = False

    def require(self, consequence: str, instead: str) -> Codes:
        """The groups of the samples; InputError where there are none."""
        if self.codes is None:
            raise InputError(
                f"The scores hold no groups{consequence}",
                f"{instead}, or --group-labels FILE, or score a data set with groups.",
            )
        return self.codes


@dataclass(frozen=True)
class KnownSamples:
    """The training samples of a list: who they are, label int [n], and the groups; the settings and parents of what said so."""

    subject: Subject
    label: Codes
    class_names: tuple[str, ...]
    groups: KnownGroups
    settings: JsonObject
    parents: Sequence[Parent]


@dataclass(frozen=True)
class NamedGroups:
    """Groups that replace those of the scores: of a groups.txt, or combined from several. `path` is what messages name."""

    groups: GroupList
    path: Path
    parents: Sequence[Parent]

    @classmethod
    def of_file(cls, path: Path) -> NamedGroups:
        found = read_groups(path)
        return cls(found, path, [Parent.of(path, found.provenance)])

    def known(self, part: GroupPart, class_names: Sequence[str]) -> KnownGroups:
        """The groups of the samples of `part`."""
        found = self.groups
        is_crossed = is_grid(found.names, class_names)
        aligned = [f"{name}/{found.aligned}" for name in class_names] if is_crossed and found.aligned else []
        return KnownGroups(
            part.group.astype(np.int32),
            found.names,
            is_crossed and not found.within_class,
            origin_of(found.provenance),
            tuple(self.parents),
            tuple(name for name in aligned if name in found.names),
            is_crossed and found.within_class,
        )


def samples_of_groups(named: NamedGroups) -> KnownSamples:
    """The samples of groups that are class/attribute: they say the class of each. InputError for other groups."""
    found, path = named.groups, named.path
    part = found.main
    class_names = tuple(dict.fromkeys(name.rpartition("/")[0] for name in found.names))
    width = len(found.names) // len(class_names)
    label = (part.group // max(width, 1)).astype(np.int32)
    stated = part.subject.fingerprint
    problem = stated and stated.difference(
        Fingerprint(len(label), Fingerprint.of(label.astype(np.int64)).labels_sha256)
    )
    if not is_grid(found.names, class_names) or stated is None or problem:
        raise InputError(
            f"{path} does not state the class of each sample, so scores are needed",
            "Name them: spurcli prune scores.h5",
        )
    groups = named.known(part, class_names)
    settings = found.provenance.get("settings", {})
    return KnownSamples(part.subject, label, class_names, groups, settings, named.parents)


def read_class_labels(reader: ScoresReader) -> tuple[Codes, tuple[str, ...]]:
    """Labels [n] and class names; classes without names are named by their numbers."""
    names, num_samples = reader.header.class_names, reader.header.num_samples
    if not names:
        last = max(int(reader.labels(start, start + BLOCK).max()) for start in range(0, num_samples, BLOCK))
        names = tuple(map(str, range(min(last, _MAX_CODE) + 1)))
    return _codes(reader.labels, num_samples, len(names), f"{reader.path}: label"), names


def read_known_groups(
    reader: ScoresReader, named: NamedGroups | None, class_names: Sequence[str], policy: InjectionPolicy
) -> KnownGroups:
    """The groups of `named`, checked to be about the same samples, else those of the scores, if any."""
    header = reader.header
    if named is not None:
        return named.known(part_about(named.groups, named.path, header.subject, policy, "train"), class_names)
    if not reader.has_groups:
        return KnownGroups(None, ())
    names = header.group_names
    codes = _codes(reader.groups, header.num_samples, len(names), f"{reader.path}: group")
    return KnownGroups(codes, names, is_grid(names, class_names), "scores")


def require_same_samples(readers: Sequence[ScoresReader], policy: InjectionPolicy) -> None:
    """Raise InputError unless all files are about the samples, and the injection, of the first."""
    for reader in readers[1:]:
        readers[0].header.subject.require_same(reader.header.subject, policy)


def direction_of(readers: Sequence[ScoresReader], score: str) -> str:
    """The direction of `score`, which must be the same in all files."""
    directions = {reader.require(score).higher_is for reader in readers}
    if len(directions) > 1:
        raise InputError(f"The files disagree on the direction of {score!r} points", "Do not mix them.")
    return directions.pop()


def _codes(read: Any, num_samples: int, num_names: int, where: str) -> Codes:
    """Codes 0 … num_names − 1, read a block at a time into two bytes each (four above 32,768)."""
    codes: Codes = np.empty(num_samples, dtype=np.int16 if num_names <= 1 << 15 else np.int32)
    for start in range(0, num_samples, BLOCK):
        block = read(start, min(start + BLOCK, num_samples))
        if block.min() < 0 or block.max() >= num_names:
            bad = start + int(np.flatnonzero((block < 0) | (block >= num_names))[0])
            raise InputError(f"{where} of sample {bad:,} is outside the {num_names:,} that have names", "Count from 0.")
        codes[start : start + len(block)] = block
    return codes
