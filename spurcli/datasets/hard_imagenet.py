"""Hard ImageNet: 15 classes with strong spurious cues. Training has few dog sleds, without snow and people, and many skis."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.hard_imagenet_ranks import choose_by_rank
from spurcli.datasets.inputs import FileImages
from spurcli.errors import InputError, MissingFilesError, SpurWarning, UsageError
from spurcli.randomness import generator
from spurcli.words import counted

SOURCE = "https://github.com/mmoayeri/HardImageNet (images of ImageNet, https://image-net.org)"
FOLDER = "HardImageNet_Images"
# Label order: ImageNet index, id, name. Never that of a folder listing.
CLASSES = (
    (537, "n03218198", "dog sled"), (379, "n02492660", "howler monkey"), (785, "n04162706", "seat belt"),
    (795, "n04228054", "ski"), (837, "n04356056", "sunglasses"), (433, "n02807133", "swimming cap"),
    (416, "n02777292", "balance beam"), (602, "n03535780", "horizontal bar"), (706, "n03899768", "patio"),
    (746, "n04019541", "hockey puck"), (655, "n03770439", "miniskirt"), (810, "n04264628", "space bar"),
    (890, "n04540053", "volleyball"), (981, "n09835506", "ballplayer"), (801, "n04251144", "snorkel"),
)  # fmt: skip
CLASS_NAMES = tuple(name for _, _, name in CLASSES)
DOG_SLED, SKI = CLASS_NAMES.index("dog sled"), CLASS_NAMES.index("ski")
# The dog sleds that the paper keeps, n03218198_N: those with the weakest cue.
LISTED = (
    25473, 25440, 24698, 24493, 23919, 23675, 23027, 23029, 22686, 22351, 22159, 21039, 19583, 16165, 15489, 10906,
    10515, 10471, 10400, 10065, 8396, 8387, 8179, 8079, 7993, 7973, 7918, 7693, 230, 263, 736, 745, 945, 991, 1074, 1244,
    1348, 1583, 2088, 2299, 3169, 3264, 3444, 3541, 3937, 4186, 4201, 4603, 5428, 5773, 5963, 6119, 6459, 6663, 7033,
    7038, 7188, 7212, 7321,
)  # fmt: skip
LISTED_FILES = tuple(f"{CLASSES[DOG_SLED][1]}_{number}.JPEG" for number in LISTED)

_NOT_IMAGES = ("thumbs.db", "desktop.ini")  # files that Windows creates
_PART = "use the existing files, which are not the published set: --set dataset.options.available_only=true"
Files = Mapping[str, Sequence[Sequence[str]]]


@dataclass(frozen=True)
class Counts:
    """The published counts: the approximate number of training images before dog sleds and skis are reduced, and test images per class."""

    train: range
    test_per_class: int


PUBLISHED = Counts(train=range(18_050, 19_951), test_per_class=50)  # "about 19,000"; ImageNet's most are 15 · 1,300


def load(
    *,
    data_root: Path,
    image_size: int = 256,
    num_dog_sled: int = len(LISTED),
    num_ski: int = 100,
    ski_seed: int = 0,
    available_only: bool = False,
) -> Dataset:
    """Hard ImageNet from `HardImageNet_Images/` in `data_root`, or `data_root` itself, in the paper's setting.

    Training keeps the 59 dog sleds that the paper lists and `num_ski` skis drawn by `ski_seed`, all other images unchanged;
    another `num_dog_sled` uses that many with the weakest cue, by the ranks in `hardImageNet/meta/`; 0 takes all.
    The test split is the folder `val`; there is no split `val`.

    With `available_only` an incomplete copy is read: the available part of the above; a warning says what is missing.

    Raises InputError if images are missing or misplaced, and for any count that is not the published one.
    """
    return read_folder(
        find_folder(Path(data_root)),
        image_size=image_size,
        num_dog_sled=num_dog_sled,
        num_ski=num_ski,
        ski_seed=ski_seed,
        available_only=available_only,
    )


def find_folder(data_root: Path) -> Path:
    """The folder with `train/` and `val/`; InputError that says how to get them if there is none."""
    for folder in (data_root / FOLDER, data_root):
        if any((folder / "train" / wnid).is_dir() for _, wnid, _ in CLASSES):
            return folder
    raise InputError(
        f"Hard ImageNet is not in {data_root}",
        f"Fetch it from {SOURCE} and put train/ and val/, each with 15 folders, in {data_root / FOLDER}. "
        "--data-root DIR or SPURCLI_DATA_ROOT names another folder; --recipe hard-imagenet-cpu trains on a laptop.",
    )


def read_folder(
    folder: Path,
    *,
    image_size: int,
    num_dog_sled: int = len(LISTED),
    num_ski: int = 100,
    ski_seed: int = 0,
    available_only: bool = False,
    published: Counts = PUBLISHED,
) -> Dataset:
    """As `load`, from the folder itself and with the counts that it must have."""
    for key, value in (("num_dog_sled", num_dog_sled), ("num_ski", num_ski), ("ski_seed", ski_seed)):
        if value < 0:
            raise UsageError(f"dataset.options.{key} = {value} is below 0", "Use 0 for all images.")
    if image_size < 1:
        raise UsageError(f"preprocessing.image_size = {image_size} is below 1", "The paper's is 224.")
    files = {split: [_file_names(folder / split / wnid) for _, wnid, _ in CLASSES] for split in ("train", "val")}
    _refuse_misplaced(folder, files)
    is_part = False
    try:
        _check_published(folder, files, published)
    except InputError:
        if not available_only:
            raise
        is_part = True
    train: list[Sequence[str]] = list(files["train"])
    train[DOG_SLED] = _dog_sleds(folder, train[DOG_SLED], num_dog_sled, whole=not available_only)
    train[SKI] = _skis(train[SKI], num_ski, ski_seed, whole=not available_only)
    if is_part:
        _warn_of_part(folder, train, files["val"])
    splits = {"train": _split(folder / "train", train, image_size)}
    if any(files["val"]):
        splits["test"] = _split(folder / "val", files["val"], image_size)
    stated: list[int | None] = [None] * len(CLASSES)
    stated[DOG_SLED], stated[SKI] = len(LISTED), 100
    return Dataset(
        "hard-imagenet",
        CLASS_NAMES,
        splits,
        published={"train": stated, "test": [published.test_per_class] * len(CLASSES)},
        confusion=(DOG_SLED, SKI),
    )


def _file_names(folder: Path) -> list[str]:
    """The images of a class in the order of their names' bytes; none if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as listing:
        entries = list(listing)
    names = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in _NOT_IMAGES:
            continue
        if not entry.name.lower().endswith((".jpeg", ".jpg")) or not entry.name.isascii() or entry.is_dir():
            raise InputError(
                f"{entry.path} is not a JPEG image",
                "The download may be incomplete. Remove the file, or fetch it again.",
            )
        names.append(entry.name)
    return sorted(names, key=os.fsencode)


