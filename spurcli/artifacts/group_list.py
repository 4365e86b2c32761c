"""groups.txt: one group name a line, one line a sample, under a header that says what they speak about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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

_HINT = "It has one group name a line, one line a sample."


@dataclass(frozen=True)
class GroupList:
    """Group int64 [n] of each training sample, and the groups' names in order; some of them may be empty.

    `within_class`: the attribute in "class/attribute" means another thing in each class (right and wrong, clusters), so
    that it cannot be said which of the classes it goes with.
    """

    group: NDArray[np.int64]
    names: tuple[str, ...]
    subject: Subject = field(default_factory=Subject.unknown)
    within_class: bool = False
    provenance: Provenance = field(default_factory=Provenance)

    def sizes(self) -> dict[str, int]:
        """How many samples each group has, in order."""
        counts = np.bincount(self.group, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))


def check_names(names: Iterable[str]) -> None:
    """Raise InputError unless each of `names` can be a line of its own and is none of the others."""
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
        **groups.subject.to_json(),
        "num_samples": len(groups.group),
        "group_names": list(groups.names),
        "within_class": groups.within_class,
        "provenance": dict(groups.provenance),
    }
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{header_start(GROUPS)}{GROUPS.version} {canonical_json(header)}\n")
        stream.writelines(f"{groups.names[code]}\n" for code in groups.group)


def read_groups(path: Path) -> GroupList:
    """Read groups.txt. The groups are numbered in the order that the header states, else as they are first seen.

    Without a header it is accepted too, one name a line. Raises InputError on empty lines, a cut stream, and names that
    the header does not know.
    """
    require_kind(path, GROUPS, _HINT)
    codes: dict[str, int] = {}
    group: list[int] = []
    line = "\n"
    with path.open(encoding="utf-8-sig") as stream:
        try:
            header = read_header_line(stream, path, GROUPS)
            stated = _stated_names(header or {}, path)
            codes = {name: code for code, name in enumerate(stated)}
            for line in stream:
                name = line.removesuffix("\n")
                if not name:
                    raise InputError(f"{path} has no group name for sample {len(group):,}", "Fill the empty line.")
                if not name.startswith("#"):
                    group.append(codes.setdefault(name, len(codes)))
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", "It has one group name a line.") from error
    if not group:
        raise InputError(f"{path} holds no group", "It has one group name a line, one line a sample.")
    if stated and len(codes) > len(stated):
        unknown = list(codes)[len(stated)]
        raise InputError(f"{path} has a group {unknown[:40]!r} that its header does not name", "Make it again.")
    if header is None:
        warn_alike(codes, "groups", str(path))
        return GroupList(np.array(group, dtype=np.int64), tuple(codes), Subject.unknown(str(path)))
    where = f"{path}: header"
    num_samples = checked_field(header, "num_samples", int, where)
    if num_samples != len(group) or not line.endswith("\n"):
        raise InputError(f"{path} is cut: {counted(len(group), 'line')} of {num_samples:,}", "Make it again.")
    return GroupList(
        np.array(group, dtype=np.int64),
        tuple(codes),
        Subject.from_json(header, where, str(path)),
        within_class=bool(optional_field(header, "within_class", bool, where)),
        provenance=read_provenance(header.get("provenance"), where),
    )


def read_groups_about(subject: Subject, path: Path, policy: InjectionPolicy) -> GroupList:
    """`read_groups`, of a list that must be about the samples of `subject`, whose number is known: else InputError."""
    found = read_groups(path)
    found.subject.require_same(subject, policy)
    if len(found.group) != subject.num_samples:
        raise InputError(
            f"{path} has {counted(len(found.group), 'line')} for {counted(subject.samples.num_samples, 'training sample')}",
            "One line each.",
        )
    return found


def _stated_names(header: JsonObject, path: Path) -> Sequence[str]:
    """The groups' names in the order of the header; none if it states none."""
    names = optional_field(header, "group_names", list, f"{path}: header") or []
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{path}: header: 'group_names' are not names, each once", "Make it again.")
    return names
