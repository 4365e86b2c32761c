"""The stage `prune`: score files in, a list of what to keep (or remove) out. Needs no torch and no data set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from spurcli.artifacts.fingerprint import Fingerprint, require_same, require_same_injection
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import IndexList, Kind, check_indices, read_indices, write_indices
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.scores import ScoresReader, mean_of_runs, open_scores
from spurcli.errors import InputError, UsageError
from spurcli.groups import aligned_groups, is_grid, named
from spurcli.pruning.rules import Rule, describe, matched_random, removed_by, within_class
from spurcli.pruning.summary import summarise, warnings_of
from spurcli.selection import (
    BLOCK,
    Codes,
    count_codes,
    deciding_score,
    hardness_keys,
    parse_fraction,
    parse_select,
    quartiles,
    random_keys,
)

_MAX_CODE = 1 << 20
AUTO = "auto"


def prune(
    scores: Sequence[Path],
    *,
    fraction: str | float | None = None,
    per_class: bool = False,
    groups: Sequence[str] = (),
    groups_file: Path | None = None,
    balance_classes: bool = False,
    select: str = "hardest",
    match: Path | None = None,
    match_groups: bool = False,
    score: str | None = None,
    kind: Kind = "keep",
    seed: int = 0,
    allow_injection_mismatch: bool = False,
    output: Path = Path("keep.txt"),
    command: str = "",
) -> dict[str, Any]:
    """Choose what to remove from the training split that `scores` are about, and write the list.

    Several score files are averaged. `fraction` is what is removed, an exact decimal: of the whole set, of each
    class (`per_class`), or inside the named `groups`; `auto` alone stands for the groups that carry their class's
    spurious feature (`spurcli.groups.aligned_groups` of the training counts), the rule of identifiable settings. `match` makes the random control of another list instead: as
    many samples of each class (of each class and group with `match_groups`), drawn with `seed`. `groups_file` names
    groups that the score file does not hold. `score` is the one that decides (default: el2n, or the only one there).

    Returns the list's rule, summary and warnings. Raises UsageError for contradicting options, InputError for files
    that do not belong together.
    """
    if not scores:
        raise UsageError("No score file is named", "Make one with: spurcli score --dataset NAME")
    resolved = [path.resolve() for path in scores]
    if twice := [path for path, place in zip(scores, resolved, strict=True) if resolved.count(place) > 1]:
        raise UsageError(f"{twice[0]} is named twice", "Name each score file once.")
    if match_groups and match is None:
        raise UsageError("--match-groups says how --match counts", "Name a list with --match LIST.")
    rule, fraction_text = _rule(fraction, per_class, groups, balance_classes, select, match)
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(open_scores(path)) for path in scores]
        first = readers[0]
        _require_same_samples(readers, allow_injection_mismatch)
        num_samples = first.header.num_samples
        label, class_names = _labels(first)
        group, group_names, is_local = _groups(first, groups_file, allow_injection_mismatch)
        is_crossed = is_grid(group_names, class_names) and not is_local
        score = deciding_score(first.scores, score)
        higher_is = _direction(readers, score)
        keys = hardness_keys(mean_of_runs([(reader, score) for reader in readers]), higher_is)
        if AUTO in groups and AUTO not in group_names:
            rule = replace(rule, groups=_found_groups(groups, group, group_names, class_names, is_crossed=is_crossed))
        injection, fingerprint = first.header.injection_sha256, first.header.fingerprint
        settings = first.header.provenance.get("settings", {})
        parents = [Parent.of(reader.path, reader.header.provenance) for reader in readers]

    quartile = quartiles(keys, label, len(class_names))
    if match is not None:
        del keys
        other = _read_match(match, fingerprint, injection, num_samples, str(scores[0]), allow_injection_mismatch)
        if match_groups and group is None:
            raise InputError("The scores hold no groups to match", "Leave out --match-groups, or name --groups FILE.")
        stratum = within_class(group, label, len(class_names)) if match_groups and group is not None else label
        removed = np.ones(num_samples, dtype=bool)
        removed[other.kept(num_samples)] = False
        removed = matched_random(removed, stratum, random_keys(num_samples, seed, "matched control"))
        del stratum
        rule_facts = {**dict(other.rule), "select": "random", "matched": "group" if match_groups else "class"}
        parents.append(Parent.of(match, other.provenance))
    else:
        if rule.select == "random":
            keys = random_keys(num_samples, seed, "prune")
        removed = removed_by(rule, keys, label, len(class_names), group, group_names)
        del keys
        rule_facts = {**describe(rule, fraction_text), "matched": None}
    if removed.all():
        raise InputError("Nothing would be kept", "Remove a smaller fraction.")
    rule_facts |= {"score": score, "seed": seed if rule_facts["select"] == "random" else None}
    summary = summarise(removed, quartile, label, class_names, group, group_names, is_crossed=is_crossed)
    del quartile, label, group  # what is written needs eight bytes an index
    made = provenance("prune", command=command, settings=settings, arguments=rule_facts, parents=parents)
    indices = np.flatnonzero(removed if kind == "remove" else ~removed)
    write_indices(
        output, IndexList(indices, kind, fingerprint, injection, rule=rule_facts, summary=summary, provenance=made)
    )
    return {
        "output": str(output),
        "kind": kind,
        "num_samples": num_samples,
        "num_removed": summary["total"]["num_removed"],
        "num_kept": num_samples - summary["total"]["num_removed"],
        "rule": rule_facts,
        "summary": summary,
        "warnings": warnings_of(summary, class_names, group_names, is_crossed=is_crossed),
    }


def _rule(
    fraction: str | float | None,
    per_class: bool,
    groups: Sequence[str],
    balance_classes: bool,
    select: str,
    match: Path | None,
) -> tuple[Rule, str | None]:
    """The rule that the options say, or a word on how they contradict."""
    chosen = parse_select(select)
    if match is not None:
        if fraction is not None or per_class or groups or balance_classes or select != "hardest":
            raise UsageError("--match copies the counts of another list", "Leave out the options that choose counts.")
        return Rule(None), None
    if isinstance(chosen, tuple):
        if fraction is not None or balance_classes:
            raise UsageError("A slice says how much is removed", "Leave out --fraction and --balance-classes.")
    elif fraction is None and not balance_classes:
        raise UsageError(
            "How much is to be removed?", "Say --fraction 0.1 (a tenth), or --select A:B, or --match FILE."
        )
    if per_class and groups:
        raise UsageError("--per-class and --group are two rules", "Choose one: groups already lie within a class.")
    text = None if fraction is None else str(fraction)
    share: Fraction | None = parse_fraction(text) if text is not None else None
    return Rule(share, "class" if per_class else "all", chosen, tuple(groups), balance_classes), text


def _found_groups(
    groups: Sequence[str],
    group: Codes | None,
    group_names: Sequence[str],
    class_names: Sequence[str],
    *,
    is_crossed: bool,
) -> tuple[str, ...]:
    """The names of the groups that carry their class's spurious feature."""
    if list(groups) != [AUTO]:
        raise UsageError("--group auto finds all groups itself", "Leave the others out, or name each.")
    if group is None:
        raise InputError(
            "The scores hold no groups, so none can be found", "Use --per-class, or score a data set with groups."
        )
    if not is_crossed:
        raise InputError(
            "The groups are not those of class/attribute with the same attributes in every class, so which carry a "
            "class's feature cannot be found",
            "Name them: --group NAME.",
        )
    found = aligned_groups(count_codes(group, len(group_names)), len(class_names))
    if not found:
        raise InputError("No attribute goes with one class more than with others", "Use --per-class, or name groups.")
    return tuple(named(found, group_names))


