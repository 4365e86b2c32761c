"""Runs that look like seeds of one arm but have other data, another injection or another list of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from spurcli.artifacts.envelope import canonical_json
from spurcli.reporting.runs import Run
from spurcli.reporting.values import Table

_DATA, _INJECTION, _LIST, _RECIPE = "other data set", "other injection", "other list", "other recipe"
_EVALUATION = "other evaluation of it"
AUDITED = "the model in which the suspect was found"


def set_apart(runs: Sequence[Run], told_by: Callable[[Run], Any]) -> list[Run]:
    """The runs, each with `apart`, the ways in which it differs from its arm; () for the runs of the arm itself.

    Of runs that differ in such a way the arm keeps those in the least deep folder, then the first by name: an old
    folder below is set apart.
    """
    ordered = sorted(runs, key=lambda run: (len(PurePath(run.name).parts), run.name))
    versions = _versions(ordered)
    trained_again = {canonical_json(told_by(run)) for run in runs if not run.is_audited}
    homes: dict[str, list[Mapping[str, str]]] = {}
    found: dict[int, Run] = {}
    for run in ordered:
        version = versions[id(run)]
        why = [_DATA] if version else []
        number = 0
        place = canonical_json([told_by(run), version, run.at])
        if run.is_audited and run.source is None and canonical_json(told_by(run)) in trained_again:
            why.append(AUDITED)
            number = -1
        elif run.source is not None:  # repeated evaluations of one model are not different seeds
            known = homes.setdefault(place, [])
            number = len(known)
            known.append({})
            why += [_EVALUATION] if number else []
        elif run.seed is not None:
            facts = _facts(run)
            known = homes.setdefault(place, [])
            number = next((n for n, other in enumerate(known) if _agree(facts, other)), len(known))
            if number == len(known):
                known.append(facts)
            why += [words for words, value in facts.items() if number and not _agree({words: value}, known[0])]
        found[id(run)] = replace(run, apart=tuple(why), series=(version, number))
    return [found[id(run)] for run in runs]


def _versions(runs: Sequence[Run]) -> dict[int, int]:
    """For each run which version of its data set it was evaluated on: 0 for the first; by the samples' fingerprint."""
    known: dict[str, list[Table]] = {}
    numbers = {}
    for run in runs:
        dataset = run.base.get("dataset")
        if dataset is None or not run.fingerprint:
            numbers[id(run)] = 0
            continue
        seen = known.setdefault(canonical_json([run.split, dataset, run.draw]), [])
        number = next((n for n, other in enumerate(seen) if _agree(run.fingerprint, other)), len(seen))
        if number == len(seen):
            seen.append(run.fingerprint)
        numbers[id(run)] = number
    return numbers


def _facts(run: Run) -> dict[str, str]:
    # a random list has its own seed: several of them at one training seed are repeats
    listed = "" if run.rule_seed is not None else run.keep_sha256 or ""
    return {_INJECTION: run.injection_sha256 or "", _LIST: listed, _RECIPE: run.recipe}


def _agree(first: Table, second: Table) -> bool:
    """Whether both values are equal; a missing value agrees with any value."""
    return all(first[key] == second[key] for key in first if first[key] and second.get(key))


def common_folder(names: Sequence[str]) -> str:
    """The folder that holds all of these files, with a slash; "" if there is none or it is the root."""
    parts = [PurePath(name).parts[:-1] for name in names]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return f"{'/'.join(shared)}/" if shared else ""
