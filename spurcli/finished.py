"""Finished outputs: the same run is not repeated, another run's result is not replaced by accident."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spurcli.artifacts.catalogue import CHECKPOINT, Artefact
from spurcli.artifacts.checkpoint import weights_sha256_of_file
from spurcli.artifacts.describe import read_described
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.unfinished import clear
from spurcli.errors import InputError, SpurError
from spurcli.identity import RunIdentity


@dataclass(frozen=True)
class Output:
    """One file that a stage writes, and its kind. A `companion` has a name made from that of the main output."""

    path: Path
    artefact: Artefact
    companion: bool = False


def is_complete(
    outputs: Sequence[Output],
    made: Provenance,
    fingerprint: Fingerprint | None,
    *,
    force: bool,
    say: Callable[[str], None],
) -> bool:
    """Whether all `outputs` of the run that `made` describes exist, are complete, and belong to this data; the first is the main one.

    What an interrupted run left in OUTPUT.state/ is removed if everything is complete. If the main output is complete but another one is missing, the run is not complete: `say` reports what will be repeated.
    Raises SpurError unless `force` where a file of another run or a damaged one would be replaced.
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
    if lacking and main not in lacking:
        other = lacking[0].path
        problem = "cannot be used" if other.exists() else "is missing"
        say(f"{main.path} is complete, but {other} {problem}: the run is repeated and replaces both when it ends")
    if not lacking:
        clear(main.path)
    return not lacking


def _problem(output: Output, made: Provenance, fingerprint: Fingerprint | None) -> str:
    """Why an existing file is not the finished output of the run; "" if it is."""
    try:
        found = read_described(output.path, output.artefact)
        if output.artefact == CHECKPOINT:
            _require_own_weights(output.path, found.brief["weights_sha256"])
    except SpurError as error:
        return f"cannot be used: {error.problem.replace(str(output.path), output.path.name)}"
    if differences := RunIdentity.of(made).differences(RunIdentity.of(found.provenance)):
        return f"is the finished output of another run ({differences[0]})"
    if found.fingerprint and fingerprint and found.fingerprint.difference(fingerprint):
        return "was made from other samples: the data set has changed since"
    return ""


def _require_own_weights(path: Path, stated: str | None) -> None:
    if stated not in (None, weights_sha256_of_file(path)):
        raise InputError(f"{path} is damaged: its weights have changed since they were written", "Train it again.")
