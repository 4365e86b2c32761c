"""embeddings.h5: the embeddings of every split of a data set, made once by a frozen model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.atomic import atomic_path, readable_os_errors
from spurcli.artifacts.catalogue import EMBEDDINGS, require_kind
from spurcli.artifacts.envelope import JsonObject, canonical_json, optional_field
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.hdf5_texts import read_names, text_member
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.errors import InputError
from spurcli.words import counted

_HINT = "Make one with: spurcli data embed DATASET"
_ROWS = 1 << 13  # read and written at a time
_MAX_SPLITS = 1000
_MAX_COLUMNS = 10_000
Columns = Mapping[str, Mapping[str, Sequence[str]]]
"""For each split the columns of the source's table: name → n values as text, "" where a cell is empty."""


@dataclass(frozen=True)
class EmbeddedSplit:
    """`embedding` float32 [n, d] and label int64 [n] of a split; `twin_embedding` [m, d] of its samples `twin_index` [m]
    once more with the injected feature.

    Embeddings may be arrays on disk (`numpy.memmap`): they are written by slices.
    """

    embedding: NDArray[np.float32]
    label: NDArray[np.int64]
    fingerprint: Fingerprint
    attribute: NDArray[np.int64] | None = None
    sample_id: tuple[str, ...] | None = None
    twin_index: NDArray[np.int64] | None = None
    twin_embedding: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Embeddings:
    """All splits of the data set `name` in the order of its samples.

    `backbone` says which model made them: its name and options, the hash of its weights, the layer, and how inputs were
    prepared. `injection` is the content of the inject.json whose feature the samples carry. `columns` are written, all
    splits with the same names; they are read by `read_columns` alone, since a training has no use for them.
    """

    name: str
    class_names: tuple[str, ...]
    splits: Mapping[str, EmbeddedSplit]
    backbone: JsonObject
    provenance: Provenance
    attribute_names: tuple[str, ...] = ()
    confusion: tuple[int, int] | None = None
    injection: Mapping[str, Any] | None = None
    injection_sha256: str | None = None
    columns: Columns = field(default_factory=dict)

    @property
    def num_dimensions(self) -> int:
        return int(self.splits["train"].embedding.shape[1])


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    _check(embeddings, str(path))
    with atomic_path(path) as temporary, readable_os_errors(path), hdf5.create_hdf5(temporary) as file:
        hdf5.set_text(file, "format", EMBEDDINGS.format)
        file.attrs["version"] = EMBEDDINGS.version
        hdf5.set_text(file, "name", embeddings.name)
        for name, content in (
            ("splits", list(embeddings.splits)),
            ("backbone", dict(embeddings.backbone)),
            ("provenance", dict(embeddings.provenance)),
            ("injection", embeddings.injection),
        ):
            if content is not None:
                hdf5.set_text(file, name, canonical_json(content))
        if embeddings.injection_sha256:
            hdf5.set_text(file, "injection_sha256", embeddings.injection_sha256)
        hdf5.write_names(file, "class_names", embeddings.class_names)
        hdf5.write_names(file, "attribute_names", embeddings.attribute_names)
        names = list(next(iter(embeddings.columns.values()), {}))
        hdf5.write_names(file, "column_names", names)
        checked: dict[str, object] = {"chunks": True, "fletcher32": True}
        if embeddings.confusion is not None:
            file.create_dataset("confusion", data=embeddings.confusion, dtype="<i8")
        for name, split in embeddings.splits.items():
            group = file.create_group(f"split/{name}")
            hdf5.set_text(group, "fingerprint", canonical_json(split.fingerprint.to_json()))
            group.create_dataset("label", data=split.label, dtype="<i8", **checked)
            if split.attribute is not None:
                group.create_dataset("attribute", data=split.attribute, dtype="<i8", **checked)
            if split.sample_id is not None:
                group.create_dataset("sample_id", data=hdf5.fixed_utf8(list(split.sample_id)), **checked)
            for number, column in enumerate(names):
                values = hdf5.fixed_utf8(list(embeddings.columns[name][column]))
                group.create_dataset(f"columns/{number}", data=values, compression="gzip", **checked)
            _write_rows(group, "embedding", split.embedding)
            if split.twin_index is not None and split.twin_embedding is not None:
                group.create_dataset("injected/index", data=split.twin_index, dtype="<i8", **checked)
                _write_rows(group, "injected/embedding", split.twin_embedding)


