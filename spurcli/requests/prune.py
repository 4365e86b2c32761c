"""The options of `prune`, each a flag and a Python parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from spurcli.errors import UsageError
from spurcli.requests.files import input_file, output_file
from spurcli.requests.options import (
    GROUP_LABELS,
    AllowMismatch,
    Caller,
    File,
    Option,
    Score,
    Seed,
    Shown,
    output,
    path,
    several,
)
from spurcli.results import PruneResult

if TYPE_CHECKING:
    from spurcli.auditing.union import Union


@dataclass(frozen=True, kw_only=True)
class PruneRequest:
    """Choose which samples to remove."""

    scores: Annotated[
        File | Sequence[File] | None,
        Option(
            "Score files, averaged. Not needed with --group-labels to remove a whole group. (default: scores.h5)",
            "SCORES",
            repeated=True,
            positional=True,
            reads="scores.h5",
        ),
    ] = field(default=None, kw_only=False)
    fraction: Annotated[str | float | None, Option("The fraction to remove, e.g. 0.1.", "FRACTION")] = None
    per_class: Annotated[bool, Option("Remove this fraction of every class.")] = False
    group: Annotated[
        str | Sequence[str] | None,
        Option(
            "Prune only inside this group, e.g. male/glasses. Repeatable, one name each. auto: the groups that carry "
            "their class's spurious feature, or that the file of --group-labels states.",
            "NAME",
            repeated=True,
        ),
    ] = None
    group_labels: Annotated[File | None, Option(f"{GROUP_LABELS}, if the score file has no groups.", "FILE")] = None
    suspect: Annotated[
        str | None,
        Option(
            "Prune only the carriers of these suspects of an audit, each in its class: audit:1, or audit:1,3,5 for the "
            "carriers of at least one of them.",
            "AUDIT:N",
        ),
    ] = None
    balance_classes: Annotated[bool, Option("Then prune the larger classes to the size of the smallest.")] = False
    balance_groups: Annotated[bool, Option("Then prune the larger groups to the size of the smallest.")] = False
    quotas: Annotated[
        File | None,
        Option(
            "Keep each class in proportion to 1 − its recall in this evaluation.json of the split val (DRoP, with "
            "--select random).",
            "FILE",
        ),
    ] = None
    select: Annotated[
        str,
        Option(
            "hardest, easiest, random, or A:B from easiest to hardest.", "ORDER", completes="hardest easiest random"
        ),
    ] = "hardest"
    match: Annotated[
        File | None, Option("Random control: remove as many of each class as this list removes.", "LIST")
    ] = None
    match_groups: Annotated[bool, Option("With --match: match the counts of each class and group.")] = False
    score: Score = None
    kind: Annotated[
        str, Option("List the samples to keep, or the samples to remove.", "keep|remove", completes="keep remove")
    ] = "keep"
    save_groups: Annotated[
        File | None,
        Option("Also save the groups of --suspect, for train --group-labels.", "FILE", writes="groups.txt"),
    ] = None
    output: Annotated[File | None, output("keep.txt")] = None
    seed: Seed = 0
    allow_injection_mismatch: AllowMismatch = False
    progress: Shown = False

    @property
    def standard_output(self) -> str:
        return "remove.txt" if self.kind == "remove" else "keep.txt"


def run(asked: PruneRequest, caller: Caller) -> PruneResult:
    """Resolve the request and write the list."""
    from spurcli.stages.prune import needs_no_scores, prune

    if asked.kind not in ("keep", "remove"):
        raise UsageError(f"--kind {asked.kind} is unknown", "Use keep or remove.")
    output = output_file(asked.output, asked.standard_output)
    saved = output_file(asked.save_groups, "groups.txt") if asked.save_groups else None
    groups = several(asked.group)
    named = several(asked.scores)
    suspects = suspects_of(asked)
    is_free = (asked.group_labels is not None or suspects is not None) and needs_no_scores(
        asked.fraction,
        suspects.carrier_groups if suspects else groups,
        asked.select,
        path(asked.match),
        balances=asked.balance_classes or asked.balance_groups,
    )
    if not named and not (is_free and (groups or suspects or not Path("scores.h5").is_file())):
        named = [None]
    return prune(
        [input_file(name, "scores.h5", caller.progress.say) for name in named],
        fraction=asked.fraction,
        per_class=asked.per_class,
        groups=groups,
        groups_file=path(asked.group_labels),
        suspects=suspects,
        balance_classes=asked.balance_classes,
        balance_groups=asked.balance_groups,
        quotas=path(asked.quotas),
        select=asked.select,
        match=path(asked.match),
        match_groups=asked.match_groups,
        score=asked.score,
        kind="remove" if asked.kind == "remove" else "keep",
        seed=asked.seed,
        allow_injection_mismatch=asked.allow_injection_mismatch,
        output=output,
        save_groups=saved,
        command=caller.command,
    )


def suspects_of(asked: PruneRequest) -> Union | None:
    """The suspects that are requested."""
    if asked.suspect is None:
        return None
    from spurcli.auditing.union import read_named

    return read_named(asked.suspect)
