"""The kind of content at a path: a folder of images, a table, tables or Parquet files of splits, a data set that `save_to_disk` wrote.

Only this module decides it, from the names of files and folders. Ambiguous content is rejected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, Literal

from spurcli.artifacts import catalogue
from spurcli.datasets.own.layout import is_image, split_look
from spurcli.datasets.own.naming import EMBEDDINGS, exists
from spurcli.datasets.own.splitting import split_name
from spurcli.datasets.tables import is_table_name
from spurcli.datasets.tables_text import without_packing
from spurcli.errors import InputError

_SPLITS = ("train", "val", "test")
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # beside images, as the Hugging Face hub has it
_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(-[0-9a-f]+)?\.parquet")
_NUM_LOOKED_AT = 1000
Kind = Literal["images", "table", "saved", "parquet", "tables"]


def named_by_path(name: str, data_root: Path) -> dict[str, Any] | None:
    """The settings of the data set that a path names: a folder of images, a table, a saved Hugging Face data set, embeddings.

    None if `name` is not a path. Data in the data root is named relative to it, however it was typed (also by links),
    so that the same data has one name in every file.
    """
    found = next((path for path in (Path(name), data_root / name) if exists(path)), None)
    if found is not None and found.is_dir():
        kind = "folder" if content_of(found).kind == "images" else "table"
    elif found is not None and catalogue.recognise(found) == catalogue.EMBEDDINGS:
        kind = EMBEDDINGS
    elif found is not None or is_table_name(name):
        kind = "table"
    elif PurePath(name).suffix in catalogue.EMBEDDINGS.endings:
        kind = EMBEDDINGS
    elif "/" in name:
        kind = "folder"
    else:
        return None
    path = PurePath(name)
    if found is not None:
        for real in (os.path.normpath, os.path.realpath):  # as typed, then where links lead
            place, root = (PurePath(real(path.absolute())) for path in (found, data_root))
            if place.is_relative_to(root):
                path = place.relative_to(root)
                break
    return {"name": kind, "options": {"path": str(path)}}


@dataclass(frozen=True)
class Content:
    """The content of a path. `parts` are pairs of a split (as it is written, "" where there is none) and a file, in order;
    `passed_over` are tables in the folder that are not read.
    """

    kind: Kind
    parts: tuple[tuple[str, Path], ...] = ()
    passed_over: tuple[str, ...] = ()


def content_of(path: Path) -> Content:
    """The content of an existing file or folder.

    Raises InputError for a folder of tables whose roles are not clear, with the path to name instead.
    """
    if not path.is_dir():
        return Content("table", (("", path),))
    if is_saved_dataset(path):
        return Content("saved")
    entries = _entries(path)
    if _has_class_folders(entries):
        return Content("images")
    shards = _parquet_parts(path, entries)
    if shards:
        inside = [file for _, file in shards if file.parent == path]
        others = [
            Path(entry.path) for entry in entries if is_table_name(entry.name) and not entry.name.endswith(".parquet")
        ]
        splits = [other for other in others if split_name(_stem(other)) in _SPLITS]
        if splits and inside:
            raise _two_of_a_split(path, [*inside, *splits])
        return Content("parquet", shards)
    return _tables(path, entries)


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of Hugging Face's `datasets`."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, in the order of names, without hidden files."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if entry.name[0] not in "._"), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}", "Check its permissions.") from error


def _has_class_folders(entries: list[os.DirEntry[str]]) -> bool:
    """Whether two folders hold images, or the folder of a split has folders."""
    inside = [entry for entry in entries if entry.is_dir()]
    splits = [entry for entry in inside if split_name(entry.name) in _SPLITS]
    if any(any(deeper.is_dir() for deeper in _entries(Path(entry.path))) for entry in splits):
        return not any(entry.name.endswith(".parquet") for entry in _files_below(splits))
    return len([entry for entry in inside if entry not in splits and _holds_images(Path(entry.path))]) > 1


def _files_below(entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        yield from _entries(Path(entry.path))


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) or entry.is_dir() for entry in islice(entries, _NUM_LOOKED_AT))


def _parquet_parts(folder: Path, entries: list[os.DirEntry[str]]) -> tuple[tuple[str, Path], ...]:
    """The Parquet files of each split, as in a snapshot from the Hugging Face hub; nothing if there are none.

    They are in the folder, in its folder `data`, or in the only one that has any, perhaps one deeper in a folder for each
    split. Raises InputError for several such folders, a shard that is missing, or a name without a split.
    """
    found = {"": _shards_of_splits(entries)}
    if not found[""]:
        inside = {entry.name: _entries(Path(entry.path)) for entry in entries if entry.is_dir()}
        found = {name: _shards_of_splits(deeper) for name, deeper in inside.items()}
    holding = [name for name, shards in found.items() if shards]
    if not holding:
        return ()
    if len(holding) > 1 and "data" not in holding:
        raise InputError(
            f"{folder} has Parquet files in {', '.join(holding[:5])}", f"Name one: --dataset {folder / holding[0]}"
        )
    return tuple(_in_order(found["data" if "data" in holding else holding[0]], folder))


def _shards_of_splits(entries: list[os.DirEntry[str]]) -> list[tuple[str, Path]]:
    """The Parquet files there with their splits; if there are none, those in folders named like splits."""
    return _shards(entries) or [
        (entry.name, file)
        for entry in entries
        if entry.is_dir() and split_name(entry.name) in _SPLITS
        for _, file in _shards(_entries(Path(entry.path)))
    ]


def _shards(entries: list[os.DirEntry[str]]) -> list[tuple[str, Path]]:
    """The split in the name of each Parquet file, and the file."""
    found = []
    for entry in entries:
        if entry.name.lower().endswith(".parquet") and not entry.is_dir() and entry.name not in _METADATA:
            shard = _SHARD.fullmatch(entry.name)
            found.append((shard["split"] if shard else _word_of_split(entry.name), Path(entry.path)))
    return found


def _word_of_split(name: str) -> str:
    """The split that a file's name holds as a word (data_train.parquet); else its stem."""
    stem = name.partition(".")[0]
    words = [word for word in re.split(r"[^A-Za-z]+", stem) if split_name(word) in _SPLITS]
    return words[0] if len(words) == 1 else stem


