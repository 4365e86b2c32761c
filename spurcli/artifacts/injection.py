"""inject.json: which samples carry an injected feature, and what the feature is. Itself a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.catalogue import INJECTION, require_kind
from spurcli.artifacts.envelope import (
    MAX_JSON_BYTES,
    JsonObject,
    field,
    optional_field,
    read_json_artifact,
    sha256_of_json,
)
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.provenance import Parent, Provenance, read_provenance
from spurcli.errors import InputError
from spurcli.registry import Options, is_user_code
from spurcli.words import counted

_HINT = "Make one with: spurcli inject --dataset NAME --feature line --class CLASS --fraction 0.1"


@dataclass(frozen=True)
class Planted:
    """An additional feature in the training split, in `carriers` of class `feature_of`; no evaluation split gets a twin with it."""

    feature: str
    parameters: Options
    seed: int
    feature_of: int
    carriers: NDArray[np.int64]

    def content(self) -> dict[str, object]:
        return {
            "feature": self.feature,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "feature_of": self.feature_of,
            "carriers": {"train": self.carriers.tolist()},
        }


@dataclass(frozen=True)
class Injection:
    """A feature put into `carriers` (positions in `train`) of class `feature_of`.

    `twin_class` is the class whose test samples, given the feature, are counted as spurious misclassification
    when predicted `feature_of`; None stands for all other classes. `further` features are added before this one.
    """

    feature: str
    parameters: Options
    seed: int
    dataset: str
    dataset_options: Options
    fingerprint: Fingerprint
    feature_of: int
    twin_class: int | None
    carriers: NDArray[np.int64]
    provenance: Provenance
    further: tuple[Planted, ...] = ()

    def content(self) -> dict[str, object]:
        """Everything that changes the data; its hash identifies the injection."""
        further = {"further": [each.content() for each in self.further]} if self.further else {}
        return {
            "feature": self.feature,
            "parameters": dict(self.parameters),
            "seed": self.seed,
            "dataset": {"name": self.dataset, "options": dict(self.dataset_options)},
            "fingerprint": self.fingerprint.to_json(),
            "feature_of": self.feature_of,
            "twin_class": self.twin_class,
            "carriers": {"train": self.carriers.tolist()},
            **further,
        }

    @property
    def sha256(self) -> str:
        return sha256_of_json(self.content())


def write_injection(path: Path, injection: Injection) -> None:
    write_json(
        path,
        {
            "format": INJECTION.format,
            "version": INJECTION.version if injection.further else 1,  # older programs may read what they can
            "sha256": injection.sha256,
            **injection.content(),
            "provenance": dict(injection.provenance),
        },
    )


def read_injection(path: Path) -> Injection:
    """Read and check an inject.json; carriers may come in any order."""
    where = str(path)
    require_kind(path, INJECTION, _HINT)
    content = read_json_artifact(path, INJECTION.format, INJECTION.version, _HINT)
    dataset = field(content, "dataset", dict, where)
    fingerprint = Fingerprint.from_json(content.get("fingerprint"), where)
    injection = Injection(
        feature=field(content, "feature", str, where),
        parameters=field(content, "parameters", dict, where),
        seed=field(content, "seed", int, where),
        dataset=field(dataset, "name", str, where),
        dataset_options=field(dataset, "options", dict, where),
        fingerprint=fingerprint,
        feature_of=field(content, "feature_of", int, where),
        twin_class=optional_field(content, "twin_class", int, where),
        carriers=_read_carriers(content, fingerprint, where),
        provenance=read_provenance(content.get("provenance"), where),
        further=tuple(
            _read_planted(item, fingerprint, where) for item in optional_field(content, "further", list, where) or ()
        ),
    )
    if min(injection.seed, injection.feature_of, injection.twin_class or 0) < 0:
        raise InputError(f"{where}: seed and classes count from 0", _HINT)
    if optional_field(content, "sha256", str, where) not in (None, injection.sha256):
        raise InputError(
            f"{where} was changed after it was written: its sha256 does not match its content",
            "If this change is intended, remove the line with sha256.",
        )
    return injection


def _read_planted(content: object, fingerprint: Fingerprint, where: str) -> Planted:
    """A further feature. It must be one of spurcli's: user code that a file names cannot be confirmed here."""
    where = f"{where}: further"
    if not isinstance(content, dict):
        raise InputError(f"{where} holds a value that is not an object", _HINT)
    feature = field(content, "feature", str, where)
    if is_user_code(feature):
        raise InputError(
            f"{where} names {feature[:60]!r}, which is not a feature of spurcli", "See: spurcli list features"
        )
    planted = Planted(
        feature=feature,
        parameters=field(content, "parameters", dict, where),
        seed=field(content, "seed", int, where),
        feature_of=field(content, "feature_of", int, where),
        carriers=_read_carriers(content, fingerprint, where),
    )
    if min(planted.seed, planted.feature_of) < 0:
        raise InputError(f"{where}: seed and classes count from 0", _HINT)
    return planted


def _read_carriers(content: JsonObject, fingerprint: Fingerprint, where: str) -> NDArray[np.int64]:
    carriers = field(field(content, "carriers", dict, where), "train", list, where)
    if not all(isinstance(index, int) and not isinstance(index, bool) for index in carriers):
        raise InputError(f"{where}: carriers must be integers", _HINT)
    if carriers and (min(carriers) < 0 or max(carriers) >= fingerprint.num_samples):
        raise InputError(
            f"{where}: a carrier is outside the {counted(fingerprint.num_samples, 'training sample')}", _HINT
        )
    indices = np.sort(np.array(carriers, dtype=np.int64))
    if len(np.unique(indices)) != len(indices):
        raise InputError(f"{where}: a carrier is listed twice", _HINT)
    return indices


def injection_parents(path: Path | None) -> list[Parent]:
    """The inject.json that a stage works with, if any, as a parent: its command is part of how a file was made."""
    return [] if path is None else [Parent.of(path, read_injection(path).provenance)]


def is_injection(name: str) -> bool:
    """Whether a data set's name is that of an inject.json: a .json file, unless it looks like a table of JSON objects."""
    if not name.endswith(".json"):
        return False
    try:
        with Path(name).open("rb") as stream:
            content = stream.read(MAX_JSON_BYTES).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (OSError, ValueError):
        return True  # reading it says what is wrong
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, in which we write none
        return content.decode("utf-16", errors="replace")[:1] not in ("[", "{")
    first, _, second = content.partition(b"\n")
    lines = first.rstrip().endswith(b"}") and second.lstrip().startswith(b"{")
    is_object = content.startswith(b"{") and not lines
    return not content.startswith(b"[") and not lines and (b'"format"' in content or not is_object)
