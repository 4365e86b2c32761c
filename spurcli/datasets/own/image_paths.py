"""The images that a table names: found below its folder in common spellings of paths; nothing outside is read."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from spurcli.datasets.own.image_hints import look_around
from spurcli.datasets.own.naming import Fence
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, MissingFilesError
from spurcli.names import canonical, is_missing
from spurcli.words import counted

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def image_paths(
    table: Table, column: str, folder: Path, prefix: Sequence[str], suffix: str, fence: Fence, *, asked: str = ""
) -> tuple[list[str], list[str]]:
    """Paths in `folder` of the image of each row, all existing and within the fence, and their ids.

    `asked` is the option that names `folder`, if it was given. `prefix` [n] is put before the value of the column, if it is not empty. A path is read as it is written if such a file
    is there; else without spaces around, with / for \\, or with its accents in another Unicode form. The id is the path with
    / and without spaces, in the Unicode form of the table. A path from the root of the file system counts if it leads into `folder`.
    Reads each folder once and no files.
    """
    there = _There(folder, fence)
    names, ids, missing = [], [], []
    for row, written in enumerate(table[column]):
        begin = prefix[row] if prefix else ""
        where = f"{table.where(row)}: {column}"
        if not written.strip():
            raise _empty(table, column, row)
        path = _relative(written + suffix, folder)
        if _leads_out(path):
            hint = look_around([_plain(written + suffix)], begin, folder, table.path.name, asked=asked)
            raise InputError(f"{where} is {written[:80]!r}, which points outside {folder}", hint)
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
        raise _missing_images(table, column, missing, folder, prefix, suffix, asked)
    return names, ids


def _relative(name: str, folder: Path) -> str:
    """An absolute path as one relative to `folder` if it is below it; other paths unchanged."""
    if not name.startswith("/"):
        return name
    for base in (os.path.normpath(folder.absolute()), os.path.realpath(folder)):
        if PurePath(name).is_relative_to(base):
            return str(PurePath(name).relative_to(base))
    return name


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/") or "\0" in name or _DRIVE.match(name.strip()) is not None


def _plain(name: str) -> str:
    return name.strip().replace("\\", "/")


@dataclass
class _There:
    """The content of the folders below `folder` that were read."""

    folder: Path
    fence: Fence
    entries: dict[str, dict[str, bool]] = field(default_factory=dict)
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    places: dict[str, str | None] = field(default_factory=dict)

    def find(self, path: str, where: str) -> str | None:
        """The path of a file as the file system spells it; None if it does not exist."""
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
    table: Table, column: str, missing: list[int], folder: Path, prefix: Sequence[str], suffix: str, asked: str
) -> InputError:
    for row in missing:
        if is_missing(table[column][row]):
            raise _empty(table, column, row)
    begin = prefix[missing[0]] if prefix else ""
    written = [_plain(table[column][row] + suffix) for row in missing]
    hint = look_around(written, begin, folder, table.path.name, num_found=len(table) - len(missing), asked=asked)
    names = [f"{table[column][row][:80]!r} ({table.unit} {table.line[row]:,})" for row in missing]
    return MissingFilesError(f"of {counted(len(table), 'image')} of {table.path} are not in {folder}", hint, names)


def _empty(table: Table, column: str, row: int) -> InputError:
    return InputError(f"{table.where(row)}: {column} is empty", "Fill it in, or remove the row.")
