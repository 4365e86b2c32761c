"""Finds the files that an artefact names: artefacts hold no absolute paths, and stages run in any folder.

A stored path is as typed, from the working folder of that command; only the last part of an absolute path is kept. It is
searched in this order: unchanged, from the working folder and the data root; then, with or without its first parts, in
the folder of the file that names it, in the folders above, in the data root, and in the folders next to these. The hash
of an injection decides which file is the right one. Other data must be found in exactly one place, and its fingerprint is checked.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from spurcli.artifacts.injection import read_injection
from spurcli.artifacts.provenance import same_ending
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.errors import InputError

_MOST_NEIGHBOURS = 1000


def same_path(first: Any, second: Any) -> bool:
    """Whether two paths name the same thing as far as is known: the same file, or one path ends with the other."""
    if not isinstance(first, str) or not isinstance(second, str):
        return bool(first == second)
    if _is_there(Path(first)) and _is_there(Path(second)) and Path(first).samefile(second):
        return True
    return same_ending(os.path.normpath(first), os.path.normpath(second))


def find_injection(file: str, sha256: str, named_in: Sequence[Path], data_root: Path) -> Path:
    """The inject.json of this hash that the files `named_in` call `file`.

    Raises InputError if there is none, and the error names the flag to type and any other file of that name.
    """
    others = []
    for path in _candidates(file or "inject.json", named_in, data_root):
        if not _is_there(path) or not path.is_file():
            continue
        try:
            found = read_injection(path).sha256
        except InputError:
            if path == Path(file):
                raise  # this exact file was named, and it is damaged
            continue
        if found == sha256:
            return path
        others.append(path)
    where = str(named_in[0]) if named_in else "The parent file"
    problem = f"{where} needs the injected data set {file[:200]} ({sha256[:12]}), which was not found"
    if others:
        problem += f"; {others[0]} is another injection"
    raise InputError(problem, "Name it with --dataset path/to/inject.json, or make it again with its command.")


def find_own_data(table: Mapping[str, Any], named_in: Sequence[Path], data_root: Path) -> dict[str, Any]:
    """The `dataset` table with the path where a user's own data was found; unchanged if it was not found.

    Raises InputError if several are found, none of them as named: their pixels may differ where their labels do not.
    """
    path = table.get("options", {}).get("path")
    if table.get("name") not in OWN_DATA or not isinstance(path, str) or not path:
        return dict(table)
    if any(_is_there(place) for place in (data_root / path, Path(path))):
        return dict(table)
    found: dict[str, Path] = {}
    # What lies beside a file's own folder counts only where nothing lies in it or above it: each seed of a study has its own copy.
    for candidates in (_likely(path, named_in, data_root), _beside(path, named_in)):
        for candidate in candidates:
            if _is_there(candidate):
                found.setdefault(os.path.realpath(candidate), candidate)
        if found:
            break
    if len(found) > 1:
        places = " and ".join(map(str, list(found.values())[:2]))
        raise InputError(
            f"{named_in[0]} was made with the data {path}, which exists more than once: {places}",
            "Name the folder that holds the right one: --data-root FOLDER",
        )
    if not found:
        return dict(table)
    return {**table, "options": {**table["options"], "path": str(next(iter(found.values())))}}


def _candidates(name: str, named_in: Sequence[Path], data_root: Path) -> Iterator[Path]:
    """Possible locations of `name`, the most likely first, each once."""
    seen = set()
    for place in itertools.chain(_likely(name, named_in, data_root), _beside(name, named_in)):
        if place not in seen:
            seen.add(place)
            yield place


def _likely(name: str, named_in: Sequence[Path], data_root: Path) -> Iterator[Path]:
    """As named, in the folder of each file or above it, and in the data root."""
    yield from (Path(name), data_root / name)
    yield from (base / tail for base in _folders(named_in) for tail in _tails(name))
    yield from (data_root / tail for tail in _tails(name))


def _beside(name: str, named_in: Sequence[Path]) -> Iterator[Path]:
    return (folder / tail for folder in _neighbours(named_in) for tail in _tails(name))


def _tails(name: str) -> list[PurePath]:
    """`name`, and the rest of it without its first parts."""
    parts = PurePath(name).parts
    tails = [PurePath(*parts[start:]) for start in range(len(parts))]
    return [tail for tail in tails if not tail.is_absolute() and tail.name not in ("", "..")]


def _folders(files: Sequence[Path]) -> Iterator[Path]:
    """The folder of each file and those above it; for a link also its target."""
    for file in files:
        for place in (file, Path(os.path.realpath(file))):
            folder = place.parent
            yield from (_as_typed(above, file) for above in (folder.absolute(), *folder.absolute().parents))


def _neighbours(files: Sequence[Path]) -> Iterator[Path]:
    """The folders next to each file, next to its folder, and next to the parent folder."""
    for file in files:
        folder = file.parent.absolute()
        for above in (folder, *list(folder.parents)[:2]):
            try:
                with os.scandir(above) as entries:
                    names = sorted(entry.name for entry in itertools.islice(entries, _MOST_NEIGHBOURS))
            except OSError:
                continue
            yield from (_as_typed(above / name, file) for name in names if not name.startswith("."))


def _as_typed(folder: Path, file: Path) -> Path:
    """`folder` as a path from the working folder, if `file` was named so."""
    return folder if file.is_absolute() else Path(os.path.relpath(folder))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long or not valid for a file
        return False
