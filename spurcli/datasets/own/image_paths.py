"""The images that a table names: found below its folder as people write paths, and nothing outside is read."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath

from spurcli.datasets.own.naming import Fence
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, MissingFilesError
from spurcli.names import canonical

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_NUM_LOOKED_AT = 200


def image_paths(
    table: Table, column: str, folder: Path, prefix: Sequence[str], suffix: str, fence: Fence
) -> tuple[list[str], list[str]]:
    """Paths in `folder` of the image of each row, all there and within the fence, and their ids.

    `prefix` [n] is put before what the column holds, where it is not empty. A path is read as it is written if such a file
    is there; else without spaces around, with / for \\, or with its accents in another Unicode form. The id is the path with
    / and without spaces, in the Unicode form of the table. A path from the root of the file system counts if it leads into `folder`.
    One look into each folder, none at the files.
    """
    there = _There(folder, fence)
    names, ids, missing = [], [], []
    for row, written in enumerate(table[column]):
        begin = prefix[row] if prefix else ""
        where = f"{table.where(row)}: {column}"
        path = _relative(written + suffix, folder, where)
        if _leads_out(path):
            problem = "empty" if not written.strip() else f"{written[:80]!r}, which leads out of {folder}"
            raise InputError(f"{where} is {problem}", "Write paths below the table's folder.")
        found = there.find(posixpath.join(begin, path), where)
        if found is None:
            plain = _plain(written + suffix)
            if plain != path and not _leads_out(plain):
                found, path = there.find(posixpath.join(begin, plain), where), plain
        if found is None:
            missing.append(row)
            found = path
        elif found != posixpath.join(begin, path):
            path = path.strip()
        names.append(found)
        ids.append(posixpath.normpath(posixpath.join(begin, path)))
    if missing:
        raise _missing_images(table, column, missing, folder, prefix, suffix, there)
    return names, ids


def _relative(name: str, folder: Path, where: str) -> str:
    """A path from the root of the file system, as one from `folder` if it leads there; others as they are."""
    if _DRIVE.match(name.strip()):
        raise InputError(
            f"{where} is {name[:80]!r}, a path of another computer", "Write paths below the table's folder."
        )
    if not name.startswith("/"):
        return name
    for base in (os.path.normpath(folder.absolute()), os.path.realpath(folder)):
        if PurePath(name).is_relative_to(base):
            return str(PurePath(name).relative_to(base))
    return name


def _leads_out(name: str) -> bool:
    return not name.strip() or name.startswith("/") or ".." in name.split("/") or "\0" in name


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/")


@dataclass
class _There:
    """What is in the folders below `folder` that were looked into."""

    folder: Path
    fence: Fence
    entries: dict[str, dict[str, bool]] = field(default_factory=dict)
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[str, str | None] = field(default_factory=dict)

    def find(self, path: str, where: str) -> str | None:
        """The path of a file as the file system spells it; None if it is not there."""
        if "//" in path or "./" in path:
            path = posixpath.normpath(path)  # one image has one name
        place, _, file = path.rpartition("/")
        if place not in self.places:
            self.places[place] = self._place(place, where)
        spelled = self.places[place]
        if spelled is None:
            return None
        name = self._entry(spelled, file, where)
        if name is None:
            return None
        found = f"{spelled}/{name}" if spelled else name
        if self.entries[spelled][name]:
            self.fence.require(f"{self.folder}/{found}", f"{where} {path!r}")
        return found

    def _place(self, place: str, where: str) -> str | None:
        """A folder as the file system spells it."""
        if not place or self._look(place, where):
            return place
        above, _, name = place.rpartition("/")
        spelled = self._place(above, where)
        entry = None if spelled is None else self._entry(spelled, name, where)
        return None if entry is None else posixpath.join(spelled or "", entry)

    def _entry(self, place: str, name: str, where: str) -> str | None:
        entries = self._look(place, where)
        if name in entries or name.isascii():
            return name if name in entries else None
        if place not in self.forms:
            self.forms[place] = {canonical(entry): entry for entry in entries}
        return self.forms[place].get(canonical(name))

    def _look(self, place: str, where: str) -> dict[str, bool]:
        """What is in a folder, and whether it is a link; nothing if there is no such folder."""
        if place not in self.entries:
            self.entries[place] = self._scan(f"{self.folder}/{place}", where)
        return self.entries[place]

    def _scan(self, folder: str, where: str) -> dict[str, bool]:
        try:
            if not Path(folder).is_dir():
                return {}
            self.fence.require(folder, where)
            with os.scandir(folder) as entries:
                return {entry.name: entry.is_symlink() for entry in entries}
        except OSError as error:
            raise InputError(
                f"{where}: {folder} cannot be read ({error.strerror})", "Check its permissions."
            ) from error


def _missing_images(
    table: Table, column: str, missing: list[int], folder: Path, prefix: Sequence[str], suffix: str, there: _There
) -> InputError:
    row = missing[0]
    written = _plain(table[column][row] + suffix)
    hint = _look_around(written, prefix[row] if prefix else "", folder, there)
    names = [f"{table[column][row][:200]!r} ({table.unit} {table.line[row]:,})" for row in missing]
    return MissingFilesError(f"of {len(table):,} images of {table.path} are not in {folder}", hint, names)


def _look_around(written: str, begin: str, folder: Path, there: _There) -> str:
    """What to do about an image that is not there, from what is."""
    if "://" in written:
        return "Nothing is downloaded: fetch the images, and write their paths below the table's folder."
    path = posixpath.join(begin, written)
    place, _, file = path.rpartition("/")
    beside = there.entries.get(place, {})
    endings = sorted({name[len(file) :] for name in beside if name.startswith(f"{file}.")})
    if endings:
        return f"There is {file}{endings[0]}: add --set dataset.options.suffix={endings[0]}"
    for name in beside:
        if canonical(name).casefold() == canonical(file).casefold():
            return f"There is {posixpath.join(place, name)}: write it with the same upper and lower case."
    stem = file.rpartition(".")[0]
    if stem:
        for name in beside:
            if name.rpartition(".")[0] == stem:
                return f"There is {posixpath.join(place, name)}: the table has another ending."
    first, _, rest = written.partition("/")
    try:
        if rest and (folder / begin / rest).exists():
            return f"Paths count from the table's folder: write {rest}, without {first}/."
        with os.scandir(folder) as entries:
            for entry in islice(entries, _NUM_LOOKED_AT):
                if entry.is_dir() and (Path(entry.path) / written).exists():
                    return f"There is {entry.name}/{written}: add --set dataset.options.folder={entry.name}"
    except (OSError, ValueError):
        pass
    return "Paths count from the table's folder; --set dataset.options.folder=FOLDER names one below it."