def _refuse_misplaced(folder: Path, files: Files) -> None:
    """A training image's name begins with its class's id, and no image is in two folders."""
    first: dict[str, str] = {}
    for split, classes in files.items():
        for (_, wnid, class_name), names in zip(CLASSES, classes, strict=True):
            for name in names:
                where = f"{split}/{wnid}/{name}"
                if split == "train" and not name.startswith(f"{wnid}_"):
                    raise InputError(
                        f"{folder / where} is not a training image of {class_name}: their names begin with {wnid}_",
                        "Move it to where it belongs, or fetch it again.",
                    )
                if name in first:
                    raise InputError(
                        f"{name} occurs twice in {folder}: {first[name]} and {where}", "Remove the one that is wrong."
                    )
                first[name] = where


def _check_published(folder: Path, files: Files, published: Counts) -> None:
    for split, classes in files.items():
        absent = [name for (_, _, name), names in zip(CLASSES, classes, strict=True) if not names]
        if absent:
            raise InputError(
                f"{folder / split} has no images of {', '.join(absent)}", f"Fetch them from {SOURCE}, or {_PART}"
            )
    for (_, _, name), names in zip(CLASSES, files["val"], strict=True):
        if len(names) != published.test_per_class:
            raise InputError(
                f"{folder / 'val'} has {counted(len(names), 'image')} of {name}, not {published.test_per_class}",
                f"Fetch it again from {SOURCE}, or {_PART}",
            )
    total = sum(map(len, files["train"]))
    if total not in published.train:
        fewest = min(zip(files["train"], CLASS_NAMES, strict=True), key=lambda pair: len(pair[0]))
        raise InputError(
            f"{folder / 'train'} has {counted(total, 'image')} (fewest of {fewest[1]}: {len(fewest[0]):,}), not "
            f"{published.train.start:,} to {published.train[-1]:,}",
            f"Fetch it again from {SOURCE}, or {_PART}",
        )
    missing = sorted(set(LISTED_FILES) - set(files["train"][DOG_SLED]))
    if missing:
        raise MissingFilesError(
            f"of the {len(LISTED)} dog sleds without snow and people are not in "
            f"{folder / 'train' / CLASSES[DOG_SLED][1]}",
            f"Fetch them from {SOURCE}, or {_PART}",
            missing,
        )


def _dog_sleds(folder: Path, names: Sequence[str], number: int, *, whole: bool) -> Sequence[str]:
    if number == 0:
        return names
    if number == len(LISTED):
        return [name for name in names if name in LISTED_FILES]
    return choose_by_rank(folder, CLASSES[DOG_SLED][:2], names, number, LISTED_FILES, whole=whole)


def _skis(names: Sequence[str], number: int, seed: int, *, whole: bool) -> Sequence[str]:
    if number > len(names) and whole:
        raise InputError(
            f"There are {len(names):,} skis to train on, {number:,} are requested", "Lower dataset.options.num_ski."
        )
    if number == 0:
        return names
    drawn = generator("skis of hard-imagenet", seed).permutation(len(names))[:number]
    return [names[position] for position in sorted(drawn.tolist())]


def _split(folder: Path, classes: Sequence[Sequence[str]], image_size: int) -> Split:
    """Class by class; an image's id is its path, as in the ranks."""
    ids = [f"{wnid}/{name}" for (_, wnid, _), names in zip(CLASSES, classes, strict=True) for name in names]
    label = np.repeat(np.arange(len(CLASSES), dtype=np.int64), [len(names) for names in classes])
    inputs = FileImages([folder / name for name in ids], image_size)
    return Split(label, inputs, sample_id=[f"{folder.name}/{name}" for name in ids])


def _warn_of_part(folder: Path, train: Sequence[Sequence[str]], test: Sequence[Sequence[str]]) -> None:
    """Warn of the available numbers, and of the classes without an image."""
    parts = []
    for what, classes in (("training", train), ("test", test)):
        absent = [name for name, names in zip(CLASS_NAMES, classes, strict=True) if not names]
        none_of = f" (none of {', '.join(absent)})" if absent else ""
        parts.append(f"{counted(sum(map(len, classes)), f'{what} image')}{none_of}")
    warnings.warn(SpurWarning(f"{folder} is a part of Hard ImageNet: {' and '.join(parts)} are used"), stacklevel=2)
