"""A user's own data: found by its path, restricted to its folder, its values converted to classes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from spurcli.errors import InputError, UsageError
from spurcli.registry import near

EMBEDDINGS = "embeddings"
OWN_DATA = ("folder", "table", EMBEDDINGS)  # their names; the path distinguishes them
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_BROKEN = re.compile(r"[\ud800-\udfff]")  # bytes of a file name that are not UTF-8
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def locate(path: str, data_root: Path) -> Path:
    """The file or folder `path` in the data root or in the working folder.

    Raises InputError if it is not found, with similar names, or if different ones exist in both.
    """
    if not path:
        raise UsageError("Your own data is not named", "Name it: --dataset photos/, --dataset birds.csv")
    candidates = list(dict.fromkeys((data_root / path, Path(path))))
    found = [candidate for candidate in candidates if exists(candidate)]
    if len(found) == 2 and not found[0].samefile(found[1]):
        raise InputError(f"There is {found[0]}, and another {path} here", "Rename one, or name another --data-root.")
    if found:
        return found[0]
    parents = [candidate.parent for candidate in candidates if exists(candidate.parent)]
    beside = [entry.name for parent in parents for entry in islice(parent.glob("*"), 10_000)]
    raise InputError(
        f"{path[:200]} was not found in {data_root} or in the current folder{near(PurePath(path).name, beside)}",
        "Name the folder that holds it with --data-root or SPURCLI_DATA_ROOT.",
    )


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long or not valid for a file
        return False


@dataclass(frozen=True)
class Fence:
    """Which images may be read: those with a real path in the data set's folder or in the data root."""

    roots: tuple[str, ...]

    @classmethod
    def around(cls, *folders: Path) -> Fence:
        return cls(tuple(os.path.realpath(folder) for folder in folders))

    def require(self, path: str, where: str) -> str:
        """The real location of `path`; InputError that begins with `where` if it is outside or missing."""
        real = os.path.realpath(path)
        if not any(PurePath(real).is_relative_to(root) for root in self.roots):
            raise InputError(
                f"{where} points outside the data root through a link, to {real}",
                "Put the files inside, or name a --data-root that holds them and the data set.",
            )
        if not Path(real).exists():
            raise InputError(f"{where} is a broken link", "Fix or remove it.")
        return real


def in_order(values: set[str]) -> tuple[str, ...]:
    """Names in the order of their numbers if all are numbers, else of their characters."""
    if all(_NUMBER.fullmatch(value) for value in values):
        return tuple(sorted(values, key=lambda value: (float(value), value)))
    return tuple(sorted(values))


def require_classes(names: Sequence[str], where: str, hint: str | None = None) -> None:
    if len(names) < 2:
        hint = hint or "At least two classes are required."
        raise InputError(f"{where} has one class only: {names[0]!r}", hint)


def names_of(value: Any, option: str) -> tuple[str, ...]:
    """An option that takes one name or several."""
    names = [value] if isinstance(value, str) and value else value or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"dataset.options.{option} = {value!r} is not a list of names", 'Write it as ["one", "two"].')
    if len(set(names)) < len(names):
        raise UsageError(f"dataset.options.{option} names one twice: {', '.join(names)}", "Each once.")
    return tuple(names)


def require_plain(sample_id: Sequence[str], where: str) -> None:
    """Raise InputError for an id that is not one line of UTF-8: ids are hashed and written as such."""
    for identifier in sample_id:
        if _CONTROL.search(identifier) or _BROKEN.search(identifier):
            what = (
                "bytes that are not UTF-8"
                if _BROKEN.search(identifier)
                else "a line break or another control character"
            )
            raise InputError(f"{where}: the name {identifier[:60]!r} holds {what}", "Rename it.")
