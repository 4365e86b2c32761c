"""Hashes of content that is not in a fingerprint: embeddings that may be made again, groups that a user may correct.

A stage stores them as arguments, so that a result from older contents does not count as the same run. Pixels and texts are not hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.provenance import EMBEDDINGS_SHA256, GROUPS_SHA256
from spurcli.datasets.base import Dataset
from spurcli.datasets.inputs import Vectors
from spurcli.datasets.own.naming import OWN_DATA
from spurcli.registry import is_user_code


def content_hashes(dataset: Dataset, name: str, *, groups: bool, embeddings: bool = True) -> dict[str, str]:
    """The hashes of the data set called `name` in the settings; without parts that it does not have or that a user cannot change."""
    found = {}
    if embeddings and dataset.backbone is not None:
        inputs = [split.inputs for split in dataset.splits.values()]
        inputs += [twin.inputs for twin in (dataset.twins or {}).values()]
        found[EMBEDDINGS_SHA256] = _sha256([], (each.values for each in inputs if isinstance(each, Vectors)))
    if groups and dataset.attribute_names and (name in OWN_DATA or is_user_code(name)):
        attributes = (split.attribute for split in dataset.splits.values())
        found[GROUPS_SHA256] = _sha256(dataset.attribute_names, (each for each in attributes if each is not None))
    return found


def _sha256(names: Iterable[str], arrays: Iterable[NDArray[np.float32] | NDArray[np.int64]]) -> str:
    digest = hashlib.sha256()
    for name in names:
        digest.update(name.encode() + b"\n")
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
