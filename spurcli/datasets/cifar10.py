"""CIFAR-10 from its binary or its python batches: same pixels, same order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import require_file
from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.inputs import ArrayImages
from spurcli.datasets.unpickle import read_pickled_dict
from spurcli.errors import InputError
from spurcli.words import counted

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
IMAGES_PER_BATCH = 10_000
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

_PIXELS = 3 * 32 * 32  # red plane, green plane, blue plane
_RECORD = 1 + _PIXELS  # a byte for the label before them
_FETCH_AGAIN = f"Unpack the archive again; it comes from {SOURCE} (SHA-256 {SHA256})."


def load(*, data_root: Path) -> Dataset:
    """CIFAR-10 from `cifar-10-batches-bin/` or `cifar-10-batches-py/` in `data_root`, or `data_root` itself.

    If both are there the binary batches are read: they are faster and not pickles. Splits train (50,000) and test
    (10,000), uint8 [n, 32, 32, 3], in the order of the batch files; the index is the sample's id.

    Raises InputError if a file is missing, truncated or not of the published size and class balance.
    """
    return read_folder(find_folder(Path(data_root)))


def find_folder(data_root: Path) -> Path:
    """The folder with CIFAR-10's batches; InputError that says how to get them if there is none."""
    candidates = (data_root / "cifar-10-batches-bin", data_root / "cifar-10-batches-py", data_root)
    for folder in candidates:
        if any((folder / f"{name}{ending}").is_file() for name in _all_batches() for ending in ("", ".bin")):
            return folder
    raise InputError(
        f"CIFAR-10 is not in {data_root}",
        f"Fetch {SOURCE} (SHA-256 {SHA256}), unpack it with tar -xzf, and put its folder at "
        f"{data_root / 'cifar-10-batches-py'}. --data-root DIR or SPURCLI_DATA_ROOT names another folder; "
        "--recipe cifar10-cpu trains on a laptop.",
    )


def read_folder(folder: Path, images_per_batch: int = IMAGES_PER_BATCH) -> Dataset:
    """Read and check the six batches of `folder`, each of `images_per_batch` images, a tenth of each class."""
    is_binary = any((folder / f"{name}.bin").is_file() for name in _all_batches())
    _check_class_names(folder, is_binary)
    splits, published = {}, {}
    for split, names in BATCHES.items():
        num_images = len(names) * images_per_batch
        pixels = np.empty((num_images, 32, 32, 3), dtype=np.uint8)
        label = np.empty(num_images, dtype=np.int64)
        for number, name in enumerate(names):
            path = folder / (f"{name}.bin" if is_binary else name)
            planes, codes = (_read_binary if is_binary else _read_python)(path)
            _check_batch(path, codes, images_per_batch)
            here = slice(number * images_per_batch, (number + 1) * images_per_batch)
            pixels[here] = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            label[here] = codes
        check_balance(split, label, num_images // len(CLASS_NAMES))
        published[split] = [num_images // len(CLASS_NAMES)] * len(CLASS_NAMES)
        splits[split] = Split(label, ArrayImages(pixels))
    return Dataset("cifar10", CLASS_NAMES, splits, published=published)


def check_balance(split: str, label: NDArray[np.int64], num_per_class: int) -> None:
    """Raise `InputError` unless each class has `num_per_class` samples in `label` int64 [n]."""
    counts = np.bincount(label, minlength=len(CLASS_NAMES)).tolist()
    for name, count in zip(CLASS_NAMES, counts, strict=True):
        if count != num_per_class:
            raise InputError(
                f"CIFAR-10's {split} has {counted(count, 'image')} of {name}, not {num_per_class:,}", _FETCH_AGAIN
            )


def _all_batches() -> tuple[str, ...]:
    return BATCHES["train"] + BATCHES["test"]


def _check_batch(path: Path, label: NDArray[np.int64], num_images: int) -> None:
    if len(label) != num_images:
        raise InputError(f"{path} has {counted(len(label), 'image')}, not {num_images:,}", _FETCH_AGAIN)
    bad = np.flatnonzero((label < 0) | (label >= len(CLASS_NAMES)))
    if len(bad):
        raise InputError(f"{path}: image {bad[0]:,} has the label {label[bad[0]]}, outside 0..9", _FETCH_AGAIN)


def _read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels uint8 [n, 3072] and labels int64 [n] of a .bin file."""
    require_file(path, "a batch of CIFAR-10", _FETCH_AGAIN)
    num_bytes = path.stat().st_size
    if num_bytes % _RECORD:
        raise InputError(
            f"{path} is truncated or damaged: {counted(num_bytes, 'byte')} are not a multiple of the {_RECORD:,} bytes of a record",
            _FETCH_AGAIN,
        )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, _RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels uint8 [n, 3072] and labels int64 [n] of a pickled batch."""
    require_file(path, "a batch of CIFAR-10", _FETCH_AGAIN)
    content = read_pickled_dict(path)
    planes, codes = content.get("data"), content.get("labels")
    if not isinstance(planes, np.ndarray) or planes.shape[1:] != (_PIXELS,):
        raise InputError(f"{path} holds no array 'data' of {_PIXELS:,} bytes an image", _FETCH_AGAIN)
    if not isinstance(codes, list) or not all(type(code) is int and 0 <= code < 256 for code in codes):
        raise InputError(f"{path} holds no list 'labels' of integers", _FETCH_AGAIN)
    if len(codes) != len(planes):
        raise InputError(f"{path} has {counted(len(planes), 'image')} and {counted(len(codes), 'label')}", _FETCH_AGAIN)
    return planes, np.array(codes, dtype=np.int64)


def _check_class_names(folder: Path, is_binary: bool) -> None:
    """Check the meaning of the label numbers; the file with the names may be absent."""
    path = folder / ("batches.meta.txt" if is_binary else "batches.meta")
    if not path.is_file():
        return
    names: Sequence[object]
    if is_binary:
        names = path.read_text(encoding="latin1").split()
    else:
        listed = read_pickled_dict(path).get("label_names")
        names = listed if isinstance(listed, list) else []
    found = tuple(name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names)
    if found != CLASS_NAMES:
        raise InputError(
            f"{path} lists other classes than CIFAR-10's: {', '.join(found)[:80] or 'none'}",
            "CIFAR-100 and subsets are not read; point --data-root at CIFAR-10.",
        )
