"""Finding the artefacts in files and folders, and reading them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from spurcli.artifacts import catalogue
from spurcli.artifacts.catalogue import CHECKPOINT, EVALUATION, HISTORY, INDICES, INJECTION, PREDICTIONS, SCORES
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.artifacts.history import read_history
from spurcli.artifacts.indices import IndexFacts, read_index_facts
from spurcli.artifacts.injection import read_injection
from spurcli.artifacts.provenance import portable_path
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError
from spurcli.reporting.values import Table, plain

Kind = Literal["evaluation", "history", "scores", "list", "injection", "checkpoint", "other"]

# The use of each kind of artefact in a report; others are ignored.
_KINDS: dict[str, Kind] = {
    EVALUATION.kind: "evaluation",
    HISTORY.kind: "history",
    SCORES.kind: "scores",
    INDICES.kind: "list",
    INJECTION.kind: "injection",
    CHECKPOINT.kind: "checkpoint",
    PREDICTIONS.kind: "other",
}
_HINT = "Name evaluation.json, history.json, scores.h5, keep.txt, inject.json or folders that hold them."


@dataclass(frozen=True)
class ListFacts:
    """The facts shown for a checked index list, without the indices, which can be hundreds of megabytes."""

    sha256: str
    num_samples: int | None
    num_kept: int | None
    rule: Table
    summary: Table
    provenance: Table

    @classmethod
    def of(cls, facts: IndexFacts) -> ListFacts:
        said = facts.said
        return cls(facts.sha256, said.subject.num_samples, facts.num_kept, said.rule, said.summary, said.provenance)


@dataclass(frozen=True)
class File:
    """One artefact: its kind, the name shown for it, its path, and its content (None for scores and other)."""

    kind: Kind
    name: str
    path: Path
    content: Any = None


@dataclass(frozen=True)
class Gathered:
    """All artefacts found, in a fixed order, and the damaged ones in folders with the reason (name, reason)."""

    files: tuple[File, ...]
    skipped: tuple[tuple[str, str], ...]

    def of(self, kind: Kind) -> list[File]:
        return [file for file in self.files if file.kind == kind]


def gather(places: Sequence[Path]) -> Gathered:
    """Read every artefact in `places`: files, and folders searched recursively.

    Raises InputError for a missing path, for a named file that is damaged or that a report cannot show,
    and if nothing usable is found. A damaged file inside a folder is skipped and listed.
    """
    files: dict[Path, File] = {}
    skipped: list[tuple[str, str]] = []
    for place in places:
        if place.is_dir():
            for path in _walk(place):
                name = path.relative_to(place).as_posix()
                _add_found(files, skipped, path, name if place.name in ("", ".") else f"{place.name}/{name}")
        elif place.exists():
            files.setdefault(place.resolve(), _read_named(place))
        else:
            raise InputError(f"No such file or folder: {place}", _HINT)
    found = tuple(_names_once([file for file in files.values() if file.kind != "other"]))
    if not found:
        where = ", ".join(str(place) for place in places[:3]) or "nothing"
        damaged = f" ({skipped[0][0]}: {skipped[0][1]})" if skipped else ""
        raise InputError(f"Nothing to report on in {where}{damaged}", f"{_HINT} spurcli evaluate makes the first.")
    return Gathered(found, tuple(skipped))


def _names_once(files: Sequence[File]) -> Iterator[File]:
    """The files, with longer names where two places hold files of one name: runs are distinguished by their names."""
    names = Counter(file.name for file in files)
    taken: Counter[str] = Counter()
    for file in files:
        name = file.name if names[file.name] == 1 else portable_path(os.path.relpath(file.path))
        taken[name] += 1
        yield replace(file, name=name if taken[name] == 1 else f"{name} ({taken[name]})")


def _walk(folder: Path) -> Iterator[Path]:
    """Files below `folder` in name order, without hidden files and the state of running stages."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.endswith(".state"))
        for name in sorted(names):
            path = Path(parent) / name
            if not name.startswith(".") and path.is_file():
                yield path


def reason(error: InputError, path: Path) -> str:
    """What is wrong with the file at `path`, without repeating its path."""
    return error.problem.replace(str(path), path.name)


def _add_found(files: dict[Path, File], skipped: list[tuple[str, str]], path: Path, name: str) -> None:
    if path.resolve() in files:
        return
    try:
        kind = _recognise(path) or _expected(path)
        if kind:
            files[path.resolve()] = File(kind, name, path, _read(path, kind))
    except InputError as error:
        skipped.append((name, reason(error, path)))
    except OSError as error:
        skipped.append((name, error.strerror or "cannot be read"))


def _read_named(path: Path) -> File:
    name = portable_path(str(path))
    try:
        kind = _recognise(path) or _expected(path)
        if kind is None and path.suffix == ".json":
            kind = "evaluation"  # its reader says what is wrong
        if kind is None and path.suffix in (".h5", ".hdf5"):
            kind = "scores"
        if kind is None:
            raise InputError(f"{path} is not a file that a report can show", _HINT)
        return File(kind, name, path, _read(path, kind))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}", "Check its permissions.") from error


def _recognise(path: Path) -> Kind | None:
    """The kind that a file states, if its extension is one of an artefact."""
    if not any(path.suffix in artefact.endings for artefact in catalogue.CATALOGUE):
        return None
    found = catalogue.recognise(path)
    return None if found is None else _KINDS.get(found.kind)


def _expected(path: Path) -> Kind | None:
    """The kind of a file by its standard name."""
    for artefact in (EVALUATION, HISTORY, INJECTION, SCORES):
        name = artefact.names[0]
        if path.name == name or path.name.endswith(f".{name}"):
            return _KINDS[artefact.kind]
    return None


def _read(path: Path, kind: Kind) -> Any:
    if kind == "evaluation":
        return plain(read_evaluation(path))
    if kind == "history":
        return plain(read_history(path))
    if kind == "injection":
        return read_injection(path)
    if kind == "list":
        return ListFacts.of(read_index_facts(path))
    if kind == "checkpoint":
        return read_checkpoint_metadata(path)
    if kind == "scores":
        with open_scores(path):  # checks the layout; values are read when they are drawn
            return None
    return None
