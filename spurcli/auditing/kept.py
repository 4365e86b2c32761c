"""The results of the finders of an unfinished audit, in OUTPUT.state/: an interrupted audit resumes after the last finished one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import Addition
from spurcli.artifacts.atomic import atomic_path, readable_os_errors, write_json
from spurcli.artifacts.envelope import field, optional_field, parse_json
from spurcli.artifacts.npz import npz_names, read_npz
from spurcli.auditing.suspect import Counterfactual, Finding
from spurcli.errors import InputError
from spurcli.identity import RunIdentity
from spurcli.settings import Table

_STATE, _TEXT = "audit.json", "json"
_TWIN = ("index", "logits", "second", "control", "second_control")
_PLAIN = (
    "name",
    "finder",
    "label_index",
    "statement",
    "shown",
    "details",
    "p_value",
    "doubt",
    "inferred",
    "values",
    "p_further",
)


@dataclass(frozen=True)
class Found:
    """The result of one finder: its findings, the warnings and notes that it added, and its seconds."""

    findings: Sequence[Finding]
    warnings: Sequence[str]
    seconds: float
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Kept:
    """The results of finders in `folder`, by their place in the search."""

    folder: Path

    @classmethod
    def open(
        cls, folder: Path, identity: str, *, replace_other: bool, run: Table | None = None, command: str = ""
    ) -> Kept:
        """What is in `folder`; the unfinished work of another audit is refused, or removed if `replace_other`.

        `run` is a `RunIdentity` as JSON, and `command` the command of this audit: both are kept to explain a refusal.
        """
        state = folder / _STATE
        if state.exists():
            content: Any = parse_json(state.read_bytes(), str(state))
            content = content if isinstance(content, dict) else {}
            if content.get("identity") == identity:
                return cls(folder)
            if not replace_other:
                raise _of_another(folder, content, run)
        shutil.rmtree(folder, ignore_errors=True)
        with readable_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(state, {"identity": identity, "run": run, "command": command})
        return cls(folder)

    def put(self, number: int, found: Found) -> None:
        write_found(self._file(number), found)

    def get(self, number: int) -> Found | None:
        """None if the finder has not finished or its file cannot be used; then it runs again."""
        try:
            return read_found(self._file(number)) if self._file(number).is_file() else None
        except InputError:
            return None

    def _file(self, number: int) -> Path:
        return self.folder / f"{number}.npz"


def _of_another(folder: Path, content: Table, run: Table | None) -> InputError:
    """The error for the unfinished work of another audit: which settings differ, and the command that finishes it."""
    theirs, command = content.get("run"), content.get("command")
    differing: list[str] = []
    if isinstance(theirs, dict) and run is not None and set(theirs) == set(run):
        differing = RunIdentity(**run).differences(RunIdentity(**theirs)) or ["its samples differ"]
    finish = (
        f"To finish that audit: {command}" if isinstance(command, str) and command else "Finish it with its command"
    )
    return InputError(
        f"{folder} holds the unfinished work of another audit"
        + (f" ({'; '.join(differing[:3])})" if differing else ""),
        f"{finish}. To start over, add --force; to keep both, choose another -o.",
    )


def write_found(path: Path, found: Found) -> None:
    """Write the result of a finder atomically."""
    arrays: dict[str, NDArray[Any]] = {}
    entries = []
    for number, finding in enumerate(found.findings):
        for place, presence in enumerate(finding.presence.values()):
            arrays[f"{number}/presence/{place}"] = presence
        for name in _TWIN if finding.counterfactual else ():
            if (values := getattr(finding.counterfactual, name)) is not None:
                arrays[f"{number}/twin/{name}"] = values
        entry = {**{name: getattr(finding, name) for name in _PLAIN}, "splits": list(finding.presence)}
        if (added := finding.addition) is not None:
            arrays |= {f"{number}/addition/{name}": values for name, values in added.arrays.items()}
            entry["addition"] = {"kind": added.kind, "parameters": dict(added.parameters), "arrays": list(added.arrays)}
        entries.append(entry)
    told = {"warnings": list(found.warnings), "notes": list(found.notes)}
    content = {"findings": entries, **told, "seconds": found.seconds}
    try:
        text = json.dumps(content, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A finder returned values that JSON cannot store: {error}",
            "Use only plain texts and finite numbers in shown and details.",
        ) from error
    arrays[_TEXT] = np.frombuffer(text, dtype=np.uint8)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # its keyword allow_pickle


def read_found(path: Path) -> Found:
    """Read the result of a finder. Raises InputError if it is damaged."""
    names = set(npz_names(path))
    content: Any = parse_json(read_npz(path, _TEXT).tobytes(), str(path))
    where = str(path)
    findings = []
    if not isinstance(content, dict):
        raise InputError(f"{where} is not an object", "Start over with --force.")
    for number, entry in enumerate(field(content, "findings", list, where)):
        if not isinstance(entry, dict):
            raise InputError(f"{where}: a finding is not an object", "Start over with --force.")
        for name in ("name", "finder", "statement", "doubt"):
            field(entry, name, str, where)
        for name in ("shown", "details"):
            field(entry, name, dict, where)
        optional_field(entry, "label_index", int, where)
        presence = {
            str(split): read_npz(path, f"{number}/presence/{place}")
            for place, split in enumerate(field(entry, "splits", list, where))
        }
        twin = None
        if f"{number}/twin/index" in names:
            twin = Counterfactual(
                **{
                    name: read_npz(path, f"{number}/twin/{name}") if f"{number}/twin/{name}" in names else None
                    for name in _TWIN
                }  # type: ignore[arg-type]  # index and logits are always there
            )
        added = None
        if (said := optional_field(entry, "addition", dict, where)) is not None:
            arrays = field(said, "arrays", list, where)
            added = Addition(
                field(said, "kind", str, where),
                field(said, "parameters", dict, where),
                {str(name): read_npz(path, f"{number}/addition/{name}") for name in arrays},
            )
        field(entry, "values", list, where)
        plain = {name: entry.get(name) for name in _PLAIN}
        findings.append(Finding(presence=presence, counterfactual=twin, addition=added, **plain))  # type: ignore[arg-type]
    warnings = [str(line) for line in field(content, "warnings", list, where)]
    notes = [str(line) for line in optional_field(content, "notes", list, where) or ()]
    return Found(findings, warnings, float(field(content, "seconds", (int, float), where)), notes)
