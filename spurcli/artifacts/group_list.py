"""groups.txt: one group name per line, one line per sample, split after split, under a header that states the data set.

`part_about` refuses a list of other samples or of another split.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.catalogue import GROUPS, require_kind
from spurcli.artifacts.envelope import JsonObject, canonical_json, optional_field
from spurcli.artifacts.envelope import field as checked_field
from spurcli.artifacts.indices import header_start, read_header_line
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError
from spurcli.names import warn_alike
from spurcli.words import counted

UNNAMED = ""  # the one split of a list of version 1, or without a header: it does not say which one it is
_HINT = "It has one line per sample, with the name of its group."
_AGAIN = "Make it again."


@dataclass(frozen=True)
class GroupPart:
    """Group int64 [n] of each sample of one split, and which samples those are.

    `probability` float32 [n] in [0, 1] is that of the list's attribute `probability_of`; NaN where it is not known.
    """

    group: NDArray[np.int64]
    subject: Subject = field(default_factory=Subject.unknown)
    probability: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class GroupList:
    """The groups' names in order, some of which may be empty, and the groups of the samples of each split it covers.

    `within_class`: the attribute in "class/attribute" has another meaning in each class (right and wrong, clusters), so
    it cannot be linked to one class. `aligned` is the attribute that goes with the class's spurious feature in every class, if
    the list says so: `prune --group auto` then needs no counts. `chosen` are the settings that the way of inferring chose by itself.
    """

    names: tuple[str, ...]
    splits: Mapping[str, GroupPart]
    within_class: bool = False
    aligned: str | None = None
    probability_of: str | None = None
    provenance: Provenance = field(default_factory=Provenance)
    chosen: Mapping[str, object] = field(default_factory=dict)

    def part(self, split: str) -> GroupPart | None:
        """The part about `split`; a list of one unnamed split is used for any split."""
        return self.splits.get(split) or self.splits.get(UNNAMED)

    @property
    def main(self) -> GroupPart:
        """The training split, or the first one of a list without it."""
        return self.part("train") or next(iter(self.splits.values()))

    def sizes(self) -> dict[str, int]:
        """How many samples of `main` each group has, in order."""
        counts = np.bincount(self.main.group, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))


def check_names(names: Iterable[str]) -> None:
    """Raise InputError unless each of `names` fits on one line and differs from the others."""
    seen = set()
    for name in names:
        if not name or name.startswith("#") or name.splitlines() != [name]:
            raise InputError(f"{name[:40]!r} cannot be a line of a groups list", "Rename the group.")
        if name in seen:
            raise InputError(f"Two groups are called {name[:40]!r}", "Rename one of them.")
        seen.add(name)


def write_groups(path: Path, groups: GroupList) -> None:
    """Write groups.txt atomically."""
    check_names(groups.names)
    header = {
        "splits": [
            {"name": name, "num_samples": len(part.group), **part.subject.to_json()}
            for name, part in groups.splits.items()
        ],
        "group_names": list(groups.names),
        "within_class": groups.within_class,
        **({"aligned": groups.aligned} if groups.aligned else {}),
        "probability_of": groups.probability_of,
        **({"chosen": dict(groups.chosen)} if groups.chosen else {}),
        "provenance": dict(groups.provenance),
    }
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{header_start(GROUPS)}{GROUPS.version} {canonical_json(header)}\n")
        for part in groups.splits.values():
            stream.writelines(f"{line}\n" for line in _lines(groups, part))


def _lines(groups: GroupList, part: GroupPart) -> Iterator[str]:
    names = (groups.names[code] for code in part.group.tolist())
    if groups.probability_of is None:
        return names
    assert part.probability is not None
    stated = part.probability.astype(str).tolist()  # the shortest text that gives the same float32
    return (f"{name}\t{'' if text == 'nan' else text}" for name, text in zip(names, stated, strict=True))


def read_groups(path: Path) -> GroupList:
    """Read groups.txt. The groups are numbered in the order that the header states, else in the order of first occurrence.

    Lists of version 1 and without a header have one split, UNNAMED. Raises InputError on empty lines, a cut stream, names
    that the header does not know, and probabilities outside [0, 1].
    """
    require_kind(path, GROUPS, _HINT)
    with path.open(encoding="utf-8-sig") as stream:
        try:
            header = read_header_line(stream, path, GROUPS)
            stated = _stated_names(header or {}, path)
            probability_of = optional_field(header or {}, "probability_of", str, f"{path}: header")
            lines = _read_lines(stream, path, stated, with_probability=probability_of is not None)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", "It has one group name per line.") from error
    if not len(lines.group):
        raise InputError(f"{path} holds no group", _HINT)
    if stated and len(lines.names) > len(stated):
        unknown = lines.names[len(stated)]
        raise InputError(f"{path} has a group {unknown[:40]!r} that its header does not name", _AGAIN)
    if header is None:
        warn_alike(lines.names, "groups", str(path))
        return GroupList(lines.names, {UNNAMED: GroupPart(lines.group, Subject.unknown(str(path)))})
    where = f"{path}: header"
    subjects = _stated_splits(header, path)
    ends = list(itertools.accumulate(num_samples for num_samples, _ in subjects.values()))
    if ends[-1] != len(lines.group) or not lines.is_complete:
        raise InputError(f"{path} is truncated: {counted(len(lines.group), 'line')} of {ends[-1]:,}", _AGAIN)
    parts = {}
    for begin, end, (name, (_, subject)) in zip([0, *ends], ends, subjects.items(), strict=False):
        probability = None if lines.probability is None else lines.probability[begin:end]
        parts[name] = GroupPart(lines.group[begin:end], subject, probability)
    return GroupList(
        lines.names,
        parts,
        within_class=bool(optional_field(header, "within_class", bool, where)),
        aligned=_stated_aligned(header, stated, path),
        probability_of=probability_of,
        provenance=read_provenance(header.get("provenance"), where),
        chosen=optional_field(header, "chosen", dict, where) or {},
    )


def part_about(found: GroupList, path: Path, subject: Subject, policy: InjectionPolicy, split: str) -> GroupPart:
    """The part of a list about `split`, whose samples are those of `subject`: else InputError."""
    part = found.part(split)
    if part is None:
        raise InputError(
            f"{path} has no groups of the split {split!r}, only of {', '.join(found.splits)}",
            f"Add groups of {split}, or choose another split.",
        )
    num_samples = subject.samples.num_samples
    try:
        part.subject.require_same_samples(subject)
        if len(part.group) != num_samples:
            raise InputError(
                f"{path} has {counted(len(part.group), 'line')} for {counted(num_samples, 'sample')} of the split {split!r}",
                _HINT,
            )
    except InputError as error:
        if UNNAMED not in found.splits or split == "train":
            raise
        raise InputError(
            error.problem,
            f"This list covers one split only, usually train. Name a list that covers {split}: spurcli infer writes "
            "every split (--force replaces an older list).",
        ) from error
    part.subject.require_same_injection(subject, policy)
    return part


@dataclass(frozen=True)
class _Lines:
    group: NDArray[np.int64]
    names: tuple[str, ...]
    probability: NDArray[np.float32] | None
    is_complete: bool


def _read_lines(stream: TextIO, path: Path, stated: Sequence[str], *, with_probability: bool) -> _Lines:
    """All lines of all splits; names beyond the `stated` ones are appended."""
    codes = {name: code for code, name in enumerate(stated)}
    group: list[int] = []
    probability: list[float] = []
    line = "\n"
    for line in stream:
        name = line.removesuffix("\n")
        if name.startswith("#"):
            continue
        if with_probability:
            name, _, text = name.rpartition("\t")
            probability.append(_probability(text, path, len(group)))
        if not name:
            raise InputError(f"{path} has no group name for sample {len(group):,}", "Fill the empty line.")
        group.append(codes.setdefault(name, len(codes)))
    values = np.array(probability, dtype=np.float32) if with_probability else None
    return _Lines(np.array(group, dtype=np.int64), tuple(codes), values, line.endswith("\n"))


def _probability(text: str, path: Path, sample: int) -> float:
    """NaN for an empty text, which says that it is not known."""
    if not text:
        return math.nan
    try:
        if text.isascii() and "_" not in text and 0 <= (value := float(text)) <= 1:
            return value
    except ValueError:
        pass
    raise InputError(
        f"{path}: {text[:40]!r} of sample {sample:,} is not a probability",
        "Each line has a group name, a tab, and a number from 0 to 1, or nothing if it is not known.",
    )


def _stated_names(header: JsonObject, path: Path) -> Sequence[str]:
    """The groups' names in the order of the header; none if it states none."""
    names = optional_field(header, "group_names", list, f"{path}: header") or []
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{path}: header: 'group_names' is not a list of unique names", _AGAIN)
    return names


