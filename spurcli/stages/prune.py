"""The stage `prune`: from score files to a list of samples to keep (or remove). Needs no torch and no data set."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.group_list import write_groups
from spurcli.artifacts.indices import IndexList, Kind, read_indices_about, write_indices
from spurcli.artifacts.provenance import Parent, provenance
from spurcli.artifacts.records import ListRule
from spurcli.artifacts.scores import mean_of_runs, open_scores
from spurcli.artifacts.subject import InjectionPolicy
from spurcli.errors import InputError, UsageError
from spurcli.pruning.quotas import read_recalls
from spurcli.pruning.rules import (
    AUTO,
    Rule,
    describe,
    doubts_about,
    found_groups,
    matched_random,
    removed_by,
    within_class,
)
from spurcli.pruning.samples import (
    KnownSamples,
    NamedGroups,
    direction_of,
    read_class_labels,
    read_known_groups,
    require_same_samples,
    samples_of_groups,
)
from spurcli.pruning.summary import one_class, summarise, unbalanced, warnings_of
from spurcli.results import PruneResult
from spurcli.selection import (
    count_codes,
    deciding_score,
    hardness_keys,
    parse_fraction,
    parse_select,
    quartiles,
    random_keys,
)

if TYPE_CHECKING:
    from spurcli.auditing.union import Union


def prune(
    scores: Sequence[Path],
    *,
    fraction: str | float | None = None,
    per_class: bool = False,
    groups: Sequence[str] = (),
    groups_file: Path | None = None,
    suspects: Union | None = None,
    balance_classes: bool = False,
    balance_groups: bool = False,
    quotas: Path | None = None,
    select: str = "hardest",
    match: Path | None = None,
    match_groups: bool = False,
    score: str | None = None,
    kind: Kind = "keep",
    seed: int = 0,
    allow_injection_mismatch: bool = False,
    output: Path = Path("keep.txt"),
    save_groups: Path | None = None,
    command: str = "",
) -> PruneResult:
    """Choose what to remove from the training split that `scores` are about, and write the list.

    Several score files are averaged. None are needed for a list that does not depend on difficulty, if `groups_file`, whose groups are
    class/attribute, or `suspects` of an audit say which samples there are: then its summary has no quartiles. `fraction` is what is removed, an exact decimal: of the whole set, of each
    class (`per_class`), or inside the named `groups`; `auto` alone stands for the groups that carry their class's
    spurious feature (`spurcli.groups.aligned_groups` of the training counts), the rule of identifiable settings. More
    of the same goes with `balance_classes` or `balance_groups`, until all classes or groups are as small as the
    smallest. `quotas`, an evaluation of val, shares the fraction out among the classes by their recall (DRoP).

    `match` makes the random control of another list instead: as many samples of each class (of each class and group
    with `match_groups`), drawn with `seed`. `groups_file` names groups that the score file does not hold. `suspects` of an audit are such groups too:
    `fraction` of the carriers of at least one of them is removed, of each class that has a suspect. `save_groups` also writes their groups.
    `score` is the one that decides (default: el2n, or the only one there).

    Returns the list's rule, summary and warnings. Raises UsageError for contradicting options, InputError for files
    that do not belong together.
    """
    resolved = [path.resolve() for path in scores]
    if twice := [path for path, place in zip(scores, resolved, strict=True) if resolved.count(place) > 1]:
        raise UsageError(f"{twice[0]} is named twice", "Name each score file once.")
    if match_groups and match is None:
        raise UsageError("--match-groups requires --match", "Name a list with --match LIST.")
    policy = InjectionPolicy.of(allow_injection_mismatch)
    if suspects is not None and (groups or groups_file or per_class):
        raise UsageError("--suspect already names the groups", "Leave out --group, --group-labels and --per-class.")
    if save_groups is not None and suspects is None:
        raise UsageError("--save-groups requires --suspect", "Name the suspects of an audit: --suspect audit:1,2")
    if suspects is not None and match is None:
        groups = suspects.carrier_groups
    rule, fraction_text = _rule(fraction, per_class, groups, balance_classes, balance_groups, quotas, select, match)
    named = NamedGroups.of_file(groups_file) if groups_file else None
    if suspects is not None:
        place = suspects.suspects[0].groups
        named = NamedGroups(suspects.groups, place, suspects.parents())
    if scores:
        known_samples, keys, score = _of_scores(scores, named, score, policy)
    elif named is not None and needs_no_scores(
        fraction, groups, select, match, balances=balance_classes or balance_groups
    ):
        known_samples, keys, score = samples_of_groups(named), None, None
    else:
        raise UsageError("No score file is named", "Make one with: spurcli score --dataset NAME")
    subject, label, class_names, known = (
        known_samples.subject,
        known_samples.label,
        known_samples.class_names,
        known_samples.groups,
    )
    num_samples, settings, parents = len(label), known_samples.settings, [*known_samples.parents]
    del known_samples
    recalls = None
    if quotas is not None:
        sizes = count_codes(label, len(class_names)).tolist()
        recalls = read_recalls(quotas, class_names, sizes, subject, policy)
        parents.append(recalls.parent)
        rule = replace(rule, recall=tuple(recalls.recall))
    doubts: list[str] = []
    if AUTO in groups and AUTO not in known.names:
        rule = replace(rule, groups=found_groups(groups, known, len(class_names)))
        doubts = doubts_about(rule.groups, known, class_names)
    quartile = quartiles(keys, label, len(class_names)) if keys is not None else None
    if match is not None:
        del keys
        other = read_indices_about(subject, match, policy)
        stratum = label
        rule_facts: ListRule = {**other.rule, "select": "random", "matched": "class"}
        if match_groups:
            group = known.require(" to match", "Leave out --match-groups")
            stratum = within_class(group, label, len(class_names))
            of_either = (other.rule.get("group_labels"), known.source)
            rule_facts |= {"matched": "group", "group_labels": "scores" if "scores" in of_either else known.source}
        removed = np.ones(num_samples, dtype=bool)
        removed[other.kept(num_samples)] = False
        removed = matched_random(removed, stratum, random_keys(num_samples, seed, "matched control"))
        del stratum
        parents.append(Parent.of(match, other.provenance))
    else:
        if rule.select == "random" or keys is None:  # without scores all of the groups are removed
            keys = random_keys(num_samples, seed, "prune")
        removed = removed_by(rule, keys, label, len(class_names), known)
        del keys
        rule_facts = {**describe(rule, fraction_text), "matched": None}
        rule_facts["group_labels"] = known.source if rule.groups or rule.balance == "group" else None
        if suspects is not None:
            rule_facts["suspects"] = [suspect.rank for suspect in suspects.suspects]
        if recalls:
            rule_facts["recall_counts"] = recalls.to_json()
    if removed.all():
        raise InputError("Nothing would be kept", "Remove a smaller fraction.")
    rule_facts |= {**({"score": score} if score else {}), "seed": seed if rule_facts["select"] == "random" else None}
    summary = summarise(removed, quartile, label, class_names, known)
    warnings = [
        *(recalls.warnings if recalls else ()),
        *doubts,
        *(unbalanced(summary) if rule.balance == "group" else ()),
        *(one_class(summary, rule) if match is None else ()),
        *warnings_of(summary, class_names, known),
    ]
    if warnings:  # a report says them again beside what the list led to
        summary["warnings"] = warnings
    del quartile, label, known  # what is written needs eight bytes an index
    made = provenance("prune", command=command, settings=settings, arguments=rule_facts, parents=parents)
    if save_groups is not None and suspects is not None:
        write_groups(save_groups, replace(suspects.groups, provenance=made))
    indices = np.flatnonzero(removed if kind == "remove" else ~removed)
    write_indices(
        output,
        IndexList(
            indices,
            kind,
            subject,
            rule=rule_facts,
            summary=summary,
            provenance=made,
        ),
    )
    return {
        "output": str(output),
        "kind": kind,
        "num_samples": num_samples,
        "num_removed": summary["total"]["num_removed"],
        "num_kept": num_samples - summary["total"]["num_removed"],
        "rule": rule_facts,
        "summary": summary,
        "warnings": warnings,
    }


def needs_no_scores(
    fraction: str | float | None, groups: Sequence[str], select: str, match: Path | None, *, balances: bool
) -> bool:
    """Whether a list does not depend on difficulty: a random one, and one without all samples of some groups."""
    takes_all = bool(groups) and not balances and fraction is not None and parse_fraction(str(fraction)) == 1
    return match is not None or select == "random" or takes_all


def _of_scores(
    paths: Sequence[Path], named: NamedGroups | None, score: str | None, policy: InjectionPolicy
) -> tuple[KnownSamples, NDArray[np.uint32], str]:
    """What score files say about their samples, their difficulty (larger is harder), and the score that decides."""
    with contextlib.ExitStack() as stack:
        readers = [stack.enter_context(open_scores(path)) for path in paths]
        header = readers[0].header
        require_same_samples(readers, policy)
        label, class_names = read_class_labels(readers[0])
        known = read_known_groups(readers[0], named, class_names, policy)
        score = deciding_score(readers[0].scores, score)
        higher_is = direction_of(readers, score)
        keys = hardness_keys(mean_of_runs([(reader, score) for reader in readers]), higher_is)
        parents = [Parent.of(reader.path, reader.header.provenance) for reader in readers]
    parents += known.parents
    settings = header.provenance.get("settings", {})
    return KnownSamples(header.subject, label, class_names, known, settings, parents), keys, score


def _rule(
    fraction: str | float | None,
    per_class: bool,
    groups: Sequence[str],
    balance_classes: bool,
    balance_groups: bool,
    quotas: Path | None,
    select: str,
    match: Path | None,
) -> tuple[Rule, str | None]:
    """The rule that the options say (the recalls of `quotas` come later), or a word on how they contradict."""
    chosen = parse_select(select)
    balance = "class" if balance_classes else "group" if balance_groups else ""
    if match is not None:
        if fraction is not None or per_class or groups or balance or quotas or select != "hardest":
            raise UsageError("--match copies the counts of another list", "Leave out the options that choose counts.")
        return Rule(None), None
    if balance_classes and balance_groups:
        raise UsageError("--balance-classes and --balance-groups cannot be combined", "Choose one.")
    if quotas and (per_class or groups or balance):
        raise UsageError(
            "--quotas already sets how many samples of each class are removed",
            "Leave out --per-class, --group and --balance-….",
        )
    if isinstance(chosen, tuple):
        if fraction is not None or balance or quotas:
            raise UsageError(
                "A slice already sets how many samples are removed", "Leave out --fraction, --balance-… and --quotas."
            )
    elif fraction is None and not balance:
        raise UsageError(
            "The number of samples to remove is not set",
            "Add --fraction 0.1 (a tenth), or --select A:B, or --match FILE.",
        )
    if per_class and groups:
        raise UsageError(
            "--per-class and --group cannot be combined", "Choose one: each group is already within one class."
        )
    text = None if fraction is None else str(fraction)
    share: Fraction | None = parse_fraction(text) if text is not None else None
    return Rule(share, "class" if per_class else "all", chosen, tuple(groups), balance), text
