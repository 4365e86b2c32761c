"""keep.txt, remove.txt and errors.txt: plain text, an index a line under a header that says what they speak about."""

from __future__ import annotations

import hashlib
import itertools
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import atomic_path
from spurcli.artifacts.catalogue import ERRORS, INDICES, Artefact, require_kind
from spurcli.artifacts.envelope import JsonObject, canonical_json, optional_field, parse_json
from spurcli.artifacts.envelope import field as checked_field
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.records import ListRule, RemovalSummary
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.errors import InputError, SpurWarning
from spurcli.words import counted

_ANY_MAGIC = "# spurcli "
_HINT = "Make one with: spurcli prune scores.h5 --fraction 0.1 --per-class"
_ERRORS_HINT = "Make one with: spurcli infer --by mistakes --save-errors errors.txt"
_LINES = 1 << 18
_MAX_HEADER = 1 << 24

Kind = Literal["keep", "remove", "errors"]


@dataclass(frozen=True)
class IndexList:
    """Samples of a training split, ascending, unique int64 `indices`: to keep, to remove, or that a model got wrong."""

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
            stream.write(_lines(index_list.indices[start : start + _LINES]))


def _lines(ascending: NDArray[np.integer[Any]]) -> bytes:
    """A line for each of some ascending positions: three times as fast as `str` of each."""
    found, begin = [], 0
    ends = np.searchsorted(ascending, [10**width for width in range(1, 19)]).tolist()
    for width, end in enumerate([*ends, len(ascending)], 1):
        if end > begin:
            rest: Any = ascending[begin:end].astype(np.uint32 if width < 10 else np.uint64)
            text = np.full((end - begin, width + 1), ord("\n"), dtype=np.uint8)
            for column in reversed(range(width)):
                tenth = rest // 10
                text[:, column] = rest - tenth * 10 + ord("0")
                rest = tenth
            found.append(text.tobytes())
        begin = max(begin, end)
    return b"".join(found)


def read_indices(path: Path, *, bare_kind: Kind = "keep") -> IndexList:
    """Read an index list in any order; a bare list of integers is accepted with a warning, and is of `bare_kind`.

    Raises InputError on duplicates, negative or out-of-range indices, text that is no integer, and a file with
    fewer lines than its header promises (a cut stream). A list of errors does not say what to keep: it is
    read only with `bare_kind="errors"`, which refuses all other lists.
    """
    require_kind(path, INDICES, _HINT, ERRORS)
    with path.open(encoding="utf-8-sig") as stream:  # editors on Windows begin a text with a mark
        try:
            header = read_header_line(stream, path, INDICES)
            indices, complete = _read_integers(stream, path, first_line=1 if header is None else 2)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", _HINT) from error
    if header is None:
        if not len(indices):
            raise InputError(f"{path} holds no index", f"It may be the start of a cut stream. {_HINT}")
        warnings.warn(
            f"{path} is a bare list: nothing could be checked but that the indices fit{_from_one(indices)}",
            SpurWarning,
            stacklevel=2,
        )
        result = IndexList(np.sort(indices), bare_kind, Subject.unknown(str(path)))
    else:
        where = f"{path}: header"
        kind = _checked_kind(header.get("kind"), path, bare_kind)
        num_indices = checked_field(header, "num_indices", int, where)
        if len(indices) != num_indices or not complete:
            raise InputError(
                f"{path} is cut: {len(indices):,} complete indices of {num_indices:,}",
                "The command that wrote it was stopped or its stream was cut; make it again.",
            )
        result = IndexList(
            np.sort(indices),
            kind,
            Subject.from_json(header, where, str(path)),
            rule=cast(ListRule, optional_field(header, "rule", dict, where) or {}),
            summary=cast(RemovalSummary, optional_field(header, "summary", dict, where) or {}),
            provenance=read_provenance(header.get("provenance"), where),
        )
    check_indices(result.indices, result.subject.num_samples, str(path))
    return result


def read_indices_about(subject: Subject, path: Path, policy: InjectionPolicy, *, bare_kind: Kind = "keep") -> IndexList:
    """`read_indices`, of a list that must be about the samples of `subject`, whose number is known: else InputError."""
    found = read_indices(path, bare_kind=bare_kind)
    found.subject.require_same(subject, policy)
    check_indices(found.indices, subject.num_samples, str(path))
    return found


