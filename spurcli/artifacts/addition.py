"""suspects/N.addition.h5: what an audit adds to a sample so that it carries the feature of suspect N."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts import hdf5
from spurcli.artifacts.atomic import atomic_path, readable_os_errors
from spurcli.artifacts.catalogue import ADDITION, require_kind
from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.envelope import field as value_of
from spurcli.artifacts.provenance import Provenance, read_provenance
from spurcli.errors import InputError

STAMP, WORDS = "stamp", "words"
IMAGE_PROPERTY, TEXT_PROPERTY = "image property", "text property"
_HINT = "Make one with: spurcli audit model.safetensors"
_LAYOUT = "See docs/formats.md for the layout, or audit again."
# For each kind: its parameters with their types, and its arrays with the letters of their types and the number of axes.
_KINDS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, tuple[str, int]]]] = {
    STAMP: ({}, {"opacity": ("f", 3), "colour": ("f", 4)}),
    WORDS: ({"text": str, "column": int, "times": int, "seed": int}, {}),
    IMAGE_PROPERTY: ({"property": str, "value": (int, float)}, {}),
    TEXT_PROPERTY: ({"property": str, "value": str, "column": int}, {}),
}
_MOST_TIMES = 1000  # insertions of a word into a text
_LARGEST = 1 << 16  # of a value that is added to pixels


@dataclass(frozen=True)
class Addition:
    """What is added to a sample, by its `kind`; docs/formats.md lists the parameters and arrays of each.

    stamp: image → (1 − opacity) · image + colour, with float32 opacity [places, height, width] and colour
    [places, height, width, channels], at one of the places. words: inserted at random places. A property of images or texts is changed
    to `value`.
    """

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredAddition:
    """An addition with the name of its suspect and the class of the feature."""

    addition: Addition
    name: str
    label: str
    provenance: Provenance = field(default_factory=lambda: Provenance())


def write_addition(path: Path, stored: StoredAddition) -> None:
    addition = stored.addition
    _check(addition, str(path))
    with atomic_path(path) as temporary, readable_os_errors(path), hdf5.create_hdf5(temporary) as file:
        hdf5.set_text(file, "format", ADDITION.format)
        file.attrs["version"] = ADDITION.version
        for name, text in (("kind", addition.kind), ("name", stored.name), ("class", stored.label)):
            hdf5.set_text(file, name, text)
        hdf5.set_text(file, "parameters", canonical_json(dict(addition.parameters)))
        hdf5.set_text(file, "provenance", canonical_json(dict(stored.provenance)))
        for name, values in addition.arrays.items():
            kept = values.astype("<f4") if values.dtype.kind == "f" else values
            file.create_dataset(name, data=kept, chunks=True, compression="gzip", shuffle=True, fletcher32=True)


def read_addition(path: Path) -> StoredAddition:
    """What write_addition wrote. Raises InputError if it is damaged, or of a newer version or an unknown kind."""
    where = str(path)
    require_kind(path, ADDITION, _HINT)
    with hdf5.open_hdf5(path, ADDITION.noun, _HINT) as file:
        hdf5.check_header(file, ADDITION.format, ADDITION.version, where)
        kind, name, label = (hdf5.text_attribute(file, key) for key in ("kind", "name", "class"))
        if kind is None or kind not in _KINDS or name is None or label is None:
            raise InputError(f"{where} states no known kind, name and class", _LAYOUT)
        parameters = hdf5.json_attribute(file, "parameters", where)
        arrays = {}
        for key, (letters, axes) in _KINDS[kind][1].items():
            item = hdf5.array_member(file, key, where, kinds=letters, ndim=axes)
            if item is None:
                raise InputError(f"{where} has no {key!r}", _LAYOUT)
            arrays[key] = np.asarray(item[...])
        made = read_provenance(hdf5.json_attribute(file, "provenance", where), where)
    found = Addition(kind, parameters if isinstance(parameters, dict) else {}, arrays)
    _check(found, where)
    return StoredAddition(found, name, label, made)


def _check(found: Addition, where: str) -> None:
    """Raise InputError unless the parameters and arrays are those of the kind, and in range."""
    expected, arrays = _KINDS[found.kind]
    for name, kind in expected.items():
        value_of(found.parameters, name, kind, where)
    if problem := _problem(found):
        raise InputError(f"{where}: {problem}", _LAYOUT)
    assert set(arrays) == set(found.arrays)


def _problem(found: Addition) -> str:
    if found.kind == STAMP:
        opacity, colour = found.arrays["opacity"], found.arrays["colour"]
        if opacity.shape != colour.shape[:3]:
            return "opacity and colour do not fit together"
        if not ((opacity >= 0) & (opacity <= 1)).all():
            return "the opacity is not within 0 … 1"
        if not (np.isfinite(colour).all() and float(np.abs(colour).max(initial=0)) < _LARGEST):
            return "the colour holds values that cannot be added to pixels"
    parameters = found.parameters
    if parameters.get("column", 0) < 0:
        return "column is negative"
    if not 1 <= parameters.get("times", 1) <= _MOST_TIMES:
        return f"times is not within 1 … {_MOST_TIMES}"
    if "seed" in parameters and not 0 <= parameters["seed"] < 1 << 63:
        return "the seed is out of range"
    value = parameters.get("value", 0)
    return "" if isinstance(value, str) or math.isfinite(value) else "value is not finite"
