"""Groups that a model was not trained with: another column of the data set's table, or a file of ids and groups."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.embeddings import read_columns
from spurcli.artifacts.group_list import part_about, read_groups
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.datasets import Dataset
from spurcli.datasets.alignment import ids_of_split, match_ids
from spurcli.datasets.embedded import require_columns
from spurcli.datasets.own.columns import within_class
from spurcli.datasets.own.naming import EMBEDDINGS, locate
from spurcli.datasets.prediction_table import (
    MANY,
    attribute_of,
    group_values,
    names_in,
    read_columns_quietly,
    suggest_attributes,
)
from spurcli.datasets.tables import Reading, column_names, is_table_name, read_table
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.evaluation.evaluated import Evaluated
from spurcli.settings import Settings

_HINT = "It has the columns id and group (.csv, .jsonl, .parquet), or is a groups.txt that covers the evaluated split."
_ROLES = ("image", "text", "text_pair", "label", "split", "group", "id")


@dataclass(frozen=True)
class Regrouping:
    """`attribute` int64 [n] of the splits that a file covers, and its names."""

    file: Path
    names: tuple[str, ...]
    attribute: Mapping[str, NDArray[np.int64]]

    def of(self, evaluated: Evaluated, split: str, dataset: Dataset) -> Evaluated:
        """The same predictions in these groups, with their training counts if known; no groups otherwise."""
        width = len(self.names)

        def group(name: str) -> NDArray[np.int64] | None:
            mine = self.attribute.get(name)
            return None if mine is None else dataset.split(name).label * width + mine

        train = group("train")
        num_groups = width * len(dataset.class_names)
        return replace(
            evaluated,
            group=group(split),
            group_names=tuple(f"{label}/{name}" for label in dataset.class_names for name in self.names),
            train_group_counts=None if train is None else np.bincount(train, minlength=num_groups),
            features=None,
        )


def with_columns(
    settings: Settings, columns: Sequence[str], *, flag: str = "--attribute", file_flag: str = "--group-labels"
) -> Settings:
    """Settings of the same table, or its embeddings, in groups of other columns. UsageError for a data set that has none.

    `flag` is the one that named the columns, `file_flag` the one that names a file of groups instead.
    """
    dataset = settings.dataset
    if dataset.injection is not None:
        raise UsageError(f"{flag} has no effect: the injected feature makes the groups", "Remove it.")
    instead = f"Give groups as a file of ids and groups: {file_flag} FILE."
    if dataset.name == EMBEDDINGS:
        file = locate(str(dataset.options.get("path", "")), settings.data_root)
        require_columns(file, columns, flag, f"A file of ids and groups works too: {file_flag} FILE.")
    elif dataset.name != "table":
        raise UsageError(f"{flag} names a column of a table, and the data set is {dataset.name!r}", instead)
    kept = {key: value for key, value in dataset.options.items() if key not in ("attribute", "attributes", "group")}
    return replace(settings, dataset=replace(dataset, options={**kept, "attribute": list(columns)}))


def in_groups_of(dataset: Dataset, other: Dataset) -> Dataset:
    """The data set with the groups of another data set of the same samples. Splits that a table does not name are drawn within its groups,
    so `other` may have other splits: samples are found by their ids."""
    code = {
        sample: int(number)
        for split in other.splits.values()
        for sample, number in zip(ids_of_split(split), _codes(split.attribute), strict=True)
    }
    splits = {
        name: replace(split, attribute=np.array([code[sample] for sample in ids_of_split(split)], dtype=np.int64))
        for name, split in dataset.splits.items()
    }
    return replace(dataset, splits=splits, attribute_names=other.attribute_names)


def in_quarters(dataset: Dataset, columns: Sequence[str]) -> Dataset:
    """The data set with the quarters of a column of many different numbers as its attribute."""
    if len(columns) != 1 or len(dataset.attribute_names) <= MANY:
        return dataset
    splits = dict(dataset.splits)
    values = [dataset.attribute_names[code] for split in splits.values() for code in _codes(split.attribute)]
    names, attribute = attribute_of(
        [group_values(values, columns[0], f"{dataset.name}: {columns[0]}", " with --attribute")]
    )
    if names == dataset.attribute_names or set(names) == set(values):
        return dataset
    start = 0
    for name, split in splits.items():
        splits[name] = replace(split, attribute=attribute[start : start + len(split)])
        start += len(split)
    return replace(dataset, splits=splits, attribute_names=names)


def _codes(attribute: NDArray[np.int64] | None) -> list[int]:
    assert attribute is not None
    return [int(code) for code in attribute]


def read_regrouping(path: Path, dataset: Dataset, split: str) -> Regrouping:
    """Groups of a split from a table of `id` and `group`, or from a groups list that covers the split.

    Either may cover train too, for the counts, and val, for the matched threshold. InputError where a sample of the split has no row.
    """
    if dataset.twins is not None:
        raise UsageError("--group-labels has no effect: the injected feature makes the groups", "Remove it.")
    label = {name: part.label for name, part in dataset.splits.items()}
    if is_table_name(path.name) and path.suffix.lower() != ".txt":
        values = _of_table(path, dataset, split)
    else:
        found = read_groups(path)
        values = {}
        for name in dict.fromkeys((split, *(name for name in found.splits if name in dataset.splits))):
            part = part_about(found, path, dataset.subject(name), InjectionPolicy.ANY, name)
            values[name] = [found.names[code] for code in part.group.tolist()]
    every = [value for part in values.values() for value in part]
    codes = np.concatenate([label[name] for name in values])
    within = within_class(every, dataset.class_names, codes, str(path))
    names, attribute = attribute_of([group_values(within, "group", str(path), "")])
    ends = np.cumsum([len(part) for part in values.values()])[:-1]
    return Regrouping(path, names, dict(zip(values, np.split(attribute, ends), strict=True)))


def _of_table(path: Path, dataset: Dataset, split: str) -> dict[str, list[str]]:
    table = read_table(path, ["id", "group"], "a table of groups", _HINT, reading=Reading())
    group, found = names_in(table, "group"), {}
    for name in dict.fromkeys((split, "train", "val")):
        if name not in dataset.splits:
            continue
        where = f"split {name!r} of {dataset.name!r}"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpurWarning)  # rows of other splits
                rows = match_ids(table["id"], ids_of_split(dataset.split(name)), str(path), where)
        except InputError as error:
            if name == split:
                raise InputError(error.problem, "Write a row for each sample of the split.") from error
            if name == "train":
                warnings.warn(
                    SpurWarning(
                        f"{path} does not have all samples of train, so the training counts of the groups are not known"
                    ),
                    stacklevel=4,
                )
            continue
        found[name] = [group[row] for row in rows.tolist()]
    return found


def suggest_columns(settings: Settings) -> None:
    """Suggest columns that could define groups, if a table has no groups."""
    options = settings.dataset.options
    with contextlib.suppress(InputError, UsageError):
        path = locate(str(options.get("path", "")), settings.data_root)
        if settings.dataset.name == EMBEDDINGS:
            kept: dict[str, list[str]] = {}
            for part in read_columns(path).values():
                for name, values in part.items():
                    kept.setdefault(name, []).extend(values)
            suggest_attributes(path, kept, "--attribute")
        if settings.dataset.name != "table" or not path.is_file() or not is_table_name(path.name):
            return
        reading = Reading(*(str(options.get(name, "")) for name in ("separator", "quoting", "encoding")))
        used = {str(options.get(role) or role) for role in _ROLES}
        unused = [name for name in column_names(path, "a table", _HINT, reading) if name not in used]
        suggest_attributes(path, read_columns_quietly(path, unused, reading), "--attribute")
