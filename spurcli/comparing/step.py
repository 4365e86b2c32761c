"""One command of a study: its stage and request, its inputs and outputs, and whether its output is finished or outdated."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spurcli.artifacts import catalogue
from spurcli.artifacts.describe import read_described
from spurcli.artifacts.envelope import sha256_of_file
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.provenance import Provenance, versions
from spurcli.errors import SpurError
from spurcli.progress import Progress
from spurcli.requests.options import Caller, command_of, fields_of, several, words_of
from spurcli.requests.prune import PruneRequest

# These check by themselves, at no cost, whether they are done, and resume after a kill.
_RESUME = ("train", "score", "infer")
_ARTEFACTS = {
    "inject": catalogue.INJECTION,
    "train": catalogue.CHECKPOINT,
    "score": catalogue.SCORES,
    "infer": catalogue.GROUPS,
    "prune": catalogue.INDICES,
    "evaluate": catalogue.EVALUATION,
}

_OF_USERS = ("group_labels", "quotas", "match")  # files that may be a user's own, which change without a step


@dataclass(frozen=True)
class Step:
    """The call of one stage. `makes` are its output and the companion files that other steps read."""

    stage: str
    request: Any
    seed: int | None  # None for a model that the study does not train
    arm: str  # "" for what several arms share
    makes: tuple[Path, ...]

    @property
    def output(self) -> Path:
        return self.makes[0]

    @property
    def place(self) -> str:
        """Where it belongs: "seed 1, prune-0.1"."""
        return ", ".join(filter(None, ["" if self.seed is None else f"seed {self.seed}", self.arm]))

    @property
    def name(self) -> str:
        """What messages call it: "seed 1, prune-0.1: train"."""
        return f"{self.place}: {self.stage}"

    @property
    def words(self) -> list[str]:
        """The words of its command line, without `spurcli`."""
        return words_of(self.stage, self.request)

    def reads(self, made: Collection[Path]) -> Iterator[Path]:
        """Those of the files `made` by other steps that it reads."""
        for item in fields_of(self.request):
            value = getattr(self.request, item.name)
            named = value if isinstance(value, list | tuple) else [value]
            for path in (Path(each) for each in named if isinstance(each, str | os.PathLike)):
                if path in made and path not in self.makes:
                    yield path

    def run(self, progress: Progress, *, force: bool = False) -> None:
        """Do it, as the command line would. Raises SpurError, with `force` only after what is in the way was replaced."""
        run = importlib.import_module(f"spurcli.requests.{self.stage}").run
        caller = Caller(progress, command_of(self.stage, self.request))
        try:
            run(self.request, caller)
        except SpurError as error:
            if not (force and error.is_forceable and hasattr(self.request, "force")):
                raise
            run(replace(self.request, force=True), caller)

    def seems_done(self, *, force: bool = False) -> bool:
        """Whether its output is there and, as far as a glance tells, of this command: for estimates, before `is_done`.

        A training of another command is refused and not repeated, so it counts as done unless it is to be replaced.
        """
        if not all(path.is_file() for path in self.makes):
            return False
        if self.stage in _RESUME and not force:
            return True
        try:
            found = read_described(self.output, _ARTEFACTS[self.stage])
        except (SpurError, OSError):
            return False
        return found.provenance.get("command") == command_of(self.stage, self.request)

    def is_done(self, read: Collection[Path]) -> bool:
        """Whether its output is there, made by the same command from the same files `read`, of the same samples."""
        if self.stage in _RESUME or not all(path.is_file() for path in self.makes):
            return False
        try:
            found = read_described(self.output, _ARTEFACTS[self.stage])
            if not self._is_of_this(found.provenance, read):
                return False
            fingerprint, hashes = self._subject()
            stated = found.provenance.get("arguments") or {}
            return found.fingerprint == fingerprint and all(stated.get(key) == hashes[key] for key in hashes)
        except (SpurError, OSError):
            return False  # the stage reports what is wrong

    def is_of_another(self, read: Collection[Path]) -> bool:
        """Whether its output is there, and was made by another command, from other files than `read`, or of other samples."""
        try:
            found = read_described(self.output, _ARTEFACTS[self.stage])
            return not self._is_of_this(found.provenance, read) or found.fingerprint != self._subject()[0]
        except (SpurError, OSError):
            return False  # it is not there or damaged, or the stage reports what is wrong with its input

    def _is_of_this(self, made: Provenance, read: Collection[Path]) -> bool:
        parents = {parent["sha256"] for parent in made.get("parents") or ()}
        same_program = (made.get("versions") or {}).get("spurcli") == versions().get("spurcli")
        named = (getattr(self.request, name, None) for name in _OF_USERS)
        read = {*read, *(Path(path) for path in named if path), *_files_of_suspect(self.request)}
        same_command = made.get("command") == command_of(self.stage, self.request)
        return same_program and same_command and all(sha256_of_file(path) in parents for path in read)

    def _subject(self) -> tuple[Fingerprint | None, dict[str, str]]:
        """The fingerprint of the samples that the output must be about (of lists that of the scores, which were made first), and
        the hashes of what it leaves out, where the output reads that."""
        if self.stage == "prune":
            scores = several(self.request.scores)
            groups = [self.request.group_labels, *_files_of_suspect(self.request)]
            named, artefact = (
                (scores[0], catalogue.SCORES) if scores else (next(filter(None, groups)), catalogue.GROUPS)
            )
            return read_described(Path(named), artefact).fingerprint, {}
        from spurcli.datasets import load_dataset

        if self.stage == "inject":
            from spurcli.artifacts.injection import read_injection

            found = read_injection(self.output)
            dataset = load_dataset(found.dataset, found.dataset_options, data_root=_data_root(self.request))
            return dataset.subject("train").fingerprint, {}
        from spurcli.datasets.content import content_hashes
        from spurcli.requests.evaluate import opened

        settings, dataset = opened(self.request)
        hashes = content_hashes(dataset, settings.dataset.name, groups=True)
        return dataset.subject(self.request.split).fingerprint, hashes


def _files_of_suspect(request: Any) -> list[Path]:
    """The files of the suspect whose feature an evaluation looks at, and the groups of the suspects whose carriers a list removes."""
    if not getattr(request, "suspect", None):
        return []
    if isinstance(request, PruneRequest) and request.suspect:
        from spurcli.auditing.union import read_named

        return [suspect.groups for suspect in read_named(request.suspect).suspects]
    from spurcli.auditing.stored import read_suspect

    return read_suspect(request.suspect).files


def _data_root(request: Any) -> Path:
    from spurcli.session import find_data_root

    return find_data_root(request.data_root)


def waits_for(steps: Collection[Step]) -> dict[Path, list[Path]]:
    """For each step, named by its output, the outputs of the steps that must be done before it."""
    maker = {path: step.output for step in steps for path in step.makes}
    return {step.output: [maker[path] for path in step.reads(maker)] for step in steps}
