"""A table of images or texts (CSV, TSV, JSON lines, Parquet), or a Hugging Face data set saved to disk."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import FileImages, FolderPaths, Inputs
from spurcli.datasets.own.columns import Source, Wanted, choose_columns, samples_of, text_ids, texts_of, unique_ids
from spurcli.datasets.own.image_paths import image_paths
from spurcli.datasets.own.kinds import Content, content_of
from spurcli.datasets.own.naming import Fence, locate, names_of
from spurcli.datasets.own.rows import chosen_rows, without_label
from spurcli.datasets.own.split_column import warn_unused
from spurcli.datasets.own.splitting import Shares, assemble, split_name
from spurcli.datasets.tables import Reading, Table, column_names, read_table
from spurcli.datasets.tables_parquet import class_names, image_columns
from spurcli.datasets.tables_text import without_packing
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.registry import Options

_WHAT, _HINT = "a table", "Name a .csv, .tsv, .jsonl, .json or .parquet file."


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
    splits: Sequence[str] = (),
    separator: str = "",
    quoting: str = "",
    encoding: str = "",
) -> Dataset:
    """The rows of the table `path` in the data root or the working folder, in their order.

    Options named like a column set the name of this column. `label` is the class; `classes` are
    names in the wanted order, or names for the numbers 0, 1, …, and `attributes` likewise. There is either `image`, a path
    below the table's folder, or below its folder `folder`, `suffix` added; or `text`, and perhaps `text_pair`. `attribute`
    (one or several) makes groups with the class; `group` names whole groups. Without `split` the split is seeded. Ids are
    the column `id`, else the images' paths, else the line and a hash of the texts.

    Raises InputError that names the line of an unusable value: no row is dropped.
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
    wanted = Wanted(
        roles,
        names_of(attribute, "attribute"),
        folder,
        suffix,
        image_size,
        squash,
        _meaning(split_values),
        names_of(splits, "splits"),
    )
    content = content_of(place)
    reading = Reading(separator, quoting, encoding)
    if content.kind == "saved":
        from spurcli.datasets.own.huggingface import read_saved

        source = read_saved(place, wanted)
    elif content.kind == "parquet":
        from spurcli.datasets.own.hub import read_hub

        source = read_hub(place, content.parts, wanted)
    elif content.kind == "images":
        raise InputError(f"{place} is a folder, not a table", "A folder of images is the data set 'folder'.")
    else:
        fence = Fence.around(place if place.is_dir() else place.parent, data_root)
        source = read_files(place, dict(content.parts), wanted, reading, fence)
        _say_passed_over(place, content)
    samples = samples_of(source, names_of(classes, "classes"), names_of(attributes, "attributes"))
    return assemble(samples, Shares(val_share, test_share, seed))


def _say_passed_over(place: Path, content: Content) -> None:
    guessed = [
        f"{path.name} as {split}"
        for split, path in content.parts
        if split not in ("", without_packing(path).stem, path.parent.name)
    ]
    if guessed:
        warnings.warn(
            SpurWarning(f"{place}: read as splits because of their names: {', '.join(guessed)}"), stacklevel=3
        )
    if content.passed_over:
        shown = ", ".join(content.passed_over[:3]) + (", …" if len(content.passed_over) > 3 else "")
        warnings.warn(SpurWarning(f"{place}: tables that are not read: {shown}"), stacklevel=3)


def _meaning(split_values: Any) -> Options:
    if split_values is not None and not (isinstance(split_values, Mapping) and split_values):
        raise UsageError(
            f"dataset.options.split_values = {split_values!r} is not a table of values and splits",
            'Write it as {0="train", 1="test"}.',
        )
    return split_values or {}


def read_files(place: Path, files: Mapping[str, Path], wanted: Wanted, reading: Reading, fence: Fence) -> Source:
    """The content that `wanted` selects from table `files`, one for each split ("" for the only one); images must be there and in `fence`.

    Paths count from each file's folder. Where there are several files, ids of texts begin with their names.
    """
    known = {name: column_names(path, _WHAT, _HINT, reading) for name, path in files.items()}
    first = next((name for name in known if split_name(name) == "train"), next(iter(known)))
    roles, attributes = choose_columns(known[first], wanted, str(files[first]))
    images = "image" in roles
    if images and roles["image"] in image_columns(files[first]):
        from spurcli.datasets.own.hub import read_hub

        return read_hub(place, list(files.items()), wanted)
    if not images and (wanted.folder or wanted.suffix):
        raise UsageError(f"dataset.options.folder and suffix are for images, {place} holds texts", "Remove them.")
    kept = without_label(known, roles["label"], wanted, place)
    if not wanted.roles["split"] and not all(roles.get("split") in known[name] for name in kept):
        roles.pop("split", None)
    columns = list(dict.fromkeys((*roles.values(), *attributes)))
    tables = {name: read_table(files[name], columns, _WHAT, _HINT, reading=reading) for name in kept}
    if "" in tables and "split" not in roles:
        left = [name for name in known[first] if name not in columns]
        warn_unused(
            left, lambda name: read_table(files[first], [name], _WHAT, _HINT, reading=reading)[name], str(place)
        )
    names = class_names(files[first], roles["label"])
    splits = [] if "" in tables else [split_name(name) for name, table in tables.items() for _ in range(len(table))]
    table = _with_names(_joined(place, tables), roles["label"], names)
    rows, splits = chosen_rows(table, roles, splits, wanted)
    table = table.take(rows)
    if "" not in tables:
        roles.pop("split", None)
    if not images:
        begin = [f"{PurePath(name).with_suffix('')}/" for name in table.within] or [""] * len(table)
        ids = [f"{before}{identifier}" for before, identifier in zip(begin, text_ids(table, roles), strict=True)]
        return Source(table, roles, attributes, texts_of(table, roles), ids, names, splits)
    folder = (place if place.is_dir() else place.parent) / wanted.folder
    below = [posixpath.dirname(name) for name in table.within]
    paths, ids = image_paths(table, roles["image"], folder, below, wanted.suffix, fence, asked=wanted.folder)

    def inputs(index: NDArray[np.int64]) -> Inputs:
        return FileImages(FolderPaths(folder, [paths[row] for row in index.tolist()]), wanted.image_size, wanted.squash)

    return Source(table, roles, attributes, inputs, unique_ids(table, ids) if "id" not in roles else ids, names, splits)


def _joined(place: Path, tables: Mapping[str, Table]) -> Table:
    """The rows of all tables, concatenated, each with the file that it is from."""
    first = next(iter(tables.values()))
    if len(tables) == 1 and not place.is_dir():
        return first
    return replace(
        first,
        path=place,
        columns={name: [value for table in tables.values() for value in table[name]] for name in first.columns},
        line=[line for table in tables.values() for line in table.line],
        within=[table.path.relative_to(place).as_posix() for table in tables.values() for _ in range(len(table))],
    )


def _with_names(table: Table, column: str, names: Sequence[str]) -> Table:
    """The table with class names for the numbers in a column; a number that stands for no class is an empty cell."""
    if not names:
        return table
    name_of = {str(number): name for number, name in enumerate(names)}
    return replace(table, columns={**table.columns, column: [name_of.get(value, "") for value in table[column]]})