def _write_rows(group: h5py.Group, name: str, rows: NDArray[np.float32]) -> None:
    """A data set of chunks of whole rows, written one chunk at a time."""
    num_rows, width = rows.shape
    chunk = max(1, min(num_rows, (1 << 20) // (4 * width)))
    item = group.create_dataset(name, shape=rows.shape, dtype="<f4", chunks=(chunk, width), fletcher32=True)
    for start in range(0, num_rows, chunk):
        item[start : start + chunk] = rows[start : start + chunk]


def read_embeddings_header(path: Path) -> tuple[str, JsonObject, Provenance]:
    """Name of the source data set, backbone and provenance, without the embeddings."""
    require_kind(path, EMBEDDINGS, _HINT)
    with hdf5.open_hdf5(path, EMBEDDINGS.noun, _HINT) as file:
        return _header(file, str(path))


def _header(file: h5py.File, where: str) -> tuple[str, JsonObject, Provenance]:
    hdf5.check_header(file, EMBEDDINGS.format, EMBEDDINGS.version, where)
    backbone = hdf5.json_attribute(file, "backbone", where)
    made = read_provenance(hdf5.json_attribute(file, "provenance", where), where)
    return hdf5.text_attribute(file, "name") or "embeddings", _object(backbone, "backbone", where) or {}, made


def _object(content: Any, name: str, where: str) -> JsonObject | None:
    if content is not None and not isinstance(content, dict):
        raise InputError(f"{where}: {name!r} is not an object", "See docs/formats.md for the layout.")
    return content


def read_embeddings(path: Path) -> Embeddings:
    """All splits, in memory. Raises InputError for a damaged file, and for embeddings that are not finite."""
    where = str(path)
    require_kind(path, EMBEDDINGS, _HINT)
    with hdf5.open_hdf5(path, EMBEDDINGS.noun, _HINT) as file:
        name, backbone, made = _header(file, where)
        names = hdf5.json_attribute(file, "splits", where)
        groups = hdf5.member(file, "split", h5py.Group, where)
        if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names) or groups is None:
            raise InputError(f"{where} has no list of splits", "See docs/formats.md for the layout.")
        if len(names) > _MAX_SPLITS or len(set(names)) < len(names) or any("/" in each for each in names):
            raise InputError(f"{where}: the names of its splits cannot be used", "Make the file again.")
        pair = hdf5.array_member(file, "confusion", where, kinds="iu", ndim=1, length=2)
        injection = _object(hdf5.json_attribute(file, "injection", where), "injection", where)
        for key in ("feature_of", "twin_class"):
            optional_field(injection or {}, key, int, f"{where}: injection")
        found = Embeddings(
            name=name,
            class_names=read_names(file, "class_names", where),
            splits={each: _read_split(groups, each, where) for each in names},
            backbone=backbone,
            provenance=made,
            attribute_names=read_names(file, "attribute_names", where),
            confusion=(int(pair[0]), int(pair[1])) if pair is not None else None,
            injection=injection,
            injection_sha256=hdf5.text_attribute(file, "injection_sha256"),
        )
    _check(found, where)
    return found


def read_column_names(path: Path) -> tuple[str, ...]:
    """The names of the columns that the file keeps of its source's table; () where there are none."""
    require_kind(path, EMBEDDINGS, _HINT)
    with hdf5.open_hdf5(path, EMBEDDINGS.noun, _HINT) as file:
        return _column_names(file, str(path))


def read_columns(path: Path) -> dict[str, dict[str, list[str]]]:
    """The columns of every split; {} where the file keeps none. Raises InputError for a column that is not whole."""
    where = str(path)
    require_kind(path, EMBEDDINGS, _HINT)
    with hdf5.open_hdf5(path, EMBEDDINGS.noun, _HINT) as file:
        _header(file, where)
        names = _column_names(file, where)
        groups = hdf5.member(file, "split", h5py.Group, where)
        if not names or groups is None:
            return {}
        return {split: _read_columns(groups, split, names, f"{where}, split {split!r}") for split in groups}


def _column_names(file: h5py.File, where: str) -> tuple[str, ...]:
    names = read_names(file, "column_names", where)
    if len(names) > _MAX_COLUMNS or len(set(names)) < len(names) or "" in names:
        raise InputError(f"{where}: the names of its columns cannot be used", "Make the file again.")
    return names


def _read_columns(groups: h5py.Group, split: str, names: Sequence[str], where: str) -> dict[str, list[str]]:
    group = hdf5.member(groups, split, h5py.Group, where)
    label = hdf5.array_member(group, "label", where, kinds="iu", ndim=1)
    kept = hdf5.member(group, "columns", h5py.Group, where)
    found: dict[str, list[str]] = {}
    same: dict[str, str] = {}  # a value is one object, however many rows have it
    for number, name in enumerate(names):
        values = None
        if label is not None and kept is not None:
            values = text_member(kept, str(number), where, length=len(label))
        if values is None:
            raise InputError(f"{where}: column {name!r} is missing", "Make the file again.")
        found[name] = [same.setdefault(value, value) for value in values.stream()]
    return found


def _read_split(groups: h5py.Group, name: str, where: str) -> EmbeddedSplit:
    where = f"{where}, split {name!r}"
    group = hdf5.member(groups, name, h5py.Group, where)
    if group is None:
        raise InputError(f"{where} is missing", "Make the file again.")
    label = hdf5.array_member(group, "label", where, kinds="iu", ndim=1)
    embedding = hdf5.array_member(group, "embedding", where, kinds="f", ndim=2)
    if label is None or embedding is None or len(embedding) != len(label):
        raise InputError(f"{where} needs `label` [n] and `embedding` [n, d]", "See docs/formats.md for the layout.")
    attribute = hdf5.array_member(group, "attribute", where, kinds="iu", ndim=1, length=len(label))
    ids = text_member(group, "sample_id", where, length=len(label))
    sample_id = tuple(ids.read()) if ids is not None else None
    twin = hdf5.member(group, "injected", h5py.Group, where)
    index = hdf5.array_member(twin, "index", where, kinds="iu", ndim=1) if twin else None
    twin_embedding = hdf5.array_member(twin, "embedding", where, kinds="f", ndim=2) if twin else None
    codes = np.asarray(label[:], dtype=np.int64)
    fingerprint = Fingerprint.of(codes, sample_id)
    stated = hdf5.json_attribute(group, "fingerprint", where)
    if stated is not None and (problem := fingerprint.difference(Fingerprint.from_json(stated, where))):
        raise InputError(f"{where} does not match its fingerprint: {problem}", "Make the file again.")
    return EmbeddedSplit(
        embedding=_rows(embedding, where),
        label=codes,
        fingerprint=fingerprint,
        attribute=np.asarray(attribute[:], dtype=np.int64) if attribute is not None else None,
        sample_id=sample_id,
        twin_index=np.asarray(index[:], dtype=np.int64) if index is not None else None,
        twin_embedding=_rows(twin_embedding, where) if twin_embedding is not None else None,
    )


def _rows(item: Any, where: str) -> NDArray[np.float32]:
    rows = np.empty(item.shape, dtype=np.float32)
    for start in range(0, len(rows), _ROWS):
        with np.errstate(over="ignore"):  # values too large for float32 become infinite, which is rejected
            rows[start : start + _ROWS] = np.asarray(item[start : start + _ROWS]).astype(np.float32, copy=False)
        if not np.isfinite(rows[start : start + _ROWS]).all():
            raise InputError(f"{where}: embeddings hold NaN or infinity", "Make them with another model or precision.")
    return rows


def _problems(found: Embeddings) -> Iterator[str]:
    num_classes, num_attributes = len(found.class_names), len(found.attribute_names)
    if "train" not in found.splits:
        yield "there is no split 'train'"
        return
    if not num_classes:
        yield "the classes have no names"
    if not all(0 <= label < num_classes for label in found.confusion or ()):
        yield "`confusion` names a class that does not exist"
    for key in ("feature_of", "twin_class"):
        if not 0 <= ((found.injection or {}).get(key) or 0) < max(num_classes, 1):
            yield "the injection names a class that does not exist"
    width = found.num_dimensions
    for name, split in found.splits.items():
        if split.embedding.shape != (len(split.label), width):
            yield f"split {name!r} has {counted(split.embedding.shape[1], 'dimension')}, train {width:,}"
        for what, codes, limit in (("label", split.label, num_classes), ("attribute", split.attribute, num_attributes)):
            if codes is not None and (codes.min() < 0 or codes.max() >= limit):
                yield f"split {name!r} has a {what} without a name"
        index, twin = split.twin_index, split.twin_embedding
        if (index is None) != (twin is None):
            yield f"split {name!r}: the injected twin needs `index` and `embedding`"
        elif index is not None and twin is not None:
            if twin.shape != (len(index), width):
                yield f"split {name!r}: the twin's embeddings are not [len(index), d]"
            elif index.min() < 0 or index.max() >= len(split.label):
                yield f"split {name!r}: the twin has a sample outside the split"


def _check(found: Embeddings, where: str) -> None:
    """Raise InputError unless everything is in range and fits together."""
    if problem := next(_problems(found), ""):
        raise InputError(f"{where}: {problem}", "See docs/formats.md for the layout, or make the file again.")
