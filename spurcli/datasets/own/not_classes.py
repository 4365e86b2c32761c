"""Folders and images that look like classes and samples but are pictures with their masks, or copies: mostly rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spurcli.datasets.own.layout import in_words
from spurcli.errors import InputError
from spurcli.names import canonical

_PICTURES = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "pictures", "photos", "input", "inputs", "original"}
)
_PAINTED = frozenset({"mask", "masks", "annotation", "annotations", "label", "labels", "segmentation", "segmentations",
    "segmentationclass", "segmentationobject", "gt", "groundtruth", "trimaps", "labelcol", "labels_png"})  # fmt: skip
_MASK_OF = re.compile(r"(.+?)[ _-](mask|seg|segmentation|gt|groundtruth|annotation)(?:[ _-]?[0-9]+)?", re.IGNORECASE)


def repeated_folders(found: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The folders that hold all images of every class, if they are the same in each: perhaps the classes are these.

    `found` are the paths of each class's images in its folder.
    """
    inner: set[str] | None = None
    for names in found.values():
        if any("/" not in name for name in names):
            return ()
        here = {canonical(name.partition("/")[0]) for name in names}
        if inner not in (None, here):
            return ()
        inner = here
    return tuple(sorted(inner)) if inner and len(inner) > 1 else ()


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.lower())


def require_no_masks(class_names: Sequence[str], where: str) -> None:
    """Raise InputError if the classes are pictures and their masks or labels."""
    plain = set(map(_bare, class_names))
    if plain & _PICTURES and plain & _PAINTED and plain <= _PICTURES | _PAINTED:
        raise InputError(
            f"{where} has {', '.join(f'{name}/' for name in class_names)}: these look like pictures and their annotations, not like classes",
            "Give each class a folder of its images (photos/cat/1.jpg), or write a table of images and labels.",
        )


def require_no_inner_masks(class_names: Sequence[str], found: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise InputError if classes hold pictures and their masks, each in a folder (`found`: the paths in each class)."""
    for name in class_names:
        inner = {_bare(path.partition("/")[0]): path.partition("/")[0] for path in found.get(name, ()) if "/" in path}
        if inner.keys() & _PICTURES and (painted := sorted(inner.keys() & _PAINTED)):
            place = inner[painted[0]]
            raise InputError(
                f"{where}: {in_words(name)}/ holds {', '.join(f'{folder}/' for folder in sorted(inner.values()))}: pictures and their annotations",
                f"Move the folders {in_words(place)}/ elsewhere, or write a table of images and labels.",
            )


def require_no_copies(class_names: Sequence[str], found: Mapping[str, Sequence[str]], where: str) -> None:
    """Raise InputError if a class folder holds folders named like the other classes, as after unpacking an archive twice."""
    for name in class_names:
        inner = {path.partition("/")[0] for path in found.get(name, ()) if "/" in path}
        others = set(class_names) - {name}
        if len(others) > 1 and others <= inner:
            raise InputError(
                f"{where}: {in_words(name)}/ holds the same folders as the one around it ({', '.join(sorted(others)[:3])})",
                f"Remove {in_words(name)}/ if it is a copy, or use only this folder with --dataset.",
            )


def masks_of_others(names: Sequence[str]) -> list[str]:
    """Images whose names say that they are masks of others that are there: 1.png and 1_mask.png."""
    stems = {name.rpartition(".")[0] for name in names}
    return [name for name in names if (found := _MASK_OF.fullmatch(name.rpartition(".")[0])) and found[1] in stems]
