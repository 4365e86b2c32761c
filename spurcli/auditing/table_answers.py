"""A table of predictions as `Answers`: no model can be asked, so that nothing is tested by changing inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets import Dataset
from spurcli.datasets.alignment import ids_of_split, match_ids
from spurcli.datasets.prediction_table import PredictionColumns, TablePredictions, read_columns_quietly
from spurcli.datasets.tables import column_names
from spurcli.datasets.tables_hdf5 import columns_beside
from spurcli.errors import InputError
from spurcli.names import NUMBER, canonical
from spurcli.words import counted

ALL = "all"
_SAME = 1e-3  # of two probabilities, which may have been rounded


class TableAnswers:
    """Logits of the rows of each split; `embedding` float32 [rows of the table, d] where it is given."""

    ask = None

    def __init__(
        self,
        logits: NDArray[np.float32],
        rows: Mapping[str, NDArray[np.int64]],
        embedding: NDArray[np.float32] | None = None,
    ) -> None:
        self._logits, self._rows, self._embedding = logits, rows, embedding

    def logits(self, split: str) -> NDArray[np.float32]:
        return self._logits[self._rows[split]]

    def embedding(self, split: str) -> NDArray[np.float32] | None:
        return None if self._embedding is None else self._embedding[self._rows[split]]


def rows_of_splits(found: TablePredictions) -> dict[str, NDArray[np.int64]]:
    """The rows int64 [m] of each split of a table; without a column of splits all rows are the split "all"."""
    if not found.split:
        return {ALL: np.arange(len(found.label))}
    names = np.array(found.split)
    order = sorted(set(found.split), key=lambda name: (["train", "val", "test", name].index(name), name))
    return {name: np.flatnonzero(names == name) for name in order}


def require_embedding(embedding: NDArray[Any] | None, num_rows: int, path: str) -> None:
    """Raise InputError unless there is one embedding for each row."""
    if embedding is not None and (embedding.ndim != 2 or len(embedding) != num_rows):
        raise InputError(
            f"{path} is {list(embedding.shape)}, and the table has {counted(num_rows, 'row')}",
            "Write one embedding for each row, [n, d].",
        )


def rows_in_order(
    found: TablePredictions, rows: Mapping[str, NDArray[np.int64]], dataset: Dataset
) -> dict[str, NDArray[np.int64]]:
    """The rows of each split of the data set in its order, by id. InputError where labels or classes differ."""
    if found.sample_id is None:
        raise InputError(f"{found.path} has no ids to find its samples by", "Name the column of ids with --id.")
    if found.class_names != dataset.class_names:
        raise InputError(
            f"{found.path} and {dataset.name} have other classes: {', '.join(found.class_names[:6])}; "
            f"{', '.join(dataset.class_names[:6])}",
            "Name the columns after the classes of the data set.",
        )
    ordered = {}
    for name, mine in rows.items():
        if name not in dataset.splits:
            continue
        split = dataset.splits[name]
        ids = [found.sample_id[row] for row in mine.tolist()]
        _require_same_splits(found, ids, name, dataset)
        order = mine[match_ids(ids, ids_of_split(split), str(found.path), f"split {name!r} of {dataset.name!r}")]
        if not np.array_equal(found.label[order], split.label):
            raise InputError(f"{found.path}: labels of {name!r} differ from the data set's", "Check the ids.")
        ordered[name] = order
    if not ordered:
        raise InputError(f"{found.path} is about no split of {dataset.name}", f"It has: {', '.join(dataset.splits)}.")
    return ordered


def _require_same_splits(found: TablePredictions, ids: Sequence[str], name: str, dataset: Dataset) -> None:
    """Raise InputError if the table has samples of this split of the data set in another split."""
    ours, every = ids_of_split(dataset.splits[name]), set(found.sample_id or ())
    elsewhere = len((set(ours) - set(ids)) & every)
    if elsewhere:
        raise InputError(
            f"{found.path} and {dataset.name} have other splits: {elsewhere:,} of {counted(len(ours), 'sample')} of {name!r} are in other splits of {found.path.name}",
            f"Write the splits of {found.path.name} into the data set as a column split, or into folders.",
        )


def repeated(values: Mapping[str, Sequence[str]], found: TablePredictions) -> list[str]:
    """The columns that repeat what was predicted: the probability of a class, or the class itself."""
    shifted = np.exp(found.logits - found.logits.max(axis=1, keepdims=True))
    probability = shifted / shifted.sum(axis=1, keepdims=True)
    predicted = [canonical(found.class_names[y]) for y in found.logits.argmax(axis=1).tolist()]
    names = []
    for name, column in values.items():
        clean = [canonical(value) for value in column]
        if clean == predicted:
            names.append(name)
        elif all(NUMBER.fullmatch(value) for value in clean):
            numbers = np.array(clean, dtype=np.float64)
            is_probability = (numbers % 1 != 0).any()  # 0 and 1 alone may be a feature
            if is_probability and (np.abs(probability - numbers[:, None]).max(axis=0) < _SAME).any():
                names.append(name)
    return names


def unused_columns(path: Path, wanted: PredictionColumns) -> dict[str, Sequence[str]]:
    """The columns of the table that are neither label, prediction, id nor split: name → values of all rows."""
    known = columns_beside(
        path, column_names(path, "a table of predictions", "", wanted.reading), wanted.label or "label"
    )
    taken = {wanted.label or "label", wanted.predicted, wanted.id or "id", wanted.split or "split"}
    outputs = [*wanted.proba, *wanted.logit]
    names = [name for name in known if name not in taken and not any(fnmatchcase(name, pattern) for pattern in outputs)]
    return dict(read_columns_quietly(path, names, wanted.reading))
