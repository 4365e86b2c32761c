"""Where data sets, weights and caches are looked for, and what is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from spurcli.datasets import celeba_files, cifar10, hard_imagenet, multinli, waterbirds
from spurcli.errors import InputError

_FOLDER_OF: Mapping[str, Callable[[Path], Path]] = {
    "cifar10": cifar10.find_folder,
    "celeba, celeba-hair": lambda root: celeba_files.find_folder(root, "celeba-cpu"),
    "waterbirds": waterbirds.find_folder,
    "hard-imagenet": hard_imagenet.find_folder,
    "multinli": multinli.find_folder,
}


class Place(TypedDict):
    """A folder: `said_by` is the flag or variable that names it, "" for the standard one. `free` bytes are left on its disk, or on
    that of the nearest folder above it."""

    folder: str
    said_by: str
    exists: bool
    writable: bool
    free: int


class FoundSet(TypedDict):
    """A benchmark: the `folder` it was found in, else None and the `hint` that says where to get it and put it."""

    name: str
    folder: str | None
    hint: str


class Stored(TypedDict):
    """A file or folder of weights, or the cache of a data set, with its size."""

    name: str
    bytes: int


def place(folder: Path, said_by: str = "") -> Place:
    """What can be done in a folder. Nothing is created or written."""
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return Place(
        folder=str(folder),
        said_by=said_by,
        exists=folder.is_dir(),
        writable=nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK),
        free=shutil.disk_usage(nearest).free,
    )


def benchmarks(data_root: Path) -> list[FoundSet]:
    """The benchmarks in a data root, by their first files: `spurcli data check NAME` looks at all of them."""
    found = []
    for name, find in _FOLDER_OF.items():
        try:
            found.append(FoundSet(name=name, folder=str(find(data_root)), hint=""))
        except (InputError, OSError) as error:
            found.append(FoundSet(name=name, folder=None, hint=getattr(error, "hint", str(error))))
    return found


def stored_in(folder: Path) -> list[Stored]:
    """What is in a folder, with sizes, in the order of names; [] where it is not there or not readable."""
    try:
        entries = sorted((each for each in folder.iterdir() if each.name[0] != "."), key=lambda each: each.name)
    except OSError:
        return []
    return [Stored(name=each.name + "/" * each.is_dir(), bytes=_size(each)) for each in entries]


def _size(path: Path) -> int:
    files = [path]
    if path.is_dir():
        files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    return sum(each.stat().st_size for each in files if each.is_file())