def _require_same_samples(readers: Sequence[ScoresReader], allow_injection_mismatch: bool) -> None:
    first = readers[0]
    for reader in readers[1:]:
        require_same(first.header.fingerprint, str(first.path), reader.header.fingerprint, str(reader.path))
        if not allow_injection_mismatch:
            require_same_injection(
                first.header.injection_sha256, str(first.path), reader.header.injection_sha256, str(reader.path)
            )


def _read_match(
    path: Path,
    fingerprint: Fingerprint,
    injection_sha256: str | None,
    num_samples: int,
    scores_name: str,
    allow_injection_mismatch: bool,
) -> IndexList:
    """The list whose counts the control copies, checked to be about the same samples."""
    other = read_indices(path)
    if other.fingerprint:
        require_same(other.fingerprint, str(path), fingerprint, scores_name)
    if other.checked_injection and not allow_injection_mismatch:
        require_same_injection(other.injection_sha256, str(path), injection_sha256, scores_name)
    check_indices(other.indices, num_samples, str(path))
    return other


def _direction(readers: Sequence[ScoresReader], score: str) -> str:
    directions = {reader.require(score).higher_is for reader in readers}
    if len(directions) > 1:
        raise InputError(f"The files disagree on which way {score!r} points", "Do not mix them.")
    return directions.pop()


def _labels(reader: ScoresReader) -> tuple[Codes, tuple[str, ...]]:
    """Labels [n] and class names; numbers are the names of classes that have none."""
    names, num_samples = reader.header.class_names, reader.header.num_samples
    if not names:
        last = max(int(reader.labels(start, start + BLOCK).max()) for start in range(0, num_samples, BLOCK))
        names = tuple(map(str, range(min(last, _MAX_CODE) + 1)))
    return _codes(reader.labels, num_samples, len(names), f"{reader.path}: label"), names


def _groups(
    reader: ScoresReader, groups_file: Path | None, allow_injection_mismatch: bool
) -> tuple[Codes | None, tuple[str, ...], bool]:
    """Groups [n], their names, and whether their attributes mean another thing in each class (`GroupList`)."""
    header = reader.header
    if groups_file is not None:
        found = read_groups(groups_file)
        if found.fingerprint:
            require_same(found.fingerprint, str(groups_file), header.fingerprint, str(reader.path))
        if found.checked_injection and not allow_injection_mismatch:
            require_same_injection(found.injection_sha256, str(groups_file), header.injection_sha256, str(reader.path))
        if len(found.group) != header.num_samples:
            raise InputError(
                f"{groups_file} has {len(found.group):,} lines for {header.num_samples:,} samples", "One line each."
            )
        return found.group.astype(np.int32), found.names, found.within_class
    if not reader.has_groups:
        return None, (), False
    names = header.group_names
    return _codes(reader.groups, header.num_samples, len(names), f"{reader.path}: group"), names, False


def _codes(read: Any, num_samples: int, num_names: int, where: str) -> Codes:
    """Codes 0 … num_names − 1, read a block at a time into two bytes each (four above 32,768)."""
    codes: Codes = np.empty(num_samples, dtype=np.int16 if num_names <= 1 << 15 else np.int32)
    for start in range(0, num_samples, BLOCK):
        block = read(start, min(start + BLOCK, num_samples))
        if block.min() < 0 or block.max() >= num_names:
            bad = start + int(np.flatnonzero((block < 0) | (block >= num_names))[0])
            raise InputError(f"{where} of sample {bad:,} is outside the {num_names:,} that have names", "Count from 0.")
        codes[start : start + len(block)] = block
    return codes
