"""Logits of another program, with the labels, ids and class names that identify rows and columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.arrays import has_array, ids_of, names_beside, read_array, read_ids
from spurcli.artifacts.hdf5 import CHUNK
from spurcli.artifacts.logit_checks import warn_unless_logits
from spurcli.errors import InputError, SpurWarning
from spurcli.names import canonical
from spurcli.words import counted


@dataclass(frozen=True)
class ForeignLogits:
    """`logits` float32 [n, classes] of `path`; `label` int64 [n] in the numbering of the columns, `sample_id` [n] and
    `class_names` [classes] of the columns where they are known. `files` are all that was read.
    """

    path: Path
    logits: NDArray[np.float32]
    label: NDArray[np.int64] | None = None
    sample_id: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def read_foreign_logits(
    path: Path, labels: Path | None = None, ids: Path | None = None, *, class_names: Sequence[str] = ()
) -> ForeignLogits:
    """Logits with their labels and ids, from separate files or from the file of the logits, which may also hold
    class names of the columns.

    `class_names` decode labels that are texts if the file has no class names.
    """
    logits = read_logits(path)
    num_samples, num_classes = logits.shape
    columns = names_beside(path, "class_names")
    if columns and len(columns) != num_classes:
        raise InputError(
            f"{path} has {counted(len(columns), 'class name')} for {counted(num_classes, 'column')}",
            "Write one for each.",
        )
    if len({canonical(name) for name in columns}) < len(columns):
        raise InputError(f"{path} has a class name twice", "Write one for each column.")
    if labels is None and has_array(path, "label"):
        labels = path
    label = None if labels is None else read_labels(labels, num_samples, num_classes, columns or class_names)
    sample_id: tuple[str, ...] | None = None
    if ids is not None:
        sample_id = read_ids(ids, num_samples)
    elif has_array(path, "sample_id"):
        sample_id = ids_of(read_array(path, "sample_id"), path)
    else:
        sample_id = names_beside(path, "sample_id") or None
    if sample_id is not None and len(sample_id) != num_samples:
        raise InputError(
            f"{path} has {counted(len(sample_id), 'id')} for {counted(num_samples, 'row')}", "Write one for each row."
        )
    files = tuple(dict.fromkeys(file for file in (path, labels, ids) if file is not None))
    return ForeignLogits(path, logits, label, sample_id, columns, files)


def read_logits(path: Path) -> NDArray[np.float32]:
    """Logits [n, classes] as float32, memory-mapped where the file allows; NaN and infinities are refused.

    A SpurWarning says so if they look like probabilities (`warn_unless_logits`).
    """
    stored = read_array(path, "logits")
    _require_logits(stored, path)
    if stored.dtype == np.float32:
        logits = stored
    else:
        with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is rejected
            logits = stored.astype(np.float32)
    for start in range(0, len(logits), CHUNK):
        block = logits[start : start + CHUNK]
        if not np.isfinite(block).all():
            row = start + int(np.flatnonzero(~np.isfinite(block).all(axis=1))[0])
            raise InputError(
                f"{path}: logits of sample {row:,} hold NaN or infinity", "Check the model that made them."
            )
    warn_unless_logits(logits, str(path))
    return logits


def _require_logits(stored: NDArray[Any], path: Path) -> None:
    """InputError with the line that helps, unless the array is floating-point [n, classes] with at least 2 classes."""
    shape, is_float = list(stored.shape), stored.dtype.kind == "f"
    if stored.ndim == 2 and is_float and shape[1] > 1:
        return
    expected = "Expected floating-point [n, classes]"
    if is_float and (stored.ndim == 1 or shape[1:] == [1]):
        is_share = bool(np.isfinite(stored).all()) and stored.min() >= 0 and stored.max() <= 1
        line = "np.log(np.stack([1 - p, p], axis=1))" if is_share and stored.any() else "np.stack([0 * z, z], axis=1)"
        hint = f"{expected}: for the output of a binary model write {line}{', flattened' if stored.ndim > 1 else ''}."
        if stored.ndim > 1:
            raise InputError(f"{path}: logits need at least 2 classes, found 1", hint)
    elif is_float and stored.ndim > 2 and sum(size > 1 for size in shape) == 2:
        hint = f"{expected}: write them without the axes of length 1, logits.squeeze()."
    elif stored.dtype.kind in "iub" and stored.ndim == 2:
        hint = f"{expected}: logits.astype('float32') if these are logits, not votes or decisions."
    elif stored.dtype.kind in "iub" and stored.ndim == 1:
        hint = f"{expected}: these look like classes; write the model's output before its argmax."
    else:
        hint = f"{expected}."
    raise InputError(f"{path} is {stored.dtype} of shape {shape}", hint)


def read_labels(path: Path, num_samples: int, num_classes: int, class_names: Sequence[str] = ()) -> NDArray[np.int64]:
    """Labels int64 [n], checked to be as many as the logits and within the classes.

    Whole numbers of any type are read; texts are positions in `class_names`. InputError says what to do with labels
    from 1 on, −1 for unlabelled, one-hot rows, and logits that are transposed.
    """
    stored = read_array(path, "label")
    if stored.ndim != 1 or stored.dtype.kind not in "iufUS":
        hint = "Expected integer [n]."
        if stored.ndim == 2 and stored.shape[1] == 1:
            hint = "Expected integer [n]: write labels.ravel()."
        elif stored.ndim == 2 and stored.shape[1] == num_classes:
            hint = "Expected integer [n]: for one-hot rows write labels.argmax(axis=1)."
        elif stored.dtype.kind == "b":
            hint = "Expected integer [n]: write labels.astype(int)."
        raise InputError(f"{path} is {stored.dtype} of shape {list(stored.shape)}", hint)
    if len(stored) != num_samples:
        hint = "Use the same split."
        if len(stored) == num_classes:
            hint = f"The logits are [{num_samples}, {num_classes}]: are they transposed? Write logits.T."
        raise InputError(
            f"{path} has {counted(len(stored), 'label')} for {counted(num_samples, 'row')} of logits", hint
        )
    if stored.dtype.kind in "US" and not class_names:
        texts = ids_of(stored, path)
        if all(text.isascii() and text.isdecimal() and len(text) < 10 for text in texts):
            stored = np.array(list(map(int, texts)), dtype=np.int64)  # numbers as texts
    if stored.dtype.kind in "US":
        return _named_labels(stored, path, class_names)
    if stored.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            fractions = np.flatnonzero(~(stored == np.rint(stored)))
        if len(fractions):
            row = int(fractions[0])
            raise InputError(
                f"{path} is {stored.dtype}, and label {stored[row]:g} of sample {row:,} is not an integer",
                "Expected integer [n], from 0.",
            )
    outside = np.flatnonzero((stored < 0) | (stored >= num_classes))
    if len(outside):
        bad, lowest, highest = int(outside[0]), int(stored.min()), int(stored.max())
        hint = "Labels count from 0."
        if lowest == -1 and highest < num_classes:
            hint = "If −1 marks samples without a label, leave their rows out of logits and labels."
        elif lowest == 1 and highest == num_classes:
            hint = f"They run from 1 to {num_classes}, and labels count from 0: write labels - 1."
        raise InputError(
            f"{path}: label {int(stored[bad])} of sample {bad:,} is outside the {counted(num_classes, 'class')} of the logits",
            hint,
        )
    labels = stored.astype(np.int64, copy=False)
    if num_classes > 2 and set(np.unique(labels).tolist()) == set(range(1, num_classes)):
        warnings.warn(
            SpurWarning(
                f"{path}: no label is 0, and every other class occurs. If the labels count from 1, write labels - 1."
            ),
            stacklevel=2,
        )
    return labels


def _named_labels(stored: NDArray[Any], path: Path, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Positions in `class_names` of labels that are texts."""
    texts = [canonical(text) for text in ids_of(stored, path)]
    position = {canonical(name): number for number, name in enumerate(class_names)}
    if not position:
        raise InputError(
            f"{path} has labels that are texts, such as {texts[0][:40]!r}, and the logits have no class names to match them",
            "Store class_names with the logits (HDF5 or safetensors), or the column of each label as a number.",
        )
    unknown = next((text for text in texts if text not in position), None)
    if unknown is not None:
        raise InputError(
            f"{path} has the label {unknown[:40]!r}, which is not a class",
            f"The classes are {', '.join(list(class_names)[:8])}{', …' if len(class_names) > 8 else ''}.",
        )
    return np.array([position[text] for text in texts], dtype=np.int64)
