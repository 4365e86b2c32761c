"""Every kind of file that stages exchange: one table for all code that recognises, lists, protects or documents them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import MAX_JSON_BYTES, parse_json, require_file
from spurcli.artifacts.tensor_header import read_safetensors_header
from spurcli.errors import InputError

CHECKPOINT_KEY = "spurcli"  # of the metadata of safetensors files
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_JSON_FORMAT = re.compile(rb'"format"\s*:\s*"(spurcli\.[a-z]+)"')
_LIST_MAGIC = re.compile(rb"\A(?:\xef\xbb\xbf)?# (spurcli) (indices|groups) v")
_MAX_HEADER = 1 << 24


@dataclass(frozen=True)
class Artefact:
    """One kind of file: its name, its newest format, the command that writes it, and its use.

    `kind` is the word in `spurcli show`; `names` are standard names, the first one is used in the documentation and the
    golden files; `endings` are the allowed ones; `use` is the command, without `spurcli`, that reads it.
    """

    kind: str
    noun: str
    format: str
    version: int
    names: tuple[str, ...]
    stage: str
    summary: str
    use: str
    endings: tuple[str, ...]

    @property
    def flag(self) -> str:
        """The flag that names such a file; "" where it is an argument."""
        found = re.search(r"(--\S+) \{path\}", self.use)
        return found[1] if found else ""

    def used(self, path: Path | str) -> str:
        """The command that reads such a file, as a sentence."""
        return f"{Path(path).name} goes to: spurcli {self.use.format(path=path)}"


_JSON, _HDF5, _TENSORS, _TEXT = (".json",), (".h5", ".hdf5"), (".safetensors",), (".txt", ".list", ".lst")
INJECTION = Artefact(
    "injection", "an injected data set", "spurcli.injection", 2, ("inject.json",), "inject",
    "the training samples that carry a feature; can be used as a data set", "score --dataset {path}", _JSON,
)  # fmt: skip
SCORES = Artefact(
    "scores", "a score file", "spurcli.scores", 1, ("scores.h5",), "score",
    "how difficult each training sample is, by several scores", "prune {path} --fraction 0.1", _HDF5,
)  # fmt: skip
DYNAMICS = Artefact(
    "dynamics", "a dynamics file", "spurcli.dynamics", 1, ("dynamics.h5",), "train",
    "the model's output for each training sample after each epoch", "score --dynamics {path}", _HDF5,
)  # fmt: skip
INDICES = Artefact(
    "index list", "an index list", "spurcli.indices", 1, ("keep.txt", "remove.txt"), "prune",
    "the training samples to keep or to remove", "train --keep {path}", _TEXT,
)  # fmt: skip
ERRORS = Artefact(
    "error list", "an error list", "spurcli.indices", 1, ("errors.txt",), "infer",
    "the training samples that a model misclassifies", "train --method jtt --errors {path}", _TEXT,
)  # fmt: skip
GROUPS = Artefact(
    "groups", "a groups list", "spurcli.groups", 2, ("groups.txt",), "infer",
    "the group of each sample", "train --group-labels {path}", _TEXT,
)  # fmt: skip
CHECKPOINT = Artefact(
    "checkpoint", "a checkpoint", "spurcli.checkpoint", 1, ("model.safetensors",), "train",
    "weights of a model and how they were trained", "evaluate {path}", _TENSORS,
)  # fmt: skip
HISTORY = Artefact(
    "history", "a training history", "spurcli.history", 1, ("history.json",), "train",
    "loss, accuracy and learning rate of each training epoch", "report {path}", _JSON,
)  # fmt: skip
EVALUATION = Artefact(
    "evaluation", "an evaluation", "spurcli.evaluation", 1, ("evaluation.json",), "evaluate",
    "every metric with its interval, per class and per group", "report {path}", _JSON,
)  # fmt: skip
PREDICTIONS = Artefact(
    "predictions", "a predictions file", "spurcli.predictions", 2, ("predictions.h5",), "evaluate",
    "logits of the evaluated split and of its injected twin", "evaluate {path}", _HDF5,
)  # fmt: skip
AUDIT = Artefact(
    "audit", "an audit", "spurcli.audit", 1, ("audit.json",), "audit",
    "the features that a model may lean on: suspects with their carriers and statistics", "show {path}", _JSON,
)  # fmt: skip
ADDITION = Artefact(
    "addition", "an addition of an audit", "spurcli.addition", 1, ("addition.h5",), "audit",
    "what is added to a sample so that it carries the feature of a suspect", "show {path}", _HDF5,
)  # fmt: skip
CANARY = Artefact(
    "canary", "a forecast", "spurcli.canary", 1, ("canary.json",), "canary",
    "the effect of pruning on planted features, and the suggested fraction", "show {path}", _JSON,
)  # fmt: skip
EMBEDDINGS = Artefact(
    "embeddings", "a file of embeddings", "spurcli.embeddings", 1, ("embeddings.h5",), "data embed",
    "embeddings of every split by a frozen model; can be used as a data set", "score --dataset {path}", _HDF5,
)  # fmt: skip
REPORT = Artefact(
    "report", "a report", "spurcli.report", 1, ("report.json",), "report",
    "the content of the report page, for other programs", "show {path}", _JSON,
)  # fmt: skip
CATALOGUE = (
    INJECTION, SCORES, DYNAMICS, INDICES, ERRORS, GROUPS, CHECKPOINT, HISTORY, EVALUATION, PREDICTIONS, AUDIT,
    ADDITION, CANARY, EMBEDDINGS, REPORT,
)  # fmt: skip


def named(standard_name: str) -> Artefact | None:
    """The kind of file that has this standard name; None for files that are not artefacts (pages, figures)."""
    return next((artefact for artefact in CATALOGUE if standard_name in artefact.names), None)


def of_format(name: Any, ending: str) -> Artefact | None:
    """The kind of file with this `format` among those with this extension; None for an unknown one."""
    return next((each for each in CATALOGUE if each.format == name and ending in each.endings), None)


def recognise(path: Path) -> Artefact | None:
    """The kind that the file `path` states, whatever its name; None for files that spurcli did not write.

    Reads only its first bytes and header; its reader checks the rest.
    """
    with path.open("rb") as stream:
        start = stream.read(64)
        if match := _LIST_MAGIC.match(start):
            if match[2] == b"groups":
                return GROUPS
            stream.seek(0)
            return ERRORS if _header_says_errors(stream.readline(_MAX_HEADER)) else INDICES
    if start.startswith(_HDF5_MAGIC):
        return _in_hdf5(path)
    if start[8:9] == b"{":  # after the length of its header
        return CHECKPOINT if _is_own_checkpoint(path) else None
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" and path.stat().st_size <= MAX_JSON_BYTES:
        names = _JSON_FORMAT.findall(path.read_bytes())
        return of_format(names[0].decode(), ".json") if names else None
    return None


def require_kind(path: Path, expected: Artefact, hint: str, *others: Artefact) -> None:
    """Raise InputError unless `path` is a file that may be of the kind `expected`, or of `others`.

    The error states the kind of the file; a file that spurcli did not write is left to the reader.
    """
    what = " or ".join(artefact.noun for artefact in (expected, *others) if artefact != ERRORS)
    require_file(path, what, hint)
    found = recognise(path)
    if found and found not in (expected, *others):
        raise InputError(f"{path} is {found.noun}, not {what}", f"{hint.rstrip('.')}. {found.used(path)}")


def _header_says_errors(line: bytes) -> bool:
    begin = line.find(b"{")
    try:
        header = parse_json(line[begin:], "a header") if begin >= 0 else {}
    except InputError:
        return False
    return isinstance(header, dict) and header.get("kind") == "errors"


def _is_own_checkpoint(path: Path) -> bool:
    try:
        return CHECKPOINT_KEY in (read_safetensors_header(path).get("__metadata__") or {})
    except InputError:
        return False


def _in_hdf5(path: Path) -> Artefact | None:
    from spurcli.artifacts import hdf5  # --help reads the table and must not import h5py

    try:
        with hdf5.open_hdf5(path, "an artefact", "") as file:
            return of_format(hdf5.text_attribute(file, "format"), ".h5")
    except InputError:
        return None
