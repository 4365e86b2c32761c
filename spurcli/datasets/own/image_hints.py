"""Hints for missing images of a table, from the files that exist. Only file names are read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from spurcli.datasets.own.columns import option_flag
from spurcli.datasets.own.layout import is_image, split_look
from spurcli.names import canonical
from spurcli.words import counted

_NUM_NAMES, _NUM_FOLDERS, _NUM_TRIED = 100_000, 200, 50
_MARKS = " '\"[]()"


def look_around(
    written: Sequence[str], begin: str, folder: Path, table: str, *, num_found: int = 0, asked: str = ""
) -> str:
    """One line to do about the images `written` (with / for \\), none of which is in `folder`/`begin`.

    `table` is the name of the table, `num_found` the number of its images that are there, and `asked` the option `folder`.
    """
    first = re.sub(r"^file:/*", "/", written[0])
    if "://" in first:
        return "Nothing is downloaded: save the images below the table's folder, and write their paths from there."
    if len(first) > 300 and "." not in first:
        return "These look like encoded images: write them to files, or use a Parquet file that contains their bytes."
    below = _Below(folder / begin)
    hint = below.same_place(first) or below.other_spelling(first) or below.without_begin(first)
    if hint or num_found:
        return hint or (
            f"The images of {counted(num_found, 'other row')} are there: add these, or remove their rows from the table."
        )
    hint = below.in_folders(written[:_NUM_TRIED], table, begin, asked)
    if not hint and "/".join(_parts(first)) != first:
        return "Images must be below the table's folder: put the table above them, and write paths from there."
    return hint or "Paths start at the table's folder; --set dataset.options.folder=FOLDER names one below it."


@dataclass
class _Below:
    """The content of a folder and its subfolders, each read once."""

    root: Path
    seen: dict[str, frozenset[str]] = field(default_factory=dict)

    def same_place(self, path: str) -> str:
        """A file with another extension or spelling at the path."""
        if path.startswith("/"):
            return ""
        *folders, file = path.split("/")
        place = ""
        for name in folders:
            found = self._alike(place, name)
            if not found:
                return ""
            place += f"{found}/"
        if found := self._alike(place, file):
            return f"There is {place}{found}: write it with the same upper and lower case."
        if ending := self._ending(place, file):
            return f"There is {file}{ending}: add {option_flag('suffix', ending)}"
        stem = file.rpartition(".")[0]
        names = sorted(self._names(place))
        if stem and (other := next((name for name in names if name.rpartition(".")[0] == stem), None)):
            return f"There is {place}{other}: the table has another file extension."
        number = (stem or file).lstrip("0")
        if (stem or file).isdecimal():
            for name in names:
                there = name.rpartition(".")[0]
                if there.isdecimal() and there.lstrip("0") == number and is_image(name):
                    return f"There is {place}{name}: the table has lost zeros, as spreadsheets do."
        return ""

    def other_spelling(self, path: str) -> str:
        """The path with %20 decoded, or without quotation marks."""
        if (other := unquote(path)) != path and self._has(other):
            return f"There is {other}: use this path."
        if (other := path.strip(_MARKS)) != path and self._has(other):
            return f"There is {other}: write it without quotation marks and brackets."
        return ""

    def without_begin(self, path: str) -> str:
        """The path without its first folders, if it exists."""
        parts = _parts(path)
        for start in range(len(parts)):
            rest = "/".join(parts[start:])
            if rest != path and self._has(rest):
                return f"Paths start at the table's folder: write {rest}, without {path[: -len(rest)][-80:]}"
        return ""

    def in_folders(self, written: Sequence[str], table: str, begin: str, asked: str) -> str:
        """The folders that hold all these images, perhaps without their ending; of several the one that matches the table's name."""
        found: dict[str, tuple[str, str]] = {}  # the ending that is missing, and the first image
        for name in sorted(self._names(""))[:_NUM_FOLDERS]:
            for names in (written, [path.rpartition("/")[2] for path in written]):
                if not (self.root / name).is_dir():
                    continue
                endings = [self._missing_ending(f"{name}/", path) for path in names]
                if None not in endings and len(set(endings)) == 1:
                    found.setdefault(name, (endings[0] or "", names[0]))
        if not found:
            return ""
        look = split_look(Path(table).stem)
        first = next((name for name in found if look and (split_look(name) or ("",))[0] == look[0]), next(iter(found)))
        ending, file = found[first]
        if file != written[0]:
            return f"There is {first}/{file}{ending}: use this path."
        others = [name for name in found if name != first]
        which = f" (also in {', '.join(others[:3])}: choose one)" if others else ""
        flags = option_flag("folder", "/".join(filter(None, (asked.strip("/"), first))))
        if ending:
            flags += f" {option_flag('suffix', ending)}"
        if begin:  # paths count from the table's own folder, of which there are several
            return f"There is {begin}/{first}/{file}{ending}{which}: write {first}/ before the names."
        return f"There is {first}/{file}{ending}{which}: add {flags}"

    def _missing_ending(self, place: str, path: str) -> str | None:
        """What to add to a path so that it is an image there; "" if it already is one, None if there is no hint."""
        if self._has(place + path):
            return ""
        above, _, file = path.rpartition("/")
        return self._ending(f"{place}{above}/", file) if path == "/".join(_parts(path)) else None

    def _has(self, path: str) -> bool:
        place, _, file = path.rpartition("/")
        return path == "/".join(_parts(path)) and file in self._names(place) and not (self.root / path).is_dir()

    def _alike(self, place: str, name: str) -> str:
        """The entry of a folder with this name, in any case and Unicode form; "" if there is none."""
        names = self._names(place)
        if name in names or name in ("", ".", ".."):
            return name if name in names else ""
        wanted = canonical(name).casefold()
        return min((there for there in names if canonical(there).casefold() == wanted), default="")

    def _ending(self, place: str, file: str) -> str | None:
        """The extension of the first image with this name; None if there is none."""
        endings = (name[len(file) :] for name in self._names(place) if name.startswith(f"{file}.") and is_image(name))
        return min(endings, default=None)

    def _names(self, place: str) -> frozenset[str]:
        if place not in self.seen:
            try:
                with os.scandir(self.root / place) as entries:
                    self.seen[place] = frozenset(entry.name for entry in islice(entries, _NUM_NAMES))
            except (OSError, ValueError):  # not a folder, or an invalid name
                self.seen[place] = frozenset()
        return self.seen[place]


def _parts(path: str) -> list[str]:
    """The names in a path, without a drive and ".."."""
    return [part for part in re.sub(r"^[A-Za-z]:", "", path).split("/") if part not in ("", ".", "..")]
