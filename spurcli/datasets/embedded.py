"""Embeddings as a data set: the vectors of embeddings.h5, with the samples, labels and groups of the data they were made from."""

from __future__ import annotations

from pathlib import Path

from spurcli.artifacts.embeddings import EmbeddedSplit, read_embeddings
from spurcli.datasets.base import Dataset, Split, Twin
from spurcli.datasets.inputs import Vectors
from spurcli.datasets.own.naming import locate


def load(*, data_root: Path, path: str = "") -> Dataset:
    """The file of embeddings `path`, looked for in the data root and the working folder.

    Ids, order and fingerprints are those of the source data, so that lists, groups and scores of one fit the other.
    """
    found = read_embeddings(locate(path, data_root))
    twins = {
        name: Twin(split.twin_index, Vectors(split.twin_embedding))
        for name, split in found.splits.items()
        if split.twin_index is not None and split.twin_embedding is not None
    }
    return Dataset(
        name=found.name,
        class_names=found.class_names,
        splits={name: _split(split) for name, split in found.splits.items()},
        attribute_names=found.attribute_names,
        confusion=found.confusion,
        twins=twins or None,
        injection=found.injection,
        injection_sha256=found.injection_sha256,
        backbone=found.backbone,
        read_as=f"embeddings of {found.num_dimensions:,} dimensions by {backbone_line(found.backbone)}",
    )


def _split(split: EmbeddedSplit) -> Split:
    return Split(split.label, Vectors(split.embedding), split.attribute, split.sample_id)


def backbone_line(backbone: object) -> str:
    """The frozen model in words: "efficientnet_lite0" or "torchvision resnet50"."""
    facts = backbone if isinstance(backbone, dict) else {}
    name, options = facts.get("model"), facts.get("options")
    options = options if isinstance(options, dict) else {}
    which = options.get("arch") or options.get("path")
    words = [str(name or "an unknown model")[:80], *([str(which)[:80]] if which else [])]
    return " ".join(words) + (f", trained ({str(facts['checkpoint'])[:80]})" if facts.get("checkpoint") else "")
