"""A folder of images with a folder for each split and class, as `spurcli --dataset FOLDER` and ImageFolder read it."""

from __future__ import annotations

import io
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from spurcli.datasets.inputs import Images, Texts, Vectors
from spurcli.datasets.own.stored import SavedImages
from spurcli.errors import InputError
from spurcli.exporting.content import Content, files_of, whole_split

_EXTENSIONS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"GI": ".gif", b"RI": ".webp", b"BM": ".bmp"}


def write_links(content: Content, path: Path) -> None:
    """Symbolic links to the image files."""

    def link(place: Path, source: Path) -> None:
        place.symlink_to(source)

    _write(content, path, link)


def write_copies(content: Content, path: Path) -> None:
    """Copies of the image files; images that are not files are written as they are stored, or as PNG."""
    _write(content, path, lambda place, source: shutil.copyfile(source, place))


def _write(content: Content, path: Path, put: Callable[[Path, Path], object]) -> None:
    for split in (content, *(whole_split(content, name) for name in content.others)):
        files = files_of(split)
        if files is None and put.__name__ == "link":
            raise InputError("The samples are not image files, so there is nothing to link to", "Use --as copies.")
        folders = [folder_of(name) for name in split.columns["class"]]
        _require_apart(split.class_names)
        names = file_names(split.ids, folders)
        for folder in set(folders):
            (path / split.split / folder).mkdir(parents=True, exist_ok=True)
        if files is not None:
            for folder, name, source in zip(folders, names, files, strict=True):
                put(path / split.split / folder / name, source)
        else:
            for folder, name, (ending, encoded) in zip(folders, names, encoded_images(split), strict=True):
                place = path / split.split / folder / name
                (place if place.suffix.lower() == ending else place.with_name(place.name + ending)).write_bytes(encoded)


def folder_of(name: str) -> str:
    """A class as the name of a folder."""
    safe = re.sub(r"[/\\\x00-\x1f]", "_", name)
    return f"_{safe}" if safe.startswith(".") or not safe.strip() else safe


def _require_apart(class_names: Sequence[str]) -> None:
    for folder, count in Counter(folder_of(name).casefold() for name in class_names).items():
        if count > 1:
            raise InputError(f"Two classes would share the folder {folder!r}", "Rename one of the classes.")


def file_names(ids: Sequence[str], folders: Sequence[str]) -> list[str]:
    """A file name for each id, unique within its folder: the id's last part, or all parts where that occurs twice."""
    short = [folder_of(PurePosixPath(identifier).name or identifier) for identifier in ids]
    seen = Counter(zip(folders, (name.casefold() for name in short), strict=True))
    names = [
        name if seen[folder, name.casefold()] == 1 else folder_of(identifier.replace("/", "__"))
        for name, folder, identifier in zip(short, folders, ids, strict=True)
    ]
    again = Counter(zip(folders, (name.casefold() for name in names), strict=True)).most_common(1)
    if again and again[0][1] > 1:
        raise InputError(f"Two images of a class would be called {again[0][0][1]!r}", "Give them ids that differ.")
    return names


def encoded_images(content: Content) -> Iterator[tuple[str, bytes]]:
    """The ending and the bytes of each image: as stored if it is encoded, else PNG of the pixels."""
    assert content.dataset is not None
    inputs = content.dataset.split(content.split).inputs
    if isinstance(inputs, Texts | Vectors):
        kind = "texts" if isinstance(inputs, Texts) else "embeddings"
        raise InputError(f"The samples are {kind}, not images", "Use --as csv, or --as hf for texts.")
    for place in content.index.tolist():
        if isinstance(inputs, SavedImages):
            encoded = inputs.encoded(place)[1]
            yield _EXTENSIONS.get(encoded[:2], ".png"), encoded
        else:
            yield ".png", _png(inputs, place)


def _png(inputs: Images, place: int) -> bytes:
    from PIL import Image

    pixels = inputs.read(np.array([place]))[0]
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return buffer.getvalue()
