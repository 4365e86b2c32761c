"""All columns of a user's own table, for each sample of its data set: searched by an audit, and kept by embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from spurcli.datasets.alignment import ids_of_split, match_ids
from spurcli.datasets.base import Dataset
from spurcli.datasets.own.columns import Wanted, choose_columns
from spurcli.datasets.own.kinds import content_of
from spurcli.datasets.own.naming import Fence, locate, names_of
from spurcli.datasets.own.table import read_files
from spurcli.datasets.tables import Reading, column_names, listed, read_table
from spurcli.errors import InputError, SpurWarning
from spurcli.names import NUMBER
from spurcli.registry import Options, near

_WHAT, _HINT = "a table", "Name a .csv, .tsv, .jsonl, .json or .parquet file."
_ROLES = ("image", "text", "text_pair", "label", "split", "group", "id")
_INPUTS = ("image", "text", "text_pair", "label", "split", "id")
_MOST_VALUES, _LONGEST = (
    500,
    200,
)  # of a column that can make groups: more different texts, or longer ones, are ids or remarks
Columns = dict[str, dict[str, Sequence[str]]]


def columns_of(dataset: Dataset, options: Options, data_root: Path) -> Columns:
    """For each split the columns of the data set's own table that are neither input, label, split nor id: name → n values.

    {} if the data set is not a table that can be read again by column (a saved Hugging Face data set).
    """
    place = locate(str(options.get("path", "")), data_root)
    content = content_of(place)
    if content.kind not in ("table", "tables"):
        return {}
    reading = Reading(*(str(options.get(name, "")) for name in ("separator", "quoting", "encoding")))
    files = dict(content.parts)
    known = column_names(next(iter(files.values())), _WHAT, _HINT, reading)
    wanted = Wanted(
        {role: str(options.get(role, "")) for role in _ROLES},
        (),
        str(options.get("folder", "")),
        str(options.get("suffix", "")),
        int(options.get("image_size", 224)),
        bool(options.get("squash", False)),
        options.get("split_values") or {},
        names_of(options.get("splits", ()), "splits"),
    )
    roles, _ = choose_columns(known, wanted, str(place))
    own = {roles[role] for role in _INPUTS if role in roles}
    others = [name for name in known if name not in own]
    if not others:
        return {}
    named = {**{role: roles.get(role, "") for role in _ROLES}, "group": ""}
    every = Wanted(
        named,
        others,
        wanted.folder,
        wanted.suffix,
        wanted.image_size,
        wanted.squash,
        wanted.split_values,
        wanted.splits,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpurWarning)  # this warning was given when the data set was read
        source = read_files(
            place, files, every, reading, Fence.around(place if place.is_dir() else place.parent, data_root)
        )
    ids = source.table[source.roles["id"]] if "id" in source.roles else source.sample_id
    return _by_id(dataset, {name: source.table[name] for name in others}, {name: row for row, name in enumerate(ids)})


def short_columns(columns: Columns) -> tuple[Columns, list[str]]:
    """The columns of numbers or of few short values, which can make groups, and the names of the others."""
    names = list(next(iter(columns.values()), {}))
    others = [name for name in names if not _is_short({value for part in columns.values() for value in part[name]})]
    kept = {split: {name: part[name] for name in names if name not in others} for split, part in columns.items()}
    return kept, others


def _is_short(values: set[str]) -> bool:
    if max(map(len, values), default=0) > _LONGEST:
        return False
    return len(values) <= _MOST_VALUES or all(NUMBER.fullmatch(value) for value in values if value)


def _by_id(dataset: Dataset, columns: Mapping[str, Sequence[str]], row_of: Mapping[str, int]) -> Columns:
    found: Columns = {}
    for name, split in dataset.splits.items():
        rows = [row_of[each] for each in ids_of_split(split)]
        found[name] = {column: [values[row] for row in rows] for column, values in columns.items()}
    return found


def columns_beside(dataset: Dataset, path: Path, data_root: Path) -> Columns:
    """For each split the columns of another table, matched by its column `id` (or `image`, a path); splits without rows are left out.

    Raises InputError where no split has all its samples in the table.
    """
    path = locate(str(path), data_root)
    known = column_names(path, _WHAT, _HINT, Reading())
    key = next((name for name in ("id", "image") if name in known), None)
    if key is None:
        raise InputError(f"{path} has no column 'id'{near('id', known)}", f"It has: {listed(known)}.")
    others = [name for name in known if name not in (key, "label", "split")]
    table = read_table(path, [key, *others], _WHAT, _HINT, reading=Reading())
    found: Columns = {}
    problem: InputError | None = None
    for name, split in dataset.splits.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpurWarning)  # rows of other splits
                rows = match_ids(
                    table[key], ids_of_split(split), str(path), f"split {name!r} of {dataset.name!r}"
                ).tolist()
        except InputError as error:
            problem = problem or error
            continue
        found[name] = {column: [table[column][row] for row in rows] for column in others}
    if problem is not None and "train" not in found:
        raise problem
    return found
