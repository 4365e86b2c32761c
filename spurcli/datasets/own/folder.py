"""An image folder: photos/train/cat/1.jpg, or photos/cat/1.jpg with a seeded split. Each class is a folder."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import FileImages, FolderPaths
from spurcli.datasets.own.foreign_order import SORTED, class_order_note
from spurcli.datasets.own.layout import (
    LOOKS,
    Layout,
    Listing,
    find_layout,
    in_words,
    is_image,
    table_hint,
    typed,
)
from spurcli.datasets.own.naming import Fence, in_order, locate, names_of, require_classes, require_plain
from spurcli.datasets.own.not_classes import (
    masks_of_others,
    repeated_folders,
    require_no_copies,
    require_no_inner_masks,
    require_no_masks,
)
from spurcli.datasets.own.splitting import Samples, Shares, assemble
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import canonical, escaped, warn_alike
from spurcli.registry import near
from spurcli.words import counted


def load(
    *,
    data_root: Path,
    path: str = "",
    image_size: int = 224,
    squash: bool = False,
    classes: str | Sequence[str] = (),
    splits: str | Sequence[str] = (),
    val_share: float | None = None,
    test_share: float | None = None,
    seed: int = 0,
) -> Dataset:
    """The images in the folder `path` of the data root or the working folder, ordered by the bytes of their paths.

    A folder `train` makes the folders splits (val, valid, validation, dev are one; others keep their names), each with a
    folder for each class, and so do names that look like splits (training_set, seg_test); `splits` takes some of them.
    Without them the folders are the classes. Images may be deeper. Ids are paths in the folder. Classes are numbered in
    the order of their numbers or characters, or as the list `classes` says; "sorted" is the order of ImageFolder.

    Raises InputError for a link that leads outside, a class without training images, and any other layout.
    """
    folder = locate(path, data_root)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "Name a folder of images.")
    listing = Listing(Fence.around(folder, data_root))
    layout = find_layout(folder, listing, names_of(splits, "splits"))
    if splits and not layout.has_splits:
        raise UsageError(f"{folder} has no splits, but classes only", "Remove dataset.options.splits.")
    tree = _collect(folder, layout, listing)
    if not tree.names:
        raise InputError(
            f"{folder} holds no images" + ("" if tree.empty else " in class folders"),
            table_hint(folder, [*tree.files, ""], [*tree.files.values(), sorted(tree.passed_over)])
            or "Each class is a folder: photos/cat/1.jpg, photos/train/cat/1.jpg.",
        )
    require_plain(tree.names, str(folder))
    class_names = _class_names(tree, folder, classes)
    _require_known(tree, folder)
    for note in _notes(tree, layout, folder, listing):
        warnings.warn(SpurWarning(note), stacklevel=2)
    position = {name: number for number, name in enumerate(class_names)}
    samples = Samples(
        name=folder.resolve().name,
        class_names=class_names,
        label=np.array([position[name] for name in map(canonical, tree.folders)], dtype=np.int64),
        sample_id=tree.names,
        inputs=lambda index: FileImages(
            FolderPaths(folder, [tree.names[row] for row in index.tolist()]), image_size, squash
        ),
        split=np.array(tree.split, dtype=np.int64),
        split_names=tuple(tree.places) if layout.has_splits else (),
    )
    dataset = assemble(samples, Shares(val_share, test_share, seed))
    warn_alike(class_names, "classes", folder.name)
    return replace(dataset, class_order_note=None if classes else class_order_note(class_names))


@dataclass
class _Tree:
    """What the class folders hold: for each image its path, the folder of its class and the number of its split."""

    names: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    split: list[int] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)  # of the splits that hold images
    left_out: list[str] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)  # beside class folders, by place
    passed_over: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)  # images that may be the masks of others
    empty: list[tuple[str, str]] = field(default_factory=list)  # split, what is there instead
    inner: dict[str, list[str]] = field(default_factory=dict)  # where there are no splits: paths in each class's folder


def _collect(folder: Path, layout: Layout, listing: Listing) -> _Tree:
    """All images in the order of the bytes of their paths. Raises InputError for a class folder of train without any."""
    tree = _Tree()
    for split, place in layout.places.items():
        class_folders, tree.files[place] = listing.look(f"{folder}/{place}")
        num_before = len(tree.names)
        tree.passed_over += [f"{place}{name}" for name in tree.files[place] if is_image(name)]
        require_no_masks(class_folders, f"{folder}/{place}".rstrip("/"))
        inside: dict[str, list[str]] = {}
        for class_folder in class_folders:
            start = f"{place}{class_folder}/"
            others: list[str] = []
            found = _images(folder, start, listing, others)
            if not found:
                tree.empty.append(
                    (split, f"{in_words(start)} holds no images{_endings(others, ' ({count}: {endings})')}")
                )
            tree.names += sorted((start + name for name in found), key=os.fsencode)
            tree.folders += [class_folder] * len(found)
            tree.split += [len(tree.places)] * len(found)
            tree.passed_over += others
            tree.masks += [start + name for name in masks_of_others(found)]
            inside[class_folder] = found
        require_no_inner_masks(class_folders, inside, f"{folder}/{place}".rstrip("/"))
        require_no_copies(class_folders, inside, f"{folder}/{place}".rstrip("/"))
        if not layout.has_splits:
            tree.inner = inside
        if len(tree.names) > num_before or split == "train":
            tree.places[split] = place
        elif layout.has_splits and split in LOOKS:
            raise InputError(
                f"{folder}: {in_words(place)} holds no images in its class folders",
                "Add JPEG or PNG images, or remove it.",
            )
        elif layout.has_splits:
            tree.empty = [(other, what) for other, what in tree.empty if other != split]
            tree.passed_over = [name for name in tree.passed_over if not name.startswith(place)]
            tree.left_out.append(f"{in_words(place)} is left out: it holds no images")
    untrained = [what for split, what in tree.empty if split in ("", "train")]
    if tree.names and untrained:
        more = f", nor do {counted(len(untrained) - 1, 'other class folder')}" if len(untrained) > 1 else ""
        raise InputError(
            f"{folder}: {untrained[0]}{more}",
            "Every class needs training samples: add JPEG or PNG images (or convert the existing files), or move the folder elsewhere.",
        )
    return tree


def _images(folder: Path, start: str, listing: Listing, others: list[str]) -> list[str]:
    """Paths below folder/start of all images there, in no order; reads each folder once and no files."""
    top, fence = f"{folder}/{start}", listing.fence
    found: list[str] = []
    waiting: list[tuple[str, tuple[str, ...]]] = [("", (fence.require(top, top.rstrip("/")),))]
    while waiting:
        place, above = waiting.pop()
        for entry in listing.scan(top + place):
            real = fence.require(entry.path, entry.path) if entry.is_symlink() else f"{above[-1]}/{entry.name}"
            name = place + entry.name
            if entry.is_dir():
                if real in above:
                    raise InputError(f"{entry.path} is a circular link", "Remove it.")
                waiting.append((f"{name}/", (*above, real)))
            elif is_image(name):
                found.append(name)
            else:
                others.append(start + name)
    return found


def _class_names(tree: _Tree, folder: Path, classes: Any) -> tuple[str, ...]:
    """Names of the classes in their order: of numbers or characters, of ImageFolder ("sorted"), or as given."""
    there = in_order(set(tree.folders))
    names = _named_once(there)
    if not all(names):
        raise InputError(
            f"{folder} has a class folder whose name is invisible: {escaped(there[names.index('')])}", "Rename it."
        )
    if len(names) == 1 < len(there):
        written = " and ".join(map(escaped, there))
        raise InputError(
            f"{folder} has one class only: its folders differ only in how their names are encoded: {written}",
            "At least two classes are required.",
        )
    if len(names) == 1 and len({name.partition("/")[0] for name in tree.inner.get(there[0], ()) if "/" in name}) > 1:
        raise InputError(
            f"{folder} holds one folder only, {in_words(there[0])}/",
            f"If its folders are the classes: {typed(folder, there[0])}/",
        )
    if len(names) == 1:
        require_classes(names, str(folder), table_hint(folder, [""], [sorted(path.name for path in folder.iterdir())]))
    if not classes:
        return names
    if classes == SORTED:
        return _named_once(sorted(there))
    if isinstance(classes, str):
        raise UsageError(
            f"dataset.options.classes = {classes!r} is not a list of names",
            f'Write all as ["one", "two"], or {SORTED}.',
        )
    numbers = isinstance(classes, list | tuple) and all(type(name) in (int, str) for name in classes)
    given = names_of([str(name) for name in classes] if numbers else classes, "classes")
    given = tuple(map(canonical, given))
    for name in given:
        if name not in names:
            raise UsageError(
                f"dataset.options.classes: {folder} has no class {name!r}{near(name, names)}",
                f"It has: {_shown(names)}.",
            )
    missing = [name for name in names if name not in given]
    if missing or len(given) > len(names):
        raise UsageError(
            f"dataset.options.classes leaves out {_shown(missing)}"
            if missing
            else "dataset.options.classes names one twice",
            "Name every class once, in the order of their numbers.",
        )
    return given


def _require_known(tree: _Tree, folder: Path) -> None:
    """Raise InputError for a split of which no folder is a class of train: its folders are not classes."""
    classes_of: dict[int, set[str]] = {}
    for number, name in set(zip(tree.split, map(canonical, tree.folders), strict=True)):
        classes_of.setdefault(number, set()).add(name)
    splits = list(tree.places)
    trained = classes_of.get(splits.index("train"), set()) if "train" in splits else set()
    for number, classes in classes_of.items():
        if trained and not classes & trained and not any(near(name, trained) for name in classes):
            others = ", ".join(f'"{in_words(name)}"' for name in splits if name != splits[number])
            raise InputError(
                f"{folder}: {in_words(tree.places[splits[number]])} holds no class of train, but {_few(sorted(classes))}",
                f"Give it train's class folders, or leave it out: --set 'dataset.options.splits=[{others}]'",
            )


def _named_once(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(canonical, folders)))


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(in_words, names[:20])) + (f" and {len(names) - 20:,} more" if len(names) > 20 else "")


def _notes(tree: _Tree, layout: Layout, folder: Path, listing: Listing) -> list[str]:
    """The decisions and the skipped files, one sentence each."""
    notes = [f"{folder.name}: {note}" for note in (*layout.notes, *tree.left_out)]
    notes += [f"{folder.name}: {what}" for split, what in tree.empty if split not in ("", "train")]
    same: dict[tuple[int, str], set[str]] = {}
    for number, name in set(zip(tree.split, tree.folders, strict=True)):
        same.setdefault((number, canonical(name)), set()).add(name)
    for (_, name), folders in sorted(same.items()):
        if len(folders) > 1:
            written = " and ".join(sorted(map(escaped, folders)))
            notes.append(
                f"{folder.name}: folders whose names differ only in their encoding are one class, {name}: {written}"
            )
    inner = repeated_folders(tree.inner) if len(tree.inner) > 1 else ()
    if inner:
        classes = sorted(tree.inner)
        notes.append(
            f"{folder.name}: the classes are {_few(classes)}, and each holds the same folders ({_few(inner)}). If those are the "
            f"classes, name one folder: {typed(folder, classes[0])}/"
        )
    if listing.system:
        counts = Counter(name for _, name in listing.system).most_common(4)
        left = ", ".join(f"{name} ({count:,}×)" if count > 1 else name for name, count in counts)
        notes.append(f"{folder.name}: skipped files of systems or file servers: {left}")
    if tree.masks:
        notes.append(
            f"{folder.name}: {counted(len(tree.masks), 'image')} may be the masks of others, by their names, and are read as samples: "
            f"{_few(sorted(tree.masks))}. If they are, move them elsewhere"
        )
    if tree.passed_over:
        unread = [name for name in tree.passed_over if not is_image(name)]
        stray = len(tree.passed_over) - len(unread)
        what = [
            f"{counted(len(unread), 'file')} of other kinds{_endings(unread, ' ({endings})')}" if unread else "",
            f"{counted(stray, 'image')} outside the class folders" if stray else "",
        ]
        notes.append(f"{folder.name}: skipped: {', '.join(filter(None, what))}: {_few(sorted(tree.passed_over))}")
    return notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(map(in_words, names[:3])) + (", …" if len(names) > 3 else "")


def _endings(names: Sequence[str], form: str) -> str:
    """Files by their endings, most frequent first, in `form`; "" for none."""
    if not names:
        return ""
    endings = Counter(in_words(PurePath(name).suffix.lower()[:12]) or "no ending" for name in names).most_common(4)
    shown = ", ".join(f"{count:,} {ending}" for ending, count in endings)
    return form.format(count=counted(len(names), "file"), endings=shown)
