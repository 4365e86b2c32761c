"""Finished outputs: the same run is not repeated, another run's result is not replaced by accident."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurcli.artifacts.atomic import readable_os_errors
from spurcli.artifacts.catalogue import CHECKPOINT, Artefact
from spurcli.artifacts.checkpoint import weights_sha256_of_file
from spurcli.artifacts.describe import read_described
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.provenance import same_ending
from spurcli.errors import InputError, SpurError

Provenance = Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """One file that a stage writes, and its kind. A `companion` has a name made from that of the main output."""

    path: Path
    artefact: Artefact
    companion: bool = False


def run_identity(made: Provenance) -> dict[str, Any]:
    """What makes two runs the same: stage, settings, arguments and the content of the parents.

    Neither how the command was typed nor where its files are: the same run may be repeated from another folder.
    """
    settings, parents = made.get("settings"), made.get("parents")
    dataset = settings.get("dataset") if isinstance(settings, Mapping) else None
    if isinstance(dataset, Mapping) and isinstance(dataset.get("injection"), Mapping):  # its hash says which it is
        injection = {key: value for key, value in dataset["injection"].items() if key != "file"}
        settings = {**settings, "dataset": {**dataset, "injection": injection}}  # type: ignore[dict-item]
    hashes = [parent.get("sha256") if isinstance(parent, Mapping) else parent for parent in parents or ()]
    return {"stage": made.get("stage"), "settings": settings, "arguments": made.get("arguments"), "parents": hashes}


def same_run(first: Provenance, second: Provenance) -> bool:
    """Whether both were made by the same run; a user's own data may be named in two ways."""
    one, path_one = _without_path(run_identity(first))
    two, path_two = _without_path(run_identity(second))
    if isinstance(path_one, str) and isinstance(path_two, str):
        return one == two and same_ending(path_one, path_two)
    return one == two and path_one == path_two


def _without_path(identity: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """A run's identity without the path of the user's own data, and that path."""
    settings = identity["settings"]
    dataset = settings.get("dataset") if isinstance(settings, Mapping) else None
    options = dataset.get("options") if isinstance(dataset, Mapping) else None
    if dataset is None or not isinstance(options, Mapping) or "path" not in options:
        return identity, None
    rest = {key: value for key, value in options.items() if key != "path"}
    return {**identity, "settings": {**settings, "dataset": {**dataset, "options": rest}}}, options["path"]


def is_complete(
    outputs: Sequence[Output], made: Provenance, fingerprint: Fingerprint | None, *, force: bool, redo: bool = False
) -> bool:
    """Whether all `outputs` of the run that `made` describes are there, whole, and of this data; the first is the main one.

    Raises SpurError unless `force` where a file of another run or a damaged one would be replaced; and, unless `redo`
    (which a stage asks for where that costs little), where the main output is complete and another one is missing.
    """
    for output in outputs:
        if output.path.is_dir():
            raise InputError(f"{output.path} is a folder", "Name a file to write with -o FILE.")
    if force:
        return False
    main, *_ = outputs
    lacking = [output for output in outputs if not output.path.exists()]
    for output in outputs:
        problem = "" if output in lacking else _problem(output, made, fingerprint)
        if problem and not output.companion:
            raise SpurError(f"{output.path} {problem}", "Choose another with -o, or replace it with --force.")
        if problem:
            lacking.append(output)
    if lacking and main not in lacking and not redo:
        other = lacking[0].path
        problem = "cannot be used" if other.exists() else "is missing"
        raise SpurError(
            f"{main.path} is complete, but {other} of the same run {problem}",
            f"--force runs it again and writes both; {main.path.name} alone is usable as it is.",
        )
    return not lacking


def _problem(output: Output, made: Provenance, fingerprint: Fingerprint | None) -> str:
    """What keeps a file that is there from being the finished output of the run; "" if nothing does."""
    try:
        found = read_described(output.path, output.artefact)
        if output.artefact == CHECKPOINT:
            _require_own_weights(output.path, found.brief["weights_sha256"])
    except SpurError as error:
        return f"cannot be used: {error.problem.replace(str(output.path), output.path.name)}"
    if not same_run(found.provenance, made):
        return "is the finished output of another run"
    if found.fingerprint and fingerprint and found.fingerprint.difference(fingerprint):
        return "was made from other samples: the data set has changed since"
    return ""


def _require_own_weights(path: Path, stated: str | None) -> None:
    if stated not in (None, weights_sha256_of_file(path)):
        raise InputError(f"{path} is damaged: its weights are not those that were written", "Train it again.")


def require_writable(output: Path, num_bytes: int) -> None:
    """Raise InputError unless `output` can be written and `num_bytes` more fit beside it.

    Called before the work: hours of training must not end at a read-only or full folder.
    """
    with readable_os_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(prefix=f".{output.name}.", dir=output.parent):
            pass
        free = shutil.disk_usage(output.parent).free
    if free < num_bytes:
        raise InputError(
            f"No space left for {output}: with the state beside it {in_words(num_bytes)}, {in_words(free)} are free",
            "Free some space or choose another place with -o.",
        )


def bytes_while_training(weights: Mapping[str, Any]) -> int:
    """What a run with these tensors needs at most: two states of weights, two slots and best weights, and the model."""
    return 9 * sum(int(tensor.nbytes) for tensor in weights.values())


def in_words(num_bytes: int) -> str:
    """A number of bytes as people read it."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} bytes"
