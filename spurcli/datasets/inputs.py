"""The inputs of a data set: images that are read by position as uint8, raw texts, or embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.decoding import Stored, look, open_rgb
from spurcli.errors import InputError

if TYPE_CHECKING:
    from PIL import Image


class Images(Protocol):
    """Images of one size, read by position as uint8 [m, height, width, channels].

    `resident` inputs are an array in memory; others are decoded on demand, by worker processes in training.
    """

    @property
    def resident(self) -> bool: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]: ...


@runtime_checkable
class EncodedImages(Images, Protocol):
    """Images that are decoded when they are read, and that name their sources; `spurcli data cache` can store their pixels."""

    size: int
    squash: bool

    def sources(self) -> Iterator[str]:
        """Texts that identify the sources, such as the paths of the files, in order."""
        ...

    def num_bytes(self) -> NDArray[np.int64]:
        """Number of encoded bytes of each image, [n]; a different number means that the image has changed."""
        ...


@runtime_checkable
class StoredImages(Protocol):
    """Images that report how each one is stored; `data check --decode-all` counts this."""

    def stored(self, index: int) -> Stored: ...


@dataclass(frozen=True)
class ArrayImages:
    """Images in memory: `pixels` uint8 [n, height, width, channels]."""

    pixels: NDArray[np.uint8]
    resident = True

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise InputError(
                f"Images are {self.pixels.dtype} of shape {list(self.pixels.shape)}",
                "A data set returns uint8 [n, height, width, channels].",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        height, width, channels = self.pixels.shape[1:]
        return height, width, channels

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.pixels[indices]


@dataclass(frozen=True)
class FolderPaths(Sequence[Path]):
    """Paths below `folder`, created on access: a million names take a third of the memory of a million paths."""

    folder: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> FolderPaths: ...
    def __getitem__(self, index: int | slice) -> Path | FolderPaths:
        if isinstance(index, slice):
            return FolderPaths(self.folder, self.names[index])
        return self.folder / self.names[index]


@dataclass(frozen=True)
class FileImages:
    """Image files, decoded to RGB, made square and resized to `size` pixels on demand.

    Images that are not square are cropped to the centre square; with `squash` the full image is resized to a square.
    """

    paths: Sequence[Path]
    size: int
    squash: bool = False
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, 3

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        batch = np.empty((len(indices), self.size, self.size, 3), dtype=np.uint8)
        for row, index in enumerate(indices.tolist()):
            batch[row] = decode_square(self.paths[index], self.size, squash=self.squash)
        return batch

    def large(self, index: int, most: int) -> NDArray[np.uint8]:
        """One image uint8 [side, side, 3] with more detail, if its file has it: the same square, at most `most` pixels per side, to be shown."""
        picture = _square(self.paths[index], most, squash=self.squash)
        side = min(most, max(*picture.size, self.size))
        from PIL import Image

        return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR), dtype=np.uint8)

    def sources(self) -> Iterator[str]:
        return map(str, self.paths)

    def stored(self, index: int) -> Stored:
        return look(self.paths[index])

    def num_bytes(self) -> NDArray[np.int64]:
        return np.array([path.stat().st_size for path in self.paths], dtype=np.int64)


def decode_square(path: Path, size: int, *, squash: bool = False, content: bytes | None = None) -> NDArray[np.uint8]:
    """Decode one image file: upright RGB (`open_rgb`), centre square (full image with `squash`), bilinear resize.

    `content` is the content of the file, if it was already read; `path` is then only used in errors. Returns uint8
    [size, size, 3]. Raises InputError with the file's name if it is missing or cannot be decoded.
    """
    from PIL import Image

    picture = _square(path, size, squash=squash, content=content)
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def _square(path: Path, at_least: int, *, squash: bool, content: bytes | None = None) -> Image.Image:
    """The centre square of an image (the full image with `squash`), before it is resized."""
    picture = open_rgb(path, at_least=at_least, content=content)
    side = min(picture.size)
    if squash or picture.width == picture.height:
        return picture
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    # Cropped first: resize with a box would let pixels outside it bleed in at the edges.
    return picture.crop((left, top, left + side, top + side))


@dataclass(frozen=True)
class Texts:
    """Raw texts: `columns` holds one or two sequences of n strings each (two: a pair of sentences)."""

    columns: tuple[Sequence[str], ...]

    def __post_init__(self) -> None:
        lengths = [len(column) for column in self.columns]
        if len(lengths) not in (1, 2) or len(set(lengths)) > 1:
            raise InputError(f"Texts have columns of {lengths} strings", "One column, or two of the same length.")

    def __len__(self) -> int:
        return len(self.columns[0])

    def read(self, indices: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """The texts of some samples, a tuple of one or two strings each."""
        return [tuple(column[index] for column in self.columns) for index in indices.tolist()]


@dataclass(frozen=True)
class Vectors:
    """Embeddings that a frozen model made: `values` float32 [n, d], in memory."""

    values: NDArray[np.float32]
    resident = True

    def __post_init__(self) -> None:
        if self.values.dtype != np.float32 or self.values.ndim != 2:
            raise InputError(
                f"Vectors are {self.values.dtype} of shape {list(self.values.shape)}",
                "A data set of vectors returns float32 [n, d].",
            )

    @property
    def shape(self) -> tuple[int]:
        """The number of dimensions."""
        return (int(self.values.shape[1]),)

    def __len__(self) -> int:
        return len(self.values)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.values[indices]


Inputs = Images | Texts | Vectors


def files_of(inputs: Inputs) -> FileImages | None:
    """The files of images, also if their pixels are read from the decoded cache; None for images without files."""
    found = getattr(inputs, "encoded", inputs)
    return found if isinstance(found, FileImages) else None


def kind_of(inputs: Inputs) -> Literal["images", "texts", "vectors"]:
    """The kind of a data set's inputs."""
    return "texts" if isinstance(inputs, Texts) else "vectors" if isinstance(inputs, Vectors) else "images"
