"""Runs the finders of an audit one after the other: the estimated time is printed first, and the results are kept."""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.provenance import portable_word
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.kept import Found, Kept
from spurcli.auditing.page.written import SheetPlan
from spurcli.auditing.suspect import Finding
from spurcli.errors import InputError, SpurError, UsageError
from spurcli.registries import FINDERS
from spurcli.words import counted, duration

_WORTH_NAMING = 5.0  # seconds
_LONG = 600.0  # seconds of a search, from which the ways to shorten it are named
# Without a budget, and unless it is named, the slowest finder takes at most as long as the others together, or this.
_SLOWEST, _LEAST_LIMIT = "regions", 120.0
Options = Mapping[str, Mapping[str, Any]]  # of finders, by name


@dataclass(frozen=True)
class Search:
    """What is searched for: finders (those that do not fit the data are left out unless `is_asked`), each with its options; `held_out` is the split that judges reliance
    (None: chosen). `words` are those of the command line that later commands need too,
    `score` those of the command that makes scores.h5, `evaluate` those that evaluate a table of predictions."""

    finders: Sequence[str]
    options: Options = field(default_factory=dict)
    held_out: str | None = None
    seed: int = 0
    budget: float | None = None
    command: str = ""
    is_asked: bool = False
    words: Sequence[str] = ()
    score: Sequence[str] = ()
    evaluate: Sequence[str] = ()
    sheet: SheetPlan | None = None


def require_fitting_kinds(evidence: Evidence, search: Search) -> None:
    """Raise UsageError for a requested finder of another kind of data."""
    for name in search.finders if search.is_asked else ():
        if (wanted := _kind(name, evidence)) not in evidence.kinds:
            raise UsageError(f"Finder {name} is for {wanted}", "Leave it out, or name the data set with --dataset.")


def found(evidence: Evidence, search: Search, kept: Kept) -> tuple[list[Finding], list[JsonObject]]:
    """The proposals of all finders, and the entry of each finder in audit.json."""
    findings: list[Finding] = []
    told: list[JsonObject] = []
    sizes = {split: len(label) for split, label in evidence.labels.items()}
    names = _fitting(evidence, search)
    _announce(evidence, search, names, kept)
    for number, name in enumerate(names):
        called, earlier = portable_word(name), kept.get(number)
        if earlier is None and evidence.left() <= 0:
            evidence.warn(f"The budget is used up: finder {name} was not run")
            told.append({"name": called, "num_findings": None, "note": "not run: no budget left"})
            continue
        if earlier is None:
            began, before, noted = time.monotonic(), len(evidence.warnings), len(evidence.notes)
            options = dict(search.options.get(name, {}))
            if _is_limited(name, search):
                options["seconds"] = max(_LEAST_LIMIT, evidence.spent())
            proposed = _called(name, evidence, options)
            for finding in proposed:
                finding.require_fitting(sizes, evidence.source, len(evidence.class_names))
            seconds = time.monotonic() - began
            new = Found(proposed, evidence.warnings[before:], seconds, evidence.notes[noted:])
            kept.put(number, new)
            evidence.progress.say(f"{called}: {counted(len(proposed), 'suspect')} in {duration(new.seconds)}")
            earlier = new
        else:
            evidence.spend(earlier.seconds)
            for line in earlier.warnings:
                evidence.warn(line)
            for line in earlier.notes:
                evidence.note(line)
            evidence.progress.say(f"{called}: {counted(len(earlier.findings), 'suspect')}, from the interrupted run")
        findings += earlier.findings
        told.append({"name": called, "num_findings": len(earlier.findings), "note": ""})
    return findings, told


def kept_names(evidence: Evidence, search: Search, kept: Kept) -> list[str]:
    """The finders whose results are kept."""
    names = enumerate(_fitting(evidence, search))
    return [portable_word(name) for number, name in names if kept.get(number) is not None]


def _fitting(evidence: Evidence, search: Search) -> list[str]:
    """The finders of the search that fit the data, in their order."""
    return [name for name in search.finders if _kind(name, evidence) in evidence.kinds]


def _is_limited(name: str, search: Search) -> bool:
    return name == _SLOWEST and not search.is_asked and search.budget is None


def _kind(name: str, evidence: Evidence) -> str:
    """The kind of data that a finder is for; for finders of all kinds, such as a user's own, the kind of the data."""
    return str(FINDERS.entries[name].facts.get("for", evidence.kind)) if name in FINDERS else evidence.kind


def _announce(evidence: Evidence, search: Search, names: Sequence[str], kept: Kept) -> None:
    """The estimated time of the search by finder, for finders whose file has a function `seconds(evidence, …)`; if it is long, how to shorten it."""
    waiting = [name for number, name in enumerate(names) if kept.get(number) is None]
    known = {
        name: seconds
        for name in waiting
        if (seconds := _seconds(name, evidence, search.options.get(name, {}))) is not None
    }
    if not known or evidence.left() <= 0:
        return
    predicting = evidence.seconds_of_predictions
    for name in known:
        if _is_limited(name, search):
            others = predicting + sum(seconds for other, seconds in known.items() if other != name)
            known[name] = min(known[name], max(_LEAST_LIMIT, others))
    total = predicting + sum(known.values())
    parts = {"predictions": predicting, **known}
    long = [f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds >= _WORTH_NAMING]
    unknown = [portable_word(name) for name in waiting if name not in known]
    budget = "" if total <= evidence.left() else f", of which the budget allows {duration(evidence.left())}"
    evidence.progress.say(
        f"The search takes about {duration(total)}{budget}"
        + (f" ({', '.join(long)})" if long else "")
        + (f", and the time of {' and '.join(unknown)}" if unknown else "")
    )
    if total > _LONG and search.budget is None:
        one = "marks" if "marks" in known and len(known) > 1 else ""
        evidence.progress.say(f"To shorten it: --budget 5m{f', or --finder {one}' if one else ''}")


def _seconds(name: str, evidence: Evidence, options: Mapping[str, Any]) -> float | None:
    """The time of a finder by its own estimate, with those of its options that the estimate depends on; None if it has none."""
    if name not in FINDERS:
        return None
    module = importlib.import_module(FINDERS.entries[name].target.partition(":")[0])
    estimate = getattr(module, "seconds", None)
    if estimate is None:
        return None
    known = inspect.signature(estimate).parameters
    return float(estimate(evidence, **{key: value for key, value in options.items() if key in known}))


def _called(name: str, evidence: Evidence, options: Mapping[str, Any]) -> list[Finding]:
    find = FINDERS.load(name)
    known = inspect.signature(find).parameters
    for key in options:
        if key not in known:
            raise UsageError(f"Finder {name} has no option {key!r}", "Remove it.")
    try:
        proposed = find(evidence, **options)
    except SpurError:
        raise
    except Exception as error:
        if name in FINDERS:
            raise
        raise InputError(f"Finder {name} failed: {type(error).__name__}: {str(error)[:200]}", "Fix it.") from error
    if not isinstance(proposed, list) or not all(isinstance(finding, Finding) for finding in proposed):
        raise InputError(
            f"Finder {name} does not return a list of findings", "See spurcli.auditing.suspect.Finding for one."
        )
    return proposed
