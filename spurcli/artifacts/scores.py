"""scores.h5: one scoring of a training split, all scores of one pass, readable with h5py alone.

Writing holds one slice in memory; reading is by slices too, so 100 million samples are not a special case.
The layout is specified in docs/formats.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.atomic import atomic_path, readable_os_errors
from spurcli.artifacts.catalogue import SCORES, Artefact, require_kind
from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.hdf5_texts import Texts, read_names, text_member
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError

_HINT = "Make one with: spurcli score --dataset NAME"

Direction = Literal["harder", "easier"]


@dataclass(frozen=True)
class ScoreInfo:
    """One score of a file: its meaning and how it was computed."""

    name: str
    higher_is: Direction
    formula: str = ""
    source: str = ""
    epoch: int | None = None
    view: str = "eval"
    precision: str = "float32"
    seeds: tuple[int, ...] = ()
    weights_sha256: tuple[str, ...] = ()
    num_runs: int = 1


@dataclass(frozen=True)
class ScoresHeader:
    """The header of a score file, without the values."""

    subject: Subject
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    provenance: Provenance

    @property
    def num_samples(self) -> int:
        return self.subject.samples.num_samples


class ScoresWriter:
    """Writes values slice by slice; use `write_scores`, which makes the file atomic."""

    def __init__(self, file: h5py.File, num_samples: int) -> None:
        self._file = file
        self._num_samples = num_samples

    def add_score(self, info: ScoreInfo) -> None:
        group = self._file.create_group(f"scores/{info.name}")
        for key, value in (
            ("higher_is", info.higher_is),
            ("formula", info.formula),
            ("source", info.source),
            ("view", info.view),
            ("precision", info.precision),
            ("seeds", canonical_json(list(info.seeds))),
            ("weights_sha256", canonical_json(list(info.weights_sha256))),
        ):
            hdf5.set_text(group, key, value)
        if info.epoch is not None:
            group.attrs["epoch"] = info.epoch
        group.create_dataset(
            "values",
            shape=(info.num_runs, self._num_samples),
            dtype="<f4",
            chunks=(1, min(hdf5.CHUNK, self._num_samples)),
            fletcher32=True,
            fillvalue=np.nan,  # every reader rejects values that were never written
        )

    def write(self, name: str, run: int, start: int, values: NDArray[np.float32]) -> None:
        """Write `values` float32 [m] of `run` at position `start`; NaN and infinities are refused."""
        if not np.isfinite(values).all():
            bad = start + int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"Score {name!r} of sample {bad:,} is not a finite number",
                "The model or its logits hold NaN or infinities: lower the learning rate, or check the logits.",
            )
        self._file[f"scores/{name}/values"][run, start : start + len(values)] = values


@contextlib.contextmanager
def write_scores(
    path: Path,
    header: ScoresHeader,
    labels: NDArray[np.integer[Any]],
    *,
    sample_id: Sequence[str] | None = None,
    group: NDArray[np.integer[Any]] | None = None,
) -> Iterator[ScoresWriter]:
    """Write a score file atomically: `labels` and `group` int [n], then the scores through the yielded writer."""
    with atomic_path(path) as temporary, readable_os_errors(path), hdf5.create_hdf5(temporary) as file:
        hdf5.set_text(file, "format", SCORES.format)
        file.attrs["version"] = SCORES.version
        hdf5.set_text(file, "provenance", canonical_json(header.provenance))
        hdf5.set_text(file, "fingerprint", canonical_json(header.subject.samples.to_json()))
        if header.subject.injection_sha256:
            hdf5.set_text(file, "injection_sha256", header.subject.injection_sha256)
        chunks = (min(hdf5.CHUNK, len(labels)),)
        file.create_dataset("label", data=labels, dtype="<i8", chunks=chunks, compression="gzip", compression_opts=1)
        hdf5.write_names(file, "class_names", header.class_names)
        if group is not None:
            file.create_dataset("group", data=group, dtype="<i8", chunks=chunks, compression="gzip", compression_opts=1)
            hdf5.write_names(file, "group_names", header.group_names)
        if sample_id is not None:
            file.create_dataset("sample_id", data=hdf5.fixed_utf8(list(sample_id)), chunks=chunks, compression="gzip")
        yield ScoresWriter(file, len(labels))


def read_samples(file: h5py.File, path: Path, kind: Artefact) -> tuple[Any, Any | None, Texts | None, ScoresHeader]:
    """The samples of scores.h5 and dynamics.h5 (`kind`): label [n], group [n], ids and header, checked; no values."""
    where = str(path)
    hdf5.check_header(file, kind.format, kind.version, where)
    label = hdf5.array_member(file, "label", where, kinds="iu", ndim=1)
    if label is None:
        raise InputError(f"{path} has no labels", "See docs/formats.md for the layout.")
    group = hdf5.array_member(file, "group", where, kinds="iu", ndim=1, length=label.shape[0])
    sample_id = text_member(file, "sample_id", where, length=label.shape[0])

    def own_fingerprint() -> Fingerprint:
        """The fingerprint of the labels and ids, if another program wrote none, so that a list from them cannot be used with other samples."""
        return Fingerprint.of(np.asarray(label[:], dtype=np.int64), None if sample_id is None else sample_id.stream())

    header = ScoresHeader(
        subject=hdf5.read_subject(file, where, own_fingerprint),
        class_names=read_names(file, "class_names", where),
        group_names=read_names(file, "group_names", where),
        provenance=read_provenance(hdf5.json_attribute(file, "provenance", where), where),
    )
    hdf5.require_labels(label, header.subject.samples, where)
    return label, group, sample_id, header


class ScoresReader:
    """A checked, open score file; values come in slices. Use `open_scores`."""

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.path = path
        where = str(path)
        self._label, self._group, self._sample_id, self.header = read_samples(file, path, SCORES)
        self.scores: dict[str, ScoreInfo] = {}
        self._values: dict[str, Any] = {}
        scores = hdf5.member(file, "scores", h5py.Group, where)
        for name in scores or ():
            self._add(hdf5.member(scores, name, h5py.Group, where), name)
        if not self.scores:
            raise InputError(f"{path} holds no scores", "See docs/formats.md for the layout.")

    def _add(self, group: Any, name: str) -> None:
        where = f"{self.path}: score {name[:60]!r}"
        if group is None:  # listed but not there
            raise InputError(f"{where} is damaged", "Make the file again.")
        values = hdf5.array_member(group, "values", where, kinds="f", ndim=2, length=self.header.num_samples)
        higher_is = hdf5.text_attribute(group, "higher_is")
        if values is None or higher_is not in ("harder", "easier"):
            raise InputError(
                f"{where} needs `values` [runs, n] and `higher_is` = harder or easier", "See docs/formats.md."
            )
        seeds, weights = (self._list(group, key, where) for key in ("seeds", "weights_sha256"))
        self._values[name] = values
        self.scores[name] = ScoreInfo(
            name=name,
            higher_is=higher_is,  # type: ignore[arg-type]
            formula=hdf5.text_attribute(group, "formula") or "",
            source=hdf5.text_attribute(group, "source") or "",
            epoch=hdf5.whole_attribute(group, "epoch"),
            view=hdf5.text_attribute(group, "view") or "eval",
            precision=hdf5.text_attribute(group, "precision") or "float32",
            seeds=tuple(seed for seed in seeds if isinstance(seed, int)),
            weights_sha256=tuple(digest for digest in weights if isinstance(digest, str)),
            num_runs=values.shape[0],
        )

    @staticmethod
    def _list(group: Any, name: str, where: str) -> list[Any]:
        found = hdf5.json_attribute(group, name, where)
        if not isinstance(found, list | None):
            raise InputError(f"{where}: attribute {name!r} is not a JSON list", "See docs/formats.md for the layout.")
        return found or []

    @property
    def has_groups(self) -> bool:
        return self._group is not None

    def labels(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Labels int64 of positions [start, stop)."""
        return np.asarray(self._label[start:stop], dtype=np.int64)

    def groups(self, start: int = 0, stop: int | None = None) -> NDArray[np.int64]:
        """Groups int64 of positions [start, stop); call only if `has_groups`."""
        assert self._group is not None
        return np.asarray(self._group[start:stop], dtype=np.int64)

    def sample_ids(self, indices: NDArray[np.int64]) -> list[str]:
        """Ids of `indices` (ascending); the index itself where the file has none."""
        if self._sample_id is None:
            return [str(index) for index in indices.tolist()]
        return self._sample_id.read(indices)

    def values(self, name: str, run: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Values float32 of one run at positions [start, stop); NaN is refused."""
        with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite, which is refused
            values = np.asarray(self._values[name][run, start:stop]).astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            bad = start + int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"{self.path}: score {name!r} of sample {bad:,} is not a finite number",
                "Score again with finite logits; samples are never dropped silently.",
            )
        return values

    def mean_values(self, name: str) -> NDArray[np.float32]:
        """Mean over the runs, float32 [n], averaged in float64."""
        return mean_of_runs([(self, name)])

    def require(self, name: str) -> ScoreInfo:
        """The score called `name`, or an error that lists what is there."""
        if name not in self.scores:
            raise InputError(
                f"{self.path} has no score {name!r}",
                f"It has: {', '.join(sorted(self.scores))}. Choose with --score.",
            )
        return self.scores[name]


def mean_of_runs(sources: Sequence[tuple[ScoresReader, str]]) -> NDArray[np.float32]:
    """Mean of all runs of all `sources`, float32 [n]: accumulated in float64 a slice at a time."""
    num_samples = sources[0][0].header.num_samples
    mean = np.empty(num_samples, dtype=np.float32)
    num_runs = sum(reader.scores[name].num_runs for reader, name in sources)
    for start in range(0, num_samples, 16 * hdf5.CHUNK):
        stop = min(start + 16 * hdf5.CHUNK, num_samples)
        total = np.zeros(stop - start, dtype=np.float64)
        for reader, name in sources:
            for run in range(reader.scores[name].num_runs):
                total += reader.values(name, run, start, stop)
        mean[start:stop] = total / num_runs
    return mean


@contextlib.contextmanager
def open_scores(path: Path) -> Iterator[ScoresReader]:
    """Open and check a score file."""
    require_kind(path, SCORES, _HINT)
    with hdf5.open_hdf5(path, SCORES.noun, _HINT) as file:
        yield ScoresReader(file, path)