def _without_number(name: str) -> str:
    """The common name of the parts of one table: part-00000-1f2e of Spark and part-00001-1f2e."""
    return re.sub("[0-9]+", "", re.sub("-[0-9a-f-]{8,}", "", name))


def _in_order(shards: list[tuple[str, Path]], folder: Path) -> list[tuple[str, Path]]:
    by_split: dict[str, list[Path]] = {}
    for split, file in shards:
        by_split.setdefault(split, []).append(file)
    for split, files in by_split.items():
        numbers = [_SHARD.fullmatch(file.name) for file in files]
        counts = {int(shard["count"]) for shard in numbers if shard}
        there = {int(shard["number"]) for shard in numbers if shard}
        if counts and (len(counts) > 1 or there != set(range(max(counts))) or None in numbers):
            missing = sorted(set(range(max(counts))) - there)
            which = f"number {missing[0]} is missing" if missing else "files of two versions are mixed"
            raise InputError(
                f"{folder}: of the {max(counts)} Parquet files of {split}, {which}", "Fetch the missing files again."
            )
    if not any(split_name(name) in _SPLITS for name in by_split) and len(set(map(_without_number, by_split))) == 1:
        return [("", file) for files in by_split.values() for file in files]
    return [(split, file) for split, files in by_split.items() for file in files]


def _tables(folder: Path, entries: list[os.DirEntry[str]]) -> Content:
    """Tables that are named like splits (train.csv, imdb_test.csv), or metadata.csv in a folder for each split."""
    tables = [Path(entry.path) for entry in entries if not entry.is_dir() and is_table_name(entry.name)]
    named = [(_stem(path), path) for path in tables if split_name(_stem(path)) in _SPLITS]
    metadata = [
        (entry.name, Path(entry.path) / name)
        for entry in entries
        if entry.is_dir() and split_name(entry.name) in _SPLITS
        for name in _METADATA
        if (Path(entry.path) / name).is_file()
    ]
    found = named or metadata or _look_like_splits(tables)
    splits = [split_name(split) for split, _ in found]
    if "train" in splits:
        if len(set(splits)) < len(splits):
            raise _two_of_a_split(folder, [path for _, path in found])
        others = tuple(path.name for path in tables if path not in [file for _, file in found])
        return Content("tables", tuple(sorted(found, key=lambda part: _SPLITS.index(split_name(part[0])))), others)
    return Content("images")  # its reader names the tables that are there


def _look_like_splits(tables: list[Path]) -> list[tuple[str, Path]]:
    """The tables whose names look like splits and share their other words (imdb_train.csv, imdb_test.csv); none if there is
    more than one such pair.
    """
    alike: dict[tuple[str, ...], list[tuple[str, Path]]] = {}
    for path in tables:
        if look := split_look(_stem(path)):
            alike.setdefault(look[1], []).append((look[0], path))
    pairs = [found for found in alike.values() if {"train"} < {split for split, _ in found}]
    return pairs[0] if len(pairs) == 1 and len({split for split, _ in pairs[0]}) == len(pairs[0]) else []


def _two_of_a_split(folder: Path, files: list[Path]) -> InputError:
    both = ", ".join(str(path.relative_to(folder)) for path in files)
    return InputError(f"{folder} has two tables for a split: {both}", "Keep one of each split.")


def _stem(path: Path) -> str:
    return without_packing(path).stem
