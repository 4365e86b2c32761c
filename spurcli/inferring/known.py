"""What is known about the training samples before anything is inferred; checked against the subject of the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.foreign_logits import ForeignLogits
from spurcli.artifacts.predictions import Predictions
from spurcli.artifacts.provenance import Parent
from spurcli.artifacts.subject import InjectionPolicy, Subject
from spurcli.datasets.alignment import align
from spurcli.errors import InputError
from spurcli.results import CountsOfRow
from spurcli.runtime.context import RunContext


@dataclass(frozen=True)
class Known:
    """Label int64 [n], class names, the samples that they are about; `group` [n] are true groups, used only for comparison.

    `others` are the labels and samples of the further splits that the source covers.
    """

    label: NDArray[np.int64]
    class_names: tuple[str, ...]
    subject: Subject
    parents: tuple[Parent, ...]
    group: NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()
    others: Mapping[str, tuple[NDArray[np.int64], Subject]] = field(default_factory=dict)
    sample_id: Sequence[str] | None = None

    def counts(self, attribute: NDArray[np.int64], names: tuple[str, ...]) -> list[CountsOfRow]:
        """How many samples of each true group (each class where none is known) have each attribute."""
        rows, row_names = (self.label, self.class_names) if self.group is None else (self.group, self.group_names)
        counts = np.zeros((len(row_names), len(names)), dtype=np.int64)
        np.add.at(counts, (rows, attribute), 1)
        return [
            {"name": name, "counts": dict(zip(names, row.tolist(), strict=True))}
            for name, row in zip(row_names, counts, strict=True)
        ]


def known_of_dataset(
    context: RunContext, source: Path | None, predictions: Predictions | None, policy: InjectionPolicy
) -> Known:
    """The training split of the data set, which must be the subject of `source`: InputError if not."""
    dataset, train = context.dataset, context.dataset.splits["train"]
    parents = []
    if source and predictions:
        predictions.subject.require_same(dataset.subject("train"), policy)
        parents.append(Parent.of(source, predictions.provenance))
    elif source:
        metadata = read_checkpoint_metadata(source, required=False)
        context.require_own(metadata, str(source), policy)
        parents.append(Parent.of(source, metadata.get("provenance")))
    return Known(
        train.label,
        dataset.class_names,
        dataset.subject("train"),
        tuple(parents),
        dataset.group("train"),
        dataset.group_names,
        {
            name: (split.label, dataset.subject(name))
            for name, split in dataset.splits.items()
            if name != "train" and predictions is None
        },
        train.sample_id,
    )


def in_our_order(context: RunContext, predictions: Predictions, source: Path) -> Predictions:
    """Predictions with logits in the order of the training split and its classes; InputError if they do not fit it.

    Files of ours state the hash of the ids; those of other programs are matched by the ids and class names they hold.
    """
    _require_training_split(predictions, source)
    dataset, train = context.dataset, context.dataset.splits["train"]
    stated = predictions.subject
    is_ours = stated.samples.ids_sha256 is not None and predictions.class_names == dataset.class_names
    if is_ours or train.sample_id is None:
        stated.require_same_samples(dataset.subject("train"))
    if is_ours:
        return predictions
    foreign = ForeignLogits(
        source, predictions.logits, predictions.label, predictions.sample_id, predictions.class_names
    )
    is_folder = context.settings.dataset.name == "folder"
    logits, note = align(foreign, dataset, "train", is_image_folder=is_folder)
    context.progress.say(note)
    return replace(
        predictions, logits=logits, label=train.label, subject=replace(stated, fingerprint=train.fingerprint)
    )


def known_of_predictions(predictions: Predictions, source: Path) -> Known:
    """The known facts in predictions of another program."""
    _require_training_split(predictions, source)
    names = predictions.class_names or tuple(map(str, range(predictions.logits.shape[1])))
    return Known(
        predictions.label,
        names,
        predictions.subject,
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
