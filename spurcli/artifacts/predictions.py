"""predictions.h5: logits of an evaluated split and of its injected twin, so that any metric can be recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.atomic import atomic_path, readable_os_errors
from spurcli.artifacts.catalogue import PREDICTIONS, require_kind
from spurcli.artifacts.envelope import canonical_json, optional_field, require_file
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.hdf5_texts import read_names, text_member
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "spurcli evaluate writes it into the folder of evaluation.json."


@dataclass(frozen=True)
class Predictions:
    """Logits float32 [n, classes] and label int64 [n] of a split; the twin's logits [m, classes] at `twin_index` [m].

    `train_group_counts` int64 [groups] determine the adjusted mean and the conflict groups; the twin carries the
    feature of class `feature_of`, and `twin_class` (None = all others) is the class whose misclassification counts.
    `confusion` = (true, predicted) are the classes that a data set without attributes is about. `sample_id` [n] is given
    for logits made elsewhere, whose order must be matched with a data set's by name.

    From version 2 on: `features` are the measured spurious features, each as JSON (docs/formats.md; None = to be
    found), with the thresholds matched on val; `about` = {"model", "training"} as in evaluation.json.
    """

    split: str
    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    subject: Subject
    provenance: Provenance
    group: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()
    twin_index: NDArray[np.int64] | None = None
    twin_logits: NDArray[np.float32] | None = None
    train_group_counts: NDArray[np.int64] | None = None
    feature_of: int | None = None
    twin_class: int | None = None
    confusion: tuple[int, int] | None = None
    sample_id: tuple[str, ...] | None = None
    features: tuple[Mapping[str, object], ...] | None = None
    about: Mapping[str, object] | None = None


def holds_predictions(path: Path) -> bool:
    """Whether `path` is an HDF5 file, and so predictions rather than a checkpoint."""
    if not path.is_file():
        return False
    require_file(path, "a checkpoint or predictions", "Make one with: spurcli train")
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def is_of_another_program(path: Path) -> bool:
    """Whether an HDF5 file can be opened and does not say that spurcli wrote it."""
    try:
        with hdf5.open_hdf5(path, PREDICTIONS.noun, _HINT) as file:
            return "format" not in file.attrs
    except InputError:
        return False


def write_predictions(path: Path, predictions: Predictions) -> None:
    _check(predictions, str(path))
    with atomic_path(path) as temporary, readable_os_errors(path), hdf5.create_hdf5(temporary) as file:
        hdf5.set_text(file, "format", PREDICTIONS.format)
        file.attrs["version"] = PREDICTIONS.version
        hdf5.set_text(file, "split", predictions.split)
        hdf5.set_text(file, "fingerprint", canonical_json(predictions.subject.samples.to_json()))
        hdf5.set_text(file, "provenance", canonical_json(predictions.provenance))
        if predictions.subject.injection_sha256:
            hdf5.set_text(file, "injection_sha256", predictions.subject.injection_sha256)
        for name, content in (("features", predictions.features), ("about", predictions.about)):
            if content is not None:
                hdf5.set_text(file, name, canonical_json(content))
        checked: dict[str, object] = {"chunks": True, "fletcher32": True}
        file.create_dataset("logits", data=predictions.logits, dtype="<f4", **checked)
        file.create_dataset("label", data=predictions.label, dtype="<i8", **checked)
        hdf5.write_names(file, "class_names", predictions.class_names)
        if predictions.group is not None:
            file.create_dataset("group", data=predictions.group, dtype="<i8", **checked)
            hdf5.write_names(file, "group_names", predictions.group_names)
        if predictions.sample_id is not None:
            file.create_dataset("sample_id", data=hdf5.fixed_utf8(list(predictions.sample_id)), **checked)
        if predictions.train_group_counts is not None:
            file.create_dataset("train_group_counts", data=predictions.train_group_counts, dtype="<i8")
        if predictions.confusion is not None:
            file.create_dataset("confusion", data=predictions.confusion, dtype="<i8")
        if predictions.twin_logits is not None:
            file.create_dataset("injected/index", data=predictions.twin_index, dtype="<i8", **checked)
            file.create_dataset("injected/logits", data=predictions.twin_logits, dtype="<f4", **checked)
            for name in ("feature_of", "twin_class"):
                if getattr(predictions, name) is not None:
                    file["injected"].attrs[name] = getattr(predictions, name)


def read_predictions(path: Path) -> Predictions:
    """The predictions of a file that `evaluate` wrote; InputError if it is damaged, of another kind or of a newer version."""
    where = str(path)
    require_kind(path, PREDICTIONS, _HINT)
    with hdf5.open_hdf5(path, PREDICTIONS.noun, _HINT) as file:
        hdf5.check_header(file, PREDICTIONS.format, PREDICTIONS.version, where)
        label = hdf5.array_member(file, "label", where, kinds="iu", ndim=1)
        logits = hdf5.array_member(file, "logits", where, kinds="f", ndim=2)
        if label is None or logits is None or len(logits) != len(label):
            raise InputError(f"{path} needs `label` [n] and `logits` [n, classes]", "See docs/formats.md.")
        group = hdf5.array_member(file, "group", where, kinds="iu", ndim=1, length=len(label))
        twin = hdf5.member(file, "injected", h5py.Group, where)
        twin_index = hdf5.array_member(twin, "index", where, kinds="iu", ndim=1) if twin else None
        twin_logits = hdf5.array_member(twin, "logits", where, kinds="f", ndim=2) if twin else None
        counts = hdf5.array_member(file, "train_group_counts", where, kinds="iu", ndim=1)
        pair = hdf5.array_member(file, "confusion", where, kinds="iu", ndim=1, length=2)
        ids = text_member(file, "sample_id", where, length=len(label))
        subject = hdf5.read_subject(file, where, lambda: Fingerprint(len(label)))
        hdf5.require_labels(label, subject.samples, where)
        found = Predictions(
            split=hdf5.text_attribute(file, "split") or "test",
            logits=_float32(logits),
            label=np.asarray(label[:], dtype=np.int64),
            class_names=read_names(file, "class_names", where),
            subject=subject,
            provenance=read_provenance(hdf5.json_attribute(file, "provenance", where), where),
            group=np.asarray(group[:], dtype=np.int64) if group is not None else None,
            group_names=read_names(file, "group_names", where),
            twin_index=np.asarray(twin_index[:], dtype=np.int64) if twin_index is not None else None,
            twin_logits=_float32(twin_logits) if twin_logits is not None else None,
            train_group_counts=np.asarray(counts[:], dtype=np.int64) if counts is not None else None,
            feature_of=hdf5.whole_attribute(twin, "feature_of") if twin else None,
            twin_class=hdf5.whole_attribute(twin, "twin_class") if twin else None,
            confusion=(int(pair[0]), int(pair[1])) if pair is not None else None,
            sample_id=tuple(ids.read()) if ids is not None else None,
            features=_features(hdf5.json_attribute(file, "features", where), where),
            about=_about(hdf5.json_attribute(file, "about", where), where),
        )
    _check(found, where)
    return found


def _features(content: Any, where: str) -> tuple[Mapping[str, object], ...] | None:
    if content is None:
        return None
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise InputError(f"{where}: 'features' is not a list of objects", "See docs/formats.md for the layout.")
    return tuple(content)


def _about(content: Any, where: str) -> Mapping[str, object] | None:
    if content is not None and not isinstance(content, dict):
        raise InputError(f"{where}: 'about' is not an object", "See docs/formats.md for the layout.")
    for name in ("model", "training"):
        optional_field(content or {}, name, dict, f"{where}: about")
    return content


def _float32(logits: Any) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is rejected
        return np.asarray(logits[:]).astype(np.float32, copy=False)


def _check(found: Predictions, where: str) -> None:
    """Raise InputError unless everything is in range and fits together."""
    num_samples, num_classes = found.logits.shape
    index, twin = found.twin_index, found.twin_logits
    problem = ""
    if not np.isfinite(found.logits).all() or (twin is not None and not np.isfinite(twin).all()):
        problem = "logits hold NaN or infinity"
    elif found.label.min() < 0 or found.label.max() >= num_classes:
        problem = f"a label is outside the {counted(num_classes, 'class')} of the logits"
    elif found.class_names and len(found.class_names) != num_classes:
        problem = f"{counted(len(found.class_names), 'class name')} for {counted(num_classes, 'column')} of logits"
    elif found.group is not None and (found.group.min() < 0 or found.group.max() >= len(found.group_names)):
        problem = "a group has no name"
    elif found.train_group_counts is not None and len(found.train_group_counts) != len(found.group_names):
        problem = (
            f"{counted(len(found.train_group_counts), 'training count')} for {counted(len(found.group_names), 'group')}"
        )
    elif any(y is not None and not 0 <= y < num_classes for y in (found.feature_of, found.twin_class)):
        problem = "the injection names a class that does not exist"
    elif not all(0 <= y < num_classes for y in found.confusion or ()):
        problem = "`confusion` names a class that does not exist"
    elif (index is None) != (twin is None):
        problem = "the injected twin needs `index` and `logits`"
    elif index is not None and twin is not None:
        if twin.shape != (len(index), num_classes):
            problem = "the twin's logits are not [len(index), classes]"
        elif index.min() < 0 or index.max() >= num_samples:
            problem = "the twin has a sample outside the split"
    if problem:
        raise InputError(f"{where}: {problem}", "See docs/formats.md for the layout, or evaluate again.")
