"""What a data set holds: counts per split, class and group, fingerprints, each class's spurious feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from spurcli.datasets.base import Dataset
from spurcli.groups import carrier_groups, conflict_groups, named, spurious_attributes


def check(dataset: Dataset) -> dict[str, Any]:
    """Counts and fingerprints of a loaded data set; loading it already compared them with the published ones."""
    splits: dict[str, Any] = {}
    for name, split in dataset.splits.items():
        group = dataset.group(name)
        classes = np.bincount(split.label, minlength=len(dataset.class_names))
        splits[name] = {
            "num_samples": len(split),
            "classes": dict(zip(dataset.class_names, classes.tolist(), strict=True)),
            "groups": None
            if group is None
            else dict(
                zip(
                    dataset.group_names,
                    np.bincount(group, minlength=len(dataset.group_names)).tolist(),
                    strict=True,
                )
            ),
            "image": list(split.inputs.shape),
            "fingerprint": split.fingerprint.to_json(),
        }
    content: dict[str, Any] = {"name": dataset.name, "splits": splits}
    train_group = dataset.group("train")
    if train_group is not None:
        counts = np.bincount(train_group, minlength=len(dataset.group_names))
        num_classes = len(dataset.class_names)
        content["spurious_features"] = {
            dataset.class_names[label]: dataset.attribute_names[attribute] if attribute >= 0 else None
            for label, attribute in enumerate(spurious_attributes(counts, num_classes).tolist())
        }
        content["carrier_groups"] = named(carrier_groups(counts, num_classes), dataset.group_names)
        content["conflict_groups"] = named(conflict_groups(counts, num_classes), dataset.group_names)
    return content
