"""dynamics.h5: the model's output for each training sample after each epoch, readable with h5py alone.

Writing holds one epoch in memory, reading a slice of the samples over all epochs. The layout is specified in docs/formats.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.atomic import atomic_path, readable_os_errors
from spurcli.artifacts.catalogue import DYNAMICS, require_kind
from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.scores import ScoresHeader, read_samples
from spurcli.errors import InputError

_HINT = "Make one with: spurcli train --dynamics eval"
VIEWS = ("eval", "in-training")
ARRAYS = ("log_p", "margin", "correct")


@dataclass(frozen=True)
class EpochDynamics:
    """After one epoch, float32 [n] each: log p_y, z_y − the largest other logit, and bool [n]: predicted right.

    NaN and False for a sample that was not visited.
    """

    log_p: NDArray[np.float32]
    margin: NDArray[np.float32]
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class DynamicsFacts:
    """How dynamics were recorded: in eval mode after each epoch, or from the training pass; in which precision, of which run."""

    view: str
    precision: str
    seed: int | None
    weights_sha256: str


def write_dynamics(
    path: Path,
    header: ScoresHeader,
    facts: DynamicsFacts,
    num_epochs: int,
    epochs: Iterable[EpochDynamics],
    labels: NDArray[np.integer[Any]],
    *,
    sample_id: Sequence[str] | None = None,
    group: NDArray[np.integer[Any]] | None = None,
) -> None:
    """Write a dynamics file atomically, one epoch after the other."""
    with atomic_path(path) as temporary, readable_os_errors(path), hdf5.create_hdf5(temporary) as file:
        hdf5.set_text(file, "format", DYNAMICS.format)
        file.attrs["version"] = DYNAMICS.version
        hdf5.set_text(file, "provenance", canonical_json(header.provenance))
        hdf5.set_text(file, "fingerprint", canonical_json(header.subject.samples.to_json()))
        if header.subject.injection_sha256:
            hdf5.set_text(file, "injection_sha256", header.subject.injection_sha256)
        for key, text in (
            ("view", facts.view),
            ("precision", facts.precision),
            ("weights_sha256", facts.weights_sha256),
        ):
            hdf5.set_text(file, key, text)
        if facts.seed is not None:
            file.attrs["seed"] = facts.seed
        size = min(hdf5.CHUNK, len(labels))
        packed = {"chunks": (size,), "compression": "gzip", "compression_opts": 1}
        file.create_dataset("label", data=labels, dtype="<i8", **packed)
        hdf5.write_names(file, "class_names", header.class_names)
        if group is not None:
            file.create_dataset("group", data=group, dtype="<i8", **packed)
            hdf5.write_names(file, "group_names", header.group_names)
        if sample_id is not None:
            file.create_dataset("sample_id", data=hdf5.fixed_utf8(list(sample_id)), chunks=(size,), compression="gzip")
        for name in ARRAYS:
            file.create_dataset(
                name,
                shape=(num_epochs, len(labels)),
                dtype="u1" if name == "correct" else "<f4",
                chunks=(1, size),
                shuffle=True,
                compression="gzip",
                compression_opts=1,
                fletcher32=True,
            )
        for number, each in enumerate(epochs):
            for name in ARRAYS:
                file[name][number] = getattr(each, name)


class DynamicsReader:
    """A checked, open dynamics file; values come in slices of the samples. Use `open_dynamics`."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.path = path
        where = str(path)
        self._label, self._group, self._sample_id, self.header = read_samples(file, path, DYNAMICS)
        num_samples = self._label.shape[0]
        view = hdf5.text_attribute(file, "view") or "eval"
        if view not in VIEWS:
            raise InputError(f"{path} has the view {view[:40]!r}", f"Choose from: {', '.join(VIEWS)}.")
        self.facts = DynamicsFacts(
            view,
            hdf5.text_attribute(file, "precision") or "float32",
            hdf5.whole_attribute(file, "seed"),
            hdf5.text_attribute(file, "weights_sha256") or "",
        )
        self._arrays: dict[str, Any] = {}
        for name in ARRAYS:
            kinds = "iub" if name == "correct" else "f"
            found = hdf5.array_member(file, name, where, kinds=kinds, ndim=2, length=num_samples)
            if found is None:
                raise InputError(f"{path} has no {name!r}", "See docs/formats.md for the layout.")
            self._arrays[name] = found
        if len({array.shape[0] for array in self._arrays.values()}) > 1:
            raise InputError(f"{path}: its arrays have different numbers of epochs", "Make the file again.")

    @property
    def num_epochs(self) -> int:
        return int(self._arrays["log_p"].shape[0])

    @property
    def provenance(self) -> Provenance:
        return self.header.provenance

    def labels(self) -> NDArray[np.int64]:
        return np.asarray(self._label[:], dtype=np.int64)

    def groups(self) -> NDArray[np.int64] | None:
        return None if self._group is None else np.asarray(self._group[:], dtype=np.int64)

    def sample_ids(self) -> tuple[str, ...] | None:
        if self._sample_id is None:
            return None
        return tuple(self._sample_id.read(np.arange(self.header.num_samples)))

    def values(self, start: int, stop: int, num_epochs: int | None = None) -> EpochDynamics:
        """The first `num_epochs` epochs of the samples at [start, stop), each [epochs, stop − start].

        Raises InputError for a sample that was not visited in every epoch, and for impossible values.
        """
        epochs = slice(0, num_epochs)
        taken = self._read(epochs, start, stop)
        bad = np.isnan(taken.log_p).any(axis=0)
        if bad.any():
            raise InputError(
                f"{self.path}: sample {start + int(bad.argmax()):,} has no value in some epochs",
                "Dynamics from the training pass cover kept samples only. Train on all samples, or with --dynamics eval.",
            )
        return taken

    def check(self, start: int, stop: int) -> None:
        """Read the values of the samples at [start, stop); InputError for impossible values. Gaps are allowed."""
        self._read(slice(None), start, stop)

    def _read(self, epochs: slice, start: int, stop: int) -> EpochDynamics:
        log_p, margin = (
            np.asarray(self._arrays[name][epochs, start:stop]).astype(np.float32, copy=False) for name in ARRAYS[:2]
        )
        correct = np.asarray(self._arrays["correct"][epochs, start:stop])
        gaps = np.isnan(log_p)
        if (
            (np.isnan(margin) != gaps).any()
            or np.isinf(margin).any()
            or not ((log_p <= 0) & (log_p > -np.inf) | gaps).all()
            or not np.isin(correct, (0, 1)).all()
        ):
            raise InputError(
                f"{self.path} holds values that are not log-probabilities, margins or bits", "Make the file again."
            )
        return EpochDynamics(log_p, margin, correct.astype(bool))


@contextlib.contextmanager
def open_dynamics(path: Path) -> Iterator[DynamicsReader]:
    """Open and check a dynamics file."""
    require_kind(path, DYNAMICS, _HINT)
    with hdf5.open_hdf5(path, DYNAMICS.noun, _HINT) as file:
        yield DynamicsReader(file, path)
