"""keep.txt, remove.txt and errors.txt: plain text, one index per line under a header that states the data set."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.catalogue import ERRORS, INDICES, Artefact, require_kind
from spurcli.artifacts.envelope import JsonObject, canonical_json, optional_field, parse_json
from spurcli.artifacts.envelope import field as checked_field
from spurcli.artifacts.index_lines import HINT, lines_of, read_blocks
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.records import ListRule, RemovalSummary
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError, SpurWarning
from spurcli.words import counted

_ANY_MAGIC = "# spurcli "
_ERRORS_HINT = "Make one with: spurcli infer --by mistakes --save-errors errors.txt"
_LINES = 1 << 18
_MAX_HEADER = 1 << 24

Kind = Literal["keep", "remove", "errors"]


@dataclass(frozen=True)
class IndexList:
    """Samples of a training split, ascending, unique int64 `indices`: to keep, to remove, or that a model misclassified."""

    indices: NDArray[np.int64]
    kind: Kind
    subject: Subject = field(default_factory=Subject.unknown)
    rule: ListRule = field(default_factory=ListRule)
    summary: RemovalSummary = field(default_factory=RemovalSummary)
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def sha256(self) -> str:
        return indices_sha256(self.indices)

    def num_kept(self, num_samples: int) -> int:
        return len(self.indices) if self.kind == "keep" else num_samples - len(self.indices)

    def kept(self, num_samples: int) -> NDArray[np.int64]:
        """The kept positions, ascending, of a split of `num_samples`."""
        assert self.kind != "errors"
        if self.kind == "keep":
            return self.indices
        mask = np.ones(num_samples, dtype=bool)
        mask[self.indices] = False
        return np.flatnonzero(mask).astype(np.int64)


def indices_sha256(indices: NDArray[np.integer[Any]]) -> str:
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").data).hexdigest()


def write_indices(path: Path, index_list: IndexList) -> None:
    """Write an index list atomically, ascending."""
    header = {
        "kind": index_list.kind,
        **index_list.subject.to_json(),
        "num_samples": index_list.subject.num_samples,
        "num_indices": len(index_list.indices),
        "rule": dict(index_list.rule),
        "summary": dict(index_list.summary),
        "provenance": dict(index_list.provenance),
    }
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(f"{header_start(INDICES)}{INDICES.version} {canonical_json(header)}\n".encode())
        for start in range(0, len(index_list.indices), _LINES):
            stream.write(lines_of(index_list.indices[start : start + _LINES]))


def read_indices(path: Path, *, bare_kind: Kind = "keep") -> IndexList:
    """Read an index list in any order; a bare list of integers is accepted with a warning, and is of `bare_kind`.

    Raises InputError on duplicates, negative or out-of-range indices, text that is not an integer, and a file with
    fewer lines than its header promises (a cut stream). A list of errors does not say what to keep: it is
    read only with `bare_kind="errors"`, which refuses all other lists.
    """
    blocks: list[NDArray[np.int64]] = []
    header, is_complete = _read_into(blocks.append, path)
    indices = np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64)
    blocks.clear()
    indices.sort()
    said = _checked_header(
        header, path, bare_kind, len(indices), is_complete, int(indices[0]) if len(indices) else None
    )
    check_indices(indices, said.subject.num_samples, str(path))
    return replace(said, indices=indices)


@dataclass(frozen=True)
class IndexFacts:
    """The header and number of indices of a checked list, without the indices."""

    said: IndexList
    num_indices: int
    sha256: str

    @property
    def num_kept(self) -> int | None:
        """How many samples are kept; None where the number of all is unknown."""
        num_samples = self.said.subject.num_samples
        if num_samples is None:
            return None
        return self.num_indices if self.said.kind == "keep" else num_samples - self.num_indices


class _NotAscending(Exception):
    pass


def read_index_facts(path: Path, *, bare_kind: Kind = "keep") -> IndexFacts:
    """The checks of `read_indices` without the indices: an ascending list, as spurcli writes it, is not held in memory."""
    digest, ends = hashlib.sha256(), [-1, -1]  # the first and the last index so far
    num_indices = 0

    def take(block: NDArray[np.int64]) -> None:
        nonlocal num_indices
        if not len(block):
            return
        if block[0] <= ends[1] or (block[1:] <= block[:-1]).any():
            raise _NotAscending
        ends[:] = [int(block[0]) if ends[0] < 0 else ends[0], int(block[-1])]
        num_indices += len(block)
        digest.update(np.ascontiguousarray(block, dtype="<i8").data)

    try:
        header, is_complete = _read_into(take, path)
    except _NotAscending:
        found = read_indices(path, bare_kind=bare_kind)
        return IndexFacts(replace(found, indices=found.indices[:0]), len(found.indices), found.sha256)
    said = _checked_header(header, path, bare_kind, num_indices, is_complete, ends[0] if num_indices else None)
    check_indices(np.unique(ends) if num_indices else said.indices, said.subject.num_samples, str(path))
    return IndexFacts(said, num_indices, digest.hexdigest())


def _read_into(take: Callable[[NDArray[np.int64]], None], path: Path) -> tuple[JsonObject | None, bool]:
    """Give the indices to `take`, a block at a time; returns the header, if there is one, and whether the last line is complete."""
    require_kind(path, INDICES, HINT, ERRORS)
    is_complete = True
    with path.open(encoding="utf-8-sig") as stream:  # editors on Windows start a text with a byte-order mark
        try:
            header = read_header_line(stream, path, INDICES)
            for block, ends_line in read_blocks(stream, path, first_line=1 if header is None else 2):
                take(block)
                is_complete = ends_line
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", HINT) from error
    return header, is_complete


def _checked_header(
    header: JsonObject | None, path: Path, bare_kind: Kind, num_indices: int, is_complete: bool, smallest: int | None
) -> IndexList:
    """The header, without the indices, checked against the lines below it."""
    none = np.empty(0, dtype=np.int64)
    if header is None:
        if smallest is None:
            raise InputError(f"{path} holds no index", f"It may be truncated. {HINT}")
        warnings.warn(
            f"{path} is a plain list: only the range of the indices can be checked{_from_one(smallest)}",
            SpurWarning,
            stacklevel=3,
        )
        return IndexList(none, bare_kind, Subject.unknown(str(path)))
    where = f"{path}: header"
    kind = _checked_kind(header.get("kind"), path, bare_kind)
    promised = checked_field(header, "num_indices", int, where)
    if num_indices != promised or not is_complete:
        raise InputError(
            f"{path} is truncated: {num_indices:,} complete indices of {promised:,}",
            "The command that wrote it may have been stopped. Make it again.",
        )
    return IndexList(
        none,
        kind,
        Subject.from_json(header, where, str(path)),
        rule=cast(ListRule, optional_field(header, "rule", dict, where) or {}),
        summary=cast(RemovalSummary, optional_field(header, "summary", dict, where) or {}),
        provenance=read_provenance(header.get("provenance"), where),
    )


def read_indices_about(subject: Subject, path: Path, policy: InjectionPolicy, *, bare_kind: Kind = "keep") -> IndexList:
    """`read_indices`, of a list that must be about the samples of `subject`, whose number is known: else InputError."""
    found = read_indices(path, bare_kind=bare_kind)
    found.subject.require_same(subject, policy)
    check_indices(found.indices, subject.num_samples, str(path))
    return found


def _from_one(smallest: int) -> str:
    """A note on a list that may count from 1; the only sign is a smallest index of 1."""
    if smallest != 1:
        return ""
    return ". The smallest index is 1: positions start at 0, so subtract 1 from each index if the list counts from 1"


def _checked_kind(kind: Any, path: Path, bare_kind: Kind) -> Kind:
    """The kind that a header states, if it can be used in place of `bare_kind`."""
    if kind not in ("keep", "remove", "errors"):
        raise InputError(f"{path} does not state whether its indices are kept or removed", HINT)
    if kind == "errors" and bare_kind != "errors":
        raise InputError(
            f"{path} lists a model's errors, not samples to keep or remove",
            f"Train with it: spurcli train --method jtt --errors {path}",
        )
    if kind != "errors" and bare_kind == "errors":
        raise InputError(f"{path} lists samples to {kind}, not a model's errors", _ERRORS_HINT)
    found: Kind = kind
    return found


def read_list_header(path: Path) -> JsonObject:
    """The header of an index list, from its first line alone; {} for a bare list."""
    require_kind(path, INDICES, HINT, ERRORS)
    with path.open(encoding="utf-8-sig") as stream:
        try:
            return read_header_line(stream, path, INDICES) or {}
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", HINT) from error


def check_indices(ascending: NDArray[np.int64], num_samples: int | None, where: str) -> None:
    """Raise InputError if sorted indices repeat or lie outside [0, num_samples)."""
    repeats = np.flatnonzero(ascending[1:] == ascending[:-1])
    if len(repeats):
        hint = "Make the list again."
        if len(ascending) > 2 and ascending[0] >= 0 and ascending[-1] <= 1:
            hint = "It looks like a mask of 0 and 1. Write the positions: np.savetxt(path, np.flatnonzero(mask), fmt='%d')."
        raise InputError(f"{where} holds index {int(ascending[repeats[0]]):,} more than once", hint)
    if len(ascending) and (ascending[0] < 0 or (num_samples is not None and ascending[-1] >= num_samples)):
        bad = int(ascending[0] if ascending[0] < 0 else ascending[-1])
        raise InputError(
            f"{where} holds index {bad:,}, outside the {counted(num_samples or 0, 'sample')} of the split",
            "The list belongs to another data set, or counts from 1: indices start at 0.",
        )


def header_start(kind: Artefact) -> str:
    """How the first line of a list begins, up to its version: "# spurcli indices v"."""
    return f"# {kind.format.replace('.', ' ')} v"


def read_header_line(stream: TextIO, path: Path, kind: Artefact) -> JsonObject | None:
    """The JSON of the first line of a list of this kind; None if there is no such line, and then nothing is read."""
    magic = header_start(kind)
    start = stream.readline(_MAX_HEADER)
    if not start.startswith(magic):
        if start.startswith(_ANY_MAGIC):
            raise InputError(f"{path} is another kind of list, or damaged: it begins {start[:30].strip()!r}", HINT)
        stream.seek(0)
        return None
    if len(start) == _MAX_HEADER and not start.endswith("\n"):
        raise InputError(f"{path} has a header that is too long", HINT)
    version, _, text = start[len(magic) :].rstrip("\n").partition(" ")
    if not re.fullmatch("[0-9]{1,9}", version) or not 1 <= int(version) <= kind.version:
        raise InputError(
            f"{path} has version {version[:20]!r}; this spurcli reads {kind.format} up to version {kind.version}",
            "Update spurcli: pip install --upgrade spurcli",
        )
    header = parse_json(text, f"{path}: header")
    if not isinstance(header, dict):
        raise InputError(f"{path} has a header that is not a JSON object", HINT)
    return header
