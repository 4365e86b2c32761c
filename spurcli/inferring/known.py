"""What is known of the training samples before anything is inferred; checked to be what the source is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.fingerprint import Fingerprint, require_same, require_same_injection
from spurcli.artifacts.predictions import Predictions
from spurcli.artifacts.provenance import Parent
from spurcli.errors import InputError
from spurcli.runtime.workbench import Workbench


@dataclass(frozen=True)
class Known:
    """Label int64 [n], class names, what identifies the samples; `group` [n] are true groups, only ever counted against."""

    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    fingerprint: Fingerprint
    injection_sha256: str | None
    parents: tuple[Parent, ...]
    group: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()

    def counts(self, attribute: NDArray[np.int64], names: tuple[str, ...]) -> list[dict[str, object]]:
        """How many samples of each true group (each class where none is known) have each attribute."""
        rows, row_names = (self.label, self.class_names) if self.group is None else (self.group, self.group_names)
        counts = np.zeros((len(row_names), len(names)), dtype=np.int64)
        np.add.at(counts, (rows, attribute), 1)
        return [
            {"name": name, "counts": dict(zip(names, row.tolist(), strict=True))}
            for name, row in zip(row_names, counts, strict=True)
        ]


def known_of_dataset(
    bench: Workbench, source: Path | None, predictions: Predictions | None, *, allow_injection_mismatch: bool
) -> Known:
    """The training split of the data set, which `source` must be about: InputError if it is not."""
    dataset, train = bench.dataset, bench.dataset.splits["train"]
    parents = []
    if source and predictions:
        _require_training_split(predictions, source)
        name = f"data set {dataset.name!r}"
        require_same(predictions.fingerprint, str(source), train.fingerprint, name)
        if not allow_injection_mismatch:
            require_same_injection(predictions.injection_sha256, str(source), dataset.injection_sha256, name)
        if predictions.logits.shape[1] != len(dataset.class_names):
            raise InputError(
                f"{source} has {predictions.logits.shape[1]} columns, {name} {len(dataset.class_names)} classes",
                "Use predictions of a model for this data set.",
            )
        parents.append(Parent.of(source, predictions.provenance))
    elif source:
        metadata = read_checkpoint_metadata(source, required=False)
        bench.require_own(metadata, str(source), allow_injection_mismatch=allow_injection_mismatch)
        parents.append(Parent.of(source, metadata.get("provenance")))
    return Known(
        train.label,
        dataset.class_names,
        train.fingerprint,
        dataset.injection_sha256,
        tuple(parents),
        dataset.group("train"),
        dataset.group_names,
    )


def known_of_predictions(predictions: Predictions, source: Path) -> Known:
    """What predictions made elsewhere say themselves."""
    _require_training_split(predictions, source)
    names = predictions.class_names or tuple(map(str, range(predictions.logits.shape[1])))
    return Known(
        predictions.label,
        names,
        predictions.fingerprint,
        predictions.injection_sha256,
        (Parent.of(source, predictions.provenance),),
        predictions.group,
        predictions.group_names,
    )


def _require_training_split(predictions: Predictions, source: Path) -> None:
    if predictions.split != "train":
        raise InputError(
            f"{source} is about the split {predictions.split!r}, and groups are inferred for the training split",
            "Make it with: spurcli evaluate --split train",
        )
