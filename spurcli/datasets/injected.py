"""Applying an injection to raw uint8 pixels on the fly, before normalisation and augmentation, or to raw texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.injection import Injection, Planted
from spurcli.artifacts.subject import Subject
from spurcli.datasets.base import Dataset, Twin
from spurcli.datasets.inputs import ArrayImages, Images, Inputs, Texts, Vectors, kind_of
from spurcli.errors import InputError
from spurcli.features import bind_feature
from spurcli.randomness import generator
from spurcli.words import counted


class Apply(Protocol):
    """Puts the feature into one image uint8 [height, width, channels] or tuple of texts; `rng` is the sample's own."""

    def __call__(self, sample: Any, rng: np.random.Generator) -> Any: ...


@dataclass(frozen=True)
class InjectedImages:
    """Images; those with `carries` bool [n] set get the feature when they are read.

    Random values in a feature depend only on (seed, stream, position), not on batches or workers.
    """

    base: Images
    carries: NDArray[np.bool_]
    apply: Apply
    seed: int
    stream: int
    resident = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.base.shape

    def __len__(self) -> int:
        return len(self.base)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        batch = np.array(self.base.read(indices))
        for row in np.flatnonzero(self.carries[indices]).tolist():
            position = int(indices[row])
            changed = self.apply(batch[row], _own_generator(self.seed, self.stream, position))
            if changed.shape != batch[row].shape or changed.dtype != np.uint8:
                raise InputError(
                    f"The feature returned {changed.dtype} {list(changed.shape)} for an image {list(batch[row].shape)}",
                    "A feature returns uint8 of the same shape.",
                )
            batch[row] = changed
        return batch


def _own_generator(seed: int, stream: int, position: int) -> np.random.Generator:
    return generator("feature noise", seed, stream, position)


def apply_injection(dataset: Dataset, injection: Injection) -> Dataset:
    """The data set with the feature in its carriers, and a twin of each evaluation split with it everywhere.

    Attributes become without / with the feature. Raises InputError if the training split is not the one that
    the carriers were chosen in.
    """
    train = dataset.splits["train"]
    Subject(injection.fingerprint, name="inject.json").require_same_samples(dataset.subject("train"))
    num_classes = len(dataset.class_names)
    for label in (injection.feature_of, injection.twin_class, *(each.feature_of for each in injection.further)):
        if label is not None and not 0 <= label < num_classes:
            raise InputError(f"inject.json names class {label} of {num_classes}", "Make it again for this data set.")
    apply = bind_feature(injection.feature, injection.parameters, kind_of(train.inputs))
    carries = np.zeros(len(train), dtype=bool)
    carries[injection.carriers] = True

    splits, twins = {}, {}
    for stream, (name, split) in enumerate(dataset.splits.items()):
        chosen = carries if name == "train" else np.zeros(len(split), dtype=bool)
        inputs = _with_further(split.inputs, injection.further, stream) if name == "train" else split.inputs
        inputs = _with_feature(inputs, chosen, apply, injection.seed, stream) if chosen.any() else inputs
        splits[name] = replace(split, inputs=inputs, attribute=chosen.astype(np.int64))
        if name != "train":
            index = np.arange(len(split), dtype=np.int64)
            everywhere = np.ones(len(index), dtype=bool)
            twins[name] = Twin(index, partial(_with_feature, split.inputs, everywhere, apply, injection.seed, stream))
    feature_name = injection.feature.rpartition(":")[2]
    return replace(
        dataset,
        splits=splits,
        attribute_names=(f"no {feature_name}", feature_name),
        published={},  # of the groups that were there before
        confusion=None,  # the injection defines which class is predicted as which
        twins=twins,
        injection=injection.content(),
        injection_sha256=injection.sha256,
    )


def _with_further(inputs: Inputs, further: Sequence[Planted], stream: int) -> Inputs:
    for planted in further:
        carries = np.zeros(len(inputs), dtype=bool)
        carries[planted.carriers] = True
        apply = bind_feature(planted.feature, planted.parameters, kind_of(inputs))
        inputs = _with_feature(inputs, carries, apply, planted.seed, stream) if carries.any() else inputs
    return inputs


def _with_feature(inputs: Inputs, carries: NDArray[np.bool_], apply: Apply, seed: int, stream: int) -> Inputs:
    if isinstance(inputs, Texts):
        return _texts_with_feature(inputs, carries, apply, seed, stream)
    assert not isinstance(inputs, Vectors)  # `bind_feature` refuses them
    injected = InjectedImages(inputs, carries, apply, seed, stream)
    if not inputs.resident:
        return injected
    return ArrayImages(injected.read(np.arange(len(inputs), dtype=np.int64)))


def _texts_with_feature(texts: Texts, carries: NDArray[np.bool_], apply: Apply, seed: int, stream: int) -> Texts:
    columns = [list(column) for column in texts.columns]
    chosen = np.flatnonzero(carries)
    for position, sample in zip(chosen.tolist(), texts.read(chosen), strict=True):
        changed = apply(sample, _own_generator(seed, stream, position))
        if len(changed) != len(sample) or not all(isinstance(text, str) for text in changed):
            raise InputError(
                f"The feature returned {str(changed)[:60]!r} for {counted(len(sample), 'text')}",
                "A feature for texts returns a tuple of as many strings.",
            )
        for column, text in zip(columns, changed, strict=True):
            column[position] = text
    return Texts(tuple(columns))