def _stated_aligned(header: JsonObject, names: Sequence[str], path: Path) -> str | None:
    """The attribute of the aligned groups; InputError unless the header names a group "class/attribute" with it."""
    aligned: str | None = optional_field(header, "aligned", str, f"{path}: header")
    if aligned is not None and not any(name.endswith(f"/{aligned}") for name in names):
        raise InputError(
            f"{path}: header: no group in 'group_names' has the aligned attribute {aligned[:40]!r}", _AGAIN
        )
    return aligned


def _stated_splits(header: JsonObject, path: Path) -> dict[str, tuple[int, Subject]]:
    """Number of samples and subject of each split, in the order of the lines. A header of version 1 is that of its one split."""
    where = f"{path}: header"
    if "splits" not in header:
        return {
            UNNAMED: (checked_field(header, "num_samples", int, where), Subject.from_json(header, where, str(path)))
        }
    found: dict[str, tuple[int, Subject]] = {}
    for item in checked_field(header, "splits", list, where):
        if not isinstance(item, dict):
            raise InputError(f"{where}: 'splits' is not a list of objects", _AGAIN)
        name = checked_field(item, "name", str, f"{where}: splits")
        num_samples = checked_field(item, "num_samples", int, f"{where}: splits: {name[:40]}")
        if not name or name in found or num_samples < 0:
            raise InputError(f"{where}: 'splits' needs unique names, each with its number of samples", _AGAIN)
        found[name] = num_samples, Subject.from_json(item, where, str(path))
    if not found:
        raise InputError(f"{where}: 'splits' is empty", _AGAIN)
    return found
