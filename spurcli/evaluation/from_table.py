"""A table of predictions as an evaluated split: no model, no recipe, no data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.subject import Subject
from spurcli.datasets.prediction_table import PredictionColumns, TablePredictions, described, read_prediction_table
from spurcli.evaluation.evaluated import Evaluated
from spurcli.evaluation.judged import fit_thresholds


def evaluated_table(
    path: Path, columns: PredictionColumns, split: str
) -> tuple[Evaluated, Subject, tuple[str, ...] | None, Mapping[str, Any], Mapping[str, Any]]:
    """The rows of `split`, their subject, their ids, `about` for evaluation.json, and the columns for its provenance.

    Rows of train give the training counts of the groups, rows of val the matched thresholds; without a column of splits
    all rows are evaluated.
    """
    found = read_prediction_table(path, columns)
    rows = found.require_rows_of(split)
    evaluated = evaluated_rows(found, rows, split)
    ids = tuple(found.sample_id[row] for row in rows.tolist()) if found.sample_id is not None else None
    about: JsonObject = {"model": None, "training": None}
    if columns.groups:
        about["groups_from"] = {"file": path.name, "columns": list(columns.groups)}
    named = {**described(columns), **({"split": found.split_column} if found.split_column else {})}
    return evaluated, Subject(Fingerprint.of(evaluated.label, ids)), ids, about, named


def evaluated_rows(found: TablePredictions, rows: NDArray[np.int64], split: str) -> Evaluated:
    """The `rows` int64 [m] of `split`, with the training counts and the thresholds from the other rows."""
    evaluated = _of(found, rows)
    if found.split and split == "val":
        return fit_thresholds(evaluated, evaluated)
    if found.split and len(val := found.rows_of("val")):
        return fit_thresholds(evaluated, _of(found, val))
    return evaluated


def _of(found: TablePredictions, rows: NDArray[np.int64]) -> Evaluated:
    counts = None
    train = found.rows_of("train") if found.split else rows[:0]
    if found.attribute is not None and len(train):
        counts = np.bincount(np.asarray(found.group(train)), minlength=len(found.group_names))
    return Evaluated(
        logits=found.logits[rows],
        label=found.label[rows],
        class_names=found.class_names,
        group=found.group(rows),
        group_names=found.group_names,
        train_group_counts=counts,
    )
