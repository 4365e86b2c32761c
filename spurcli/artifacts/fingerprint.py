"""What identifies the samples of a data set: their number, ids and labels, in order.

Every artefact stores the fingerprint of the split it speaks about and every reader checks it, so that the
indices of one data set are never used with another. Pixels and injected features are not included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import field, optional_field
from spurcli.artifacts.records import FingerprintContent
from spurcli.errors import InputError
from spurcli.words import counted


@dataclass(frozen=True)
class Fingerprint:
    """`num_samples`, SHA-256 of the little-endian int64 labels, SHA-256 of the UTF-8 ids each ended by a newline.

    Ids are absent where a data set has none (the index is the id) and in logits made elsewhere.
    """

    num_samples: int
    labels_sha256: str | None = None
    ids_sha256: str | None = None

    @classmethod
    def of(cls, labels: NDArray[np.integer[Any]], sample_id: Iterable[str] | None = None) -> Fingerprint:
        """The fingerprint of `labels` int [n] and, if the data set has them, `sample_id` [n]."""
        ids_sha256 = None
        if sample_id is not None:
            digest = hashlib.sha256()
            for identifier in sample_id:
                digest.update(identifier.encode() + b"\n")
            ids_sha256 = digest.hexdigest()
        little_endian = np.ascontiguousarray(labels, dtype="<i8")
        return cls(len(labels), hashlib.sha256(little_endian.data).hexdigest(), ids_sha256)

    def to_json(self) -> FingerprintContent:
        return {
            "num_samples": self.num_samples,
            "labels_sha256": self.labels_sha256,
            "ids_sha256": self.ids_sha256,
        }

    @classmethod
    def from_json(cls, content: Any, where: str) -> Fingerprint:
        if not isinstance(content, Mapping):
            raise InputError(f"{where} has no usable fingerprint", "Make the file again.")
        where = f"{where}: fingerprint"
        num_samples = field(content, "num_samples", int, where)
        if num_samples < 0:
            raise InputError(f"{where}: 'num_samples' is negative", "Make the file again.")
        labels, ids = (optional_field(content, key, str, where) for key in ("labels_sha256", "ids_sha256"))
        return cls(num_samples, labels, ids)

    def difference(self, other: Fingerprint) -> str | None:
        """The differences as text, for the parts that both have; None if they agree."""
        if self.num_samples != other.num_samples:
            return f"{counted(self.num_samples, 'sample')} against {other.num_samples:,}"
        if self.labels_sha256 and other.labels_sha256 and self.labels_sha256 != other.labels_sha256:
            return "the labels differ"
        if self.ids_sha256 and other.ids_sha256 and self.ids_sha256 != other.ids_sha256:
            return "the sample ids differ"
        return None
