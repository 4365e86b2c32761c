"""What a data set holds: counts per split, class and group, fingerprints, spurious features, images that do not decode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.base import Dataset, Split
from spurcli.datasets.decoding import Stored
from spurcli.datasets.inputs import FileImages, Images, StoredImages, Texts, Vectors
from spurcli.errors import InputError, SpurError
from spurcli.groups import (
    aligned_groups,
    carrier_groups,
    conflict_groups,
    lift,
    named,
    spurious_attributes,
    spurious_sets,
)
from spurcli.progress import Progress, Silent
from spurcli.results import (
    DatasetFacts,
    DecodedFacts,
    FeatureOfClass,
    RepeatedTexts,
    SplitFacts,
    StorageFacts,
    StoredFacts,
    Unreadable,
)

_BATCH = 64


def check(dataset: Dataset) -> DatasetFacts:
    """Everything that is known about a loaded data set without reading its inputs, as JSON.

    Loading has already compared the counts that must equal the published ones; if an option selects other samples, they differ, and
    both are given. `spurious_features` says for each class which attribute is its spurious feature, P(a|y) in training
    (`share`) and P(a|y) / P(a) (`lift`), and `tied`, other attributes of the same lift, if there are any. `repeated_texts` counts samples whose text
    occurs more than once, those of them `with_other_labels`, and by split those `of_train`. `aligned_groups` are those that
    `prune --group auto` prunes.
    """
    content: DatasetFacts = {
        "name": dataset.name,
        "read_as": dataset.read_as,
        "splits": {name: _about_split(dataset, name) for name in dataset.splits},
    }
    repeated = _repeated_texts(dataset)
    if repeated is not None:
        content["repeated_texts"] = repeated
    train_group = dataset.group("train")
    if train_group is not None:
        counts = np.bincount(train_group, minlength=len(dataset.group_names))
        num_classes = len(dataset.class_names)
        content["spurious_features"] = _spurious_features(dataset, counts)
        content["aligned_groups"] = named(aligned_groups(counts, num_classes), dataset.group_names)
        content["carrier_groups"] = named(carrier_groups(counts, num_classes), dataset.group_names)
        content["conflict_groups"] = named(conflict_groups(counts, num_classes), dataset.group_names)
    return content


def _repeated_texts(dataset: Dataset) -> RepeatedTexts | None:
    """Samples whose texts occur more than once; None for images."""
    labels: dict[tuple[str, ...], set[int]] = {}
    count: Counter[tuple[str, ...]] = Counter()
    texts: dict[str, list[tuple[str, ...]]] = {}
    for name, split in dataset.splits.items():
        if not isinstance(split.inputs, Texts):
            return None
        texts[name] = list(zip(*split.inputs.columns, strict=True))
        count.update(texts[name])
        for text, label in zip(texts[name], split.label.tolist(), strict=True):
            labels.setdefault(text, set()).add(label)
    trained = set(texts["train"])
    differ = [text for text, found in labels.items() if len(found) > 1]
    return {
        "num_samples": sum(number for number in count.values() if number > 1),
        "with_other_labels": sum(count[text] for text in differ),
        "example": " / ".join(differ[0])[:80] if differ else None,
        "of_train": {
            name: leaked
            for name, found in texts.items()
            if name != "train" and (leaked := sum(map(trained.__contains__, found)))
        },
    }


def _about_split(dataset: Dataset, name: str) -> SplitFacts:
    split, group = dataset.splits[name], dataset.group(name)
    classes = _counts(split.label, dataset.class_names)
    groups = None if group is None else _counts(group, dataset.group_names)
    published = None
    if name in dataset.published:
        names = dataset.class_names if groups is None else dataset.group_names
        published = dict(zip(names, dataset.published[name], strict=True))
    found = groups or classes
    return {
        "num_samples": len(split),
        "classes": classes,
        "groups": groups,
        "published": published,
        "as_published": None
        if published is None
        else all(count in (None, found[key]) for key, count in published.items()),
        "stored": _first_stored(split.inputs) if len(split) else None,
        "image": None if isinstance(split.inputs, Texts | Vectors) else list(split.inputs.shape),
        "num_texts": len(split.inputs.columns) if isinstance(split.inputs, Texts) else None,
        "num_dimensions": split.inputs.shape[0] if isinstance(split.inputs, Vectors) else None,
        "fingerprint": split.fingerprint.to_json(),
    }


def _first_stored(inputs: object) -> StoredFacts | None:
    """How the first image of a split is stored; None if it is not stored as an image file, or cannot be read (`decode_all` says why)."""
    if not isinstance(inputs, StoredImages):
        return None
    try:
        found = inputs.stored(0)
    except Exception:  # forty decoders, which fail in any way
        return None
    return {"size": list(found.size), "mode": found.mode}


def _counts(codes: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    return dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True))


def _spurious_features(dataset: Dataset, counts: NDArray[np.int64]) -> dict[str, FeatureOfClass | None]:
    """The spurious feature of each class and how strongly it is linked to the class; None for a class without training samples."""
    num_classes = len(dataset.class_names)
    strength, per_class = lift(counts, num_classes), counts.reshape(num_classes, -1)
    sets = spurious_sets(counts, num_classes)
    features: dict[str, FeatureOfClass | None] = {}
    for label, attribute in enumerate(spurious_attributes(counts, num_classes).tolist()):
        tied = [dataset.attribute_names[other] for other in sets[label] if other != attribute]
        features[dataset.class_names[label]] = None if attribute < 0 else {
            "attribute": dataset.attribute_names[attribute],
            **({"tied": tied} if tied else {}),
            "share": float(per_class[label, attribute] / per_class[label].sum()),
            "lift": float(strength[label, attribute]),
        }  # fmt: skip
    return features


def decode_all(dataset: Dataset, *, num_workers: int = 2, progress: Progress | None = None) -> DecodedFacts:
    """Open and decode every image that is not in memory; a file that is in several splits is decoded once.

    `num_images` and `unreadable`, a list of {split, index, name, problem, advice} in the order of the splits; `modes` and
    `orientations`, how many are stored so, and `changes`, a list of {what, num_images, example} of those whose values
    are not simply copied (see `spurcli.datasets.decoding`). Image files are decoded by threads, as when they are cached
    (Pillow decodes outside Python's lock); other kinds in this one.
    """
    report, seen = progress or Silent(), set[Any]()
    num_images, storage = 0, _Storage()
    unreadable: list[Unreadable] = []
    for name, split in dataset.splits.items():
        images = split.inputs
        if isinstance(images, Texts | Vectors) or images.resident:
            continue
        paths = images.paths if isinstance(images, FileImages) else [(name, index) for index in range(len(split))]
        positions = [index for index, path in enumerate(paths) if path not in seen]
        seen.update(paths)
        report.start(f"decoding {name}", len(positions))
        for index, found in _decode(images, positions, num_workers, report):
            if isinstance(found, SpurError):
                unreadable.append(
                    Unreadable(
                        split=name, index=index, name=_name(split, index), problem=found.problem, advice=found.hint
                    )
                )
            elif found is not None:
                storage.add(found, _name(split, index))
        num_images += len(positions)
    return {"num_images": num_images, "unreadable": unreadable, **storage.to_json()}


@dataclass
class _Storage:
    """How the images that decode are stored, counted."""

    modes: Counter[str] = field(default_factory=Counter)
    orientations: Counter[int] = field(default_factory=Counter)
    changes: dict[str, list[Any]] = field(default_factory=dict)  # the change: number of images, name of the first
    brightest: int | None = None

    def add(self, stored: Stored, name: str) -> None:
        self.modes[stored.mode] += 1
        self.orientations[stored.orientation] += 1
        if stored.brightest is not None:
            self.brightest = max(self.brightest or 0, stored.brightest)
        for what in stored.changes:
            self.changes.setdefault(what, [0, name])[0] += 1

    def to_json(self) -> StorageFacts:
        return {
            "modes": dict(sorted(self.modes.items())),
            "orientations": {str(number): count for number, count in sorted(self.orientations.items())},
            "changes": [
                {"what": what, "num_images": count, "example": name}
                for what, (count, name) in sorted(self.changes.items())
            ],
            "brightest_16_bit": self.brightest,
        }


def _decode(
    images: Images, positions: Sequence[int], num_workers: int, report: Progress
) -> Iterator[tuple[int, SpurError | Stored | None]]:
    """For each image in order: position, and what is wrong with it, or else how it is stored if known."""
    threads = max(num_workers, 1) if isinstance(images, FileImages) else 1

    def look(start: int) -> list[tuple[int, SpurError | Stored | None]]:
        return [(index, _found(images, index)) for index in positions[start : start + _BATCH]]

    pool = ThreadPoolExecutor(threads)
    try:
        for batch in pool.map(look, range(0, len(positions), _BATCH)):
            yield from batch
            report.advance(len(batch))
    finally:
        pool.shutdown(cancel_futures=True)


def _found(images: Images, index: int) -> SpurError | Stored | None:
    try:
        images.read(np.array([index], dtype=np.int64))
        return images.stored(index) if isinstance(images, StoredImages) else None
    except SpurError as error:
        return error
    except Exception as error:  # your own kind of images may raise anything
        return InputError(f"{type(error).__name__}: {str(error)[:120]}")


def _name(split: Split, index: int) -> str:
    if split.sample_id is not None:
        return split.sample_id[index]
    return split.inputs.paths[index].name if isinstance(split.inputs, FileImages) else f"image {index:,}"
