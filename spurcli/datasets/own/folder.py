"""An image folder: photos/train/cat/1.jpg, or photos/cat/1.jpg with a seeded split. Each class is a folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import FileImages, FolderPaths
from spurcli.datasets.own.naming import Fence, in_order, locate, require_classes, require_plain
from spurcli.datasets.own.splitting import Samples, Shares, assemble, split_name
from spurcli.errors import InputError, SpurWarning

# What Pillow reads everywhere.
IMAGE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"}
)
_NOT_MEANT = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def load(
    *,
    data_root: Path,
    path: str = "",
    image_size: int = 224,
    squash: bool = False,
    val_share: float | None = None,
    test_share: float | None = None,
    seed: int = 0,
) -> Dataset:
    """The images in the folder `path` of the data root or the working folder, ordered by the bytes of their paths.

    A folder `train` makes the folders splits (val, valid, validation, dev are one; others keep their names), each with a
    folder for each class; without it the folders are the classes. Images may lie deeper. Ids are paths in the folder.

    Raises InputError for a link that leads outside, a class without training images, and anything not laid out so.
    """
    folder = locate(path, data_root)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", "Name a folder of images.")
    fence = Fence.around(folder, data_root)
    passed_over: list[str] = []
    splits = _split_folders(folder)
    names: list[str] = []
    split, classes = [], []
    for number, place in enumerate(splits.values()):
        passed_over += [f"{place}{entry.name}" for entry in _scan(f"{folder}/{place}") if _is_image(entry.name)]
        for class_name in _folders(folder / place):
            start = f"{place}{class_name}/"
            found = _images(folder, start, fence, passed_over)
            names += sorted((start + name for name in found), key=os.fsencode)
            classes += [class_name] * len(found)
            split += [number] * len(found)
    if not names:
        raise InputError(
            f"{folder} holds no images", "Each class is a folder: photos/cat/1.jpg, photos/train/cat/1.jpg."
        )
    require_plain(names, str(folder))
    if passed_over:
        shown = ", ".join(sorted(passed_over)[:3])
        warnings.warn(
            SpurWarning(
                f"{len(passed_over):,} files in {folder.name} are passed over, being no images by their ending or in no "
                f"class's folder: {shown}"
            ),
            stacklevel=2,
        )
    class_names = in_order(set(classes))
    require_classes(class_names, str(folder))
    position = {name: number for number, name in enumerate(class_names)}
    samples = Samples(
        name=folder.resolve().name,
        class_names=class_names,
        label=np.array([position[name] for name in classes], dtype=np.int64),
        sample_id=names,
        inputs=lambda index: FileImages(
            FolderPaths(folder, [names[row] for row in index.tolist()]), image_size, squash
        ),
        split=np.array(split, dtype=np.int64),
        split_names=() if list(splits) == [""] else tuple(splits),
    )
    return assemble(samples, Shares(val_share, test_share, seed))


def _split_folders(folder: Path) -> dict[str, str]:
    """The folder of each split, "train/" and so on; {"": ""} where the folders are the classes.

    They are splits if train/ holds folders. Classes may be called train, valid or 0 too.
    """
    places = _folders(folder)
    names = {place: place if place.isdecimal() else split_name(place) for place in places}
    if not any(name == "train" and _folders(folder / place) for place, name in names.items()):
        if places and set(names.values()) <= {"train", "val", "test"}:
            raise InputError(
                f"{folder} has {', '.join(places)}, but no train with a folder for each class",
                "Lay it out as train/cat/1.jpg, test/cat/2.jpg.",
            )
        return {"": ""}
    found: dict[str, str] = {}
    for place, name in names.items():
        if name in found:
            raise InputError(f"{folder} has two folders for {name}: {found[name]} and {place}/", "Keep one of them.")
        if not _folders(folder / place):
            raise InputError(
                f"{folder / place} holds no folders",
                f"Beside train it would be the split {name!r}, with a folder for each class; else move it elsewhere.",
            )
        found[name] = f"{place}/"
    return found


def _is_image(name: str) -> bool:
    return name.rpartition(".")[2].lower() in IMAGE_ENDINGS


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _is_meant(entry.name)]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", "Check its permissions.") from error


def _folders(folder: Path) -> list[str]:
    """The folders in a folder, ordered as the paths of what lies in them are."""
    names = [entry.name for entry in _scan(str(folder)) if entry.is_dir()]
    return sorted(names, key=lambda name: os.fsencode(name + "/"))


def _is_meant(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _NOT_MEANT


def _images(folder: Path, start: str, fence: Fence, passed_over: list[str]) -> list[str]:
    """Paths below folder/start of all images there, in no order; one look into each folder, none at the files."""
    top = f"{folder}/{start}"
    found: list[str] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (fence.require(top, top.rstrip("/")),))]
    while waiting:
        place, above = waiting.pop()
        for entry in _scan(top + place):
            real = fence.require(entry.path, entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            name = place + entry.name
            if entry.is_dir():
                if real in above:
                    raise InputError(f"{entry.path} is a link into a circle", "Remove it.")
                waiting.append((f"{name}/", (*above, real)))
            elif _is_image(name):
                found.append(name)
            else:
                passed_over.append(start + name)
    return found
