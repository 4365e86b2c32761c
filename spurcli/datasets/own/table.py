"""A table of images or texts (CSV, TSV, JSON lines, Parquet), or a Hugging Face data set saved to disk."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import FileImages, FolderPaths, Inputs
from spurcli.datasets.own.columns import Source, Wanted, choose_columns, samples_of, text_ids, texts_of, unique_ids
from spurcli.datasets.own.naming import Fence, is_saved_dataset, locate, names_of
from spurcli.datasets.own.splitting import Shares, assemble
from spurcli.datasets.tables import Reading, Table, column_names, read_table
from spurcli.errors import InputError, MissingFilesError, UsageError

_WHAT, _HINT = "a table", "Name a .csv, .tsv, .jsonl or .parquet file."


def load(
    *,
    data_root: Path,
    path: str = "",
    image_size: int = 224,
    squash: bool = False,
    image: str = "",
    folder: str = "",
    suffix: str = "",
    text: str = "",
    text_pair: str = "",
    label: str = "",
    classes: Sequence[str] = (),
    split: str = "",
    attribute: str | Sequence[str] = (),
    attributes: Sequence[str] = (),
    group: str = "",
    id: str = "",
    val_share: float | None = None,
    test_share: float | None = None,
    seed: int = 0,
    split_values: Mapping[str, str] | None = None,
    separator: str = "",
    quoting: str = "",
    encoding: str = "",
) -> Dataset:
    """The rows of the table `path` in the data root or the working folder, in their order.

    Options called like a column say which column that is, if it has another name. `label` is the class; `classes` are
    names in the wanted order, or names for the numbers 0, 1, …, and `attributes` likewise. There is either `image`, a path
    below the table's folder, or below its folder `folder`, `suffix` added; or `text`, and perhaps `text_pair`. `attribute`
    (one or several) makes groups with the class; `group` names whole groups. Without `split` the split is seeded. Ids are
    the column `id`, else the images' paths, else the line and a hash of the texts.

    Raises InputError that names the line of what cannot be used: no row is dropped.
    """
    place = locate(path, data_root)
    roles = {
        "image": image,
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "split": split,
        "group": group,
        "id": id,
    }
    wanted = Wanted(roles, names_of(attribute, "attribute"), folder, suffix, image_size, squash, _meaning(split_values))
    if not place.is_dir():
        source = read_file(place, wanted, Reading(separator, quoting, encoding), Fence.around(place.parent, data_root))
    elif is_saved_dataset(place):
        from spurcli.datasets.own.huggingface import read_saved

        source = read_saved(place, wanted)
    else:
        raise InputError(f"{place} is a folder, not a table", "A folder of images is the data set 'folder'.")
    samples = samples_of(source, wanted, names_of(classes, "classes"), names_of(attributes, "attributes"))
    return assemble(samples, Shares(val_share, test_share, seed))


def _meaning(split_values: Any) -> Mapping[str, Any]:
    if split_values is not None and not (isinstance(split_values, Mapping) and split_values):
        raise UsageError(
            f"dataset.options.split_values = {split_values!r} is not a table of values and splits",
            'Write it as {0="train", 1="test"}.',
        )
    return split_values or {}


def read_file(path: Path, wanted: Wanted, reading: Reading, fence: Fence) -> Source:
    """What `wanted` asks of a table file; images must be there and within `fence`."""
    roles, attributes = choose_columns(column_names(path, _WHAT, _HINT, reading), wanted, str(path))
    table = read_table(path, list(dict.fromkeys((*roles.values(), *attributes))), _WHAT, _HINT, reading=reading)
    if "image" not in roles:
        if wanted.folder or wanted.suffix:
            raise UsageError(f"dataset.options.folder and suffix are for images, {path} holds texts", "Leave them out.")
        return Source(table, roles, attributes, texts_of(table, roles), text_ids(table, roles))
    folder = path.parent / wanted.folder
    names = _image_names(table, roles["image"], folder, wanted.suffix, fence)

    def images(index: NDArray[np.int64]) -> Inputs:
        return FileImages(FolderPaths(folder, [names[row] for row in index.tolist()]), wanted.image_size, wanted.squash)

    return Source(table, roles, attributes, images, unique_ids(table, names) if "id" not in roles else names)


def _image_names(table: Table, column: str, folder: Path, suffix: str, fence: Fence) -> list[str]:
    """The images' paths in `folder`, all there and within the fence; one look into each folder, none at the files."""
    there: dict[str, dict[str, bool]] = {}
    names, missing = [], []
    for row, written in enumerate(table[column]):
        name = written + suffix
        if not written or name.startswith("/") or ".." in name.split("/") or "\0" in name:
            problem = "empty" if not written else f"{written[:80]!r}, which leads out of {folder}"
            raise InputError(f"{table.where(row)}: {column} is {problem}", "Write paths below the table's folder.")
        if "//" in name or "./" in name:
            name = posixpath.normpath(name)  # one image has one name
        place, _, file = name.rpartition("/")
        if place not in there:
            there[place] = _look_into(f"{folder}/{place}", f"{table.where(row)}: {column}", fence)
        is_link = there[place].get(file)
        if is_link is None:
            missing.append(row)
        elif is_link:
            fence.require(f"{folder}/{name}", f"{table.where(row)}: {column} {name!r}")
        names.append(name)
    if missing:
        raise _missing_images(table, column, missing, folder, suffix, there)
    return names


def _look_into(folder: str, where: str, fence: Fence) -> dict[str, bool]:
    """What lies in a folder, and whether it is a link; nothing if there is no such folder."""
    try:
        if not Path(folder).is_dir():
            return {}
        fence.require(folder, where)
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries}
    except OSError as error:
        raise InputError(f"{where}: {folder} cannot be read ({error.strerror})", "Check its permissions.") from error


def _missing_images(
    table: Table, column: str, missing: list[int], folder: Path, suffix: str, there: dict[str, dict[str, bool]]
) -> InputError:
    first = table[column][missing[0]]
    hint = "Paths count from the table's folder; --set dataset.options.folder=FOLDER names one below it."
    place, _, file = (first + suffix).rpartition("/")
    endings = sorted({name[len(file) :] for name in there.get(place, ()) if name.startswith(f"{file}.")})
    if endings:
        hint = f"There is {file}{endings[0]}: add --set dataset.options.suffix={endings[0]}"
    elif "://" in first:
        hint = "Nothing is downloaded: fetch the images, and write where they lie."
    names = [f"{table[column][row][:200]!r} (line {table.line[row]:,})" for row in missing]
    return MissingFilesError(f"of {len(table):,} images of {table.path} are not in {folder}", hint, names)
