"""Columns of the user's table: does the model lean on the feature behind a value or a range of numbers?"""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.auditing.candidates import Candidate, Hit, of_texts, search
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Finding, short_name
from spurcli.auditing.values import value_rows
from spurcli.errors import InputError
from spurcli.registry import near


def find(evidence: Evidence, *, column: Sequence[str] = (), most: int = 3) -> list[Finding]:
    """The `most` suspicious columns, or the named ones. Numbers are divided into ranges by their quantiles."""
    columns = evidence.columns
    names = list(columns.get(evidence.source) or ())
    for name in column:
        if name not in names:
            raise InputError(f"There is no column {name!r}{near(name, names)}", f"Columns: {', '.join(names[:20])}.")
    candidates: list[Candidate] = []
    chosen = list(column) or names
    evidence.progress.start("columns", len(chosen))
    for name in chosen:
        values = {split: part[name] for split, part in columns.items() if name in part}
        candidates += of_texts(name, values, evidence.source, evidence.warn)
        evidence.progress.advance(1)
    hits = search(evidence, candidates, most)
    for name in column:
        if all(hit.candidate.column != name for hit in hits):
            evidence.warn(f"{name}: no suspect; no value is linked to a class and also moves the model towards it")
    return [_finding(evidence, hit, candidates) for hit in hits]


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find`: each value of each column is read once."""
    return 1e-5 * sum(len(column) for part in evidence.columns.values() for column in part.values())


def _finding(evidence: Evidence, hit: Hit, candidates: Sequence[Candidate]) -> Finding:
    candidate, label = hit.candidate, evidence.class_names[hit.label_index]
    presence = {split: part for split, part in candidate.presence.items() if split in evidence.splits}
    return Finding(
        name=short_name(candidate.column, candidate.value.removeprefix("= ")),
        finder="columns",
        label_index=hit.label_index,
        presence=presence,
        statement=f"Samples with {candidate.column} {candidate.value} are predicted {label} more often",
        shown={"column": candidate.column, "value": candidate.value},
        details={
            "z_association": round(hit.association, 2),
            "z_push": None if hit.push is None else round(hit.push, 2),
        },
        values=value_rows(evidence, candidates, candidate.column),
    )