def _from_one(indices: NDArray[np.int64]) -> str:
    """What to say of a list that may count from 1: a smallest index of 1 is the only sign."""
    if indices.min() != 1:
        return ""
    return ". Its smallest index is 1: if it counts from 1, subtract 1 from each, for positions count from 0"


def _checked_kind(kind: Any, path: Path, bare_kind: Kind) -> Kind:
    """The kind that a header states, if it is of use where lists of `bare_kind` are."""
    if kind not in ("keep", "remove", "errors"):
        raise InputError(f"{path} does not state whether its indices are kept or removed", _HINT)
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
    """What an index list says about itself, from its first line alone; {} for a bare list."""
    require_kind(path, INDICES, _HINT, ERRORS)
    with path.open(encoding="utf-8-sig") as stream:
        try:
            return read_header_line(stream, path, INDICES) or {}
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file", _HINT) from error


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
    """The JSON of the first line of a list of this kind; None, and nothing read, if there is no such line."""
    magic = header_start(kind)
    start = stream.readline(_MAX_HEADER)
    if not start.startswith(magic):
        if start.startswith(_ANY_MAGIC):
            raise InputError(f"{path} is another kind of list, or cut: it begins {start[:30].strip()!r}", _HINT)
        stream.seek(0)
        return None
    if len(start) == _MAX_HEADER and not start.endswith("\n"):
        raise InputError(f"{path} has a header longer than any should be", _HINT)
    version, _, text = start[len(magic) :].rstrip("\n").partition(" ")
    if not re.fullmatch("[0-9]{1,9}", version) or not 1 <= int(version) <= kind.version:
        raise InputError(
            f"{path} has version {version[:20]!r}; this spurcli reads {kind.format} up to version {kind.version}",
            "Update spurcli: pip install --upgrade spurcli",
        )
    header = parse_json(text, f"{path}: header")
    if not isinstance(header, dict):
        raise InputError(f"{path} has a header that is not a JSON object", _HINT)
    return header


def _read_integers(stream: TextIO, path: Path, first_line: int) -> tuple[NDArray[np.int64], bool]:
    """All integers of the stream, and whether the last line is complete."""
    blocks: list[NDArray[np.int64]] = []
    last, number = "\n", first_line
    while lines := list(itertools.islice(stream, _LINES)):
        last = lines[-1]
        wanted = [line for line in lines if line[0] != "#" and line != "\n"]
        try:
            text = "".join(wanted)
            if "_" in text or not text.isascii():  # int() takes 1_000 and the digits of other scripts
                raise ValueError
            blocks.append(np.array(list(map(int, wanted)), dtype=np.int64))
        except (ValueError, OverflowError):
            bad = next(i for i, line in enumerate(lines) if line[0] != "#" and line != "\n" and not _is_index(line))
            raise InputError(
                f"{path}, line {number + bad}: {lines[bad].strip()[:40]!r} is not an index", _advice(lines[bad].strip())
            ) from None
        number += len(lines)
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.int64), last.endswith("\n")


def _advice(text: str) -> str:
    """What to do about a line that is not an index, by what it looks like."""
    if re.fullmatch(r"[+-]?[0-9]+\.0*(e[+-]?[0-9]+)?", text, re.ASCII | re.IGNORECASE):
        return "Write integers: np.savetxt(path, indices, fmt='%d')."
    if text.lower() in ("true", "false"):
        return "Of a mask write the positions: np.savetxt(path, np.flatnonzero(mask), fmt='%d')."
    if text[:1] in "[{":
        return "Write one index a line, without brackets."
    if any(separator in text for separator in ",;\t") or re.fullmatch(r"\"?[A-Za-z_][\w ]*\"?", text):
        return "Of a table write one column without its header: df['index'].to_csv(path, index=False, header=False)."
    if re.search(r"[A-Za-z]", text):
        return "Write positions in the training split, from 0, not ids or file names."
    return _HINT


def _is_index(line: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", line, re.ASCII) is not None and -(2**63) <= int(line) < 2**63
