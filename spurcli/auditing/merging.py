"""Findings with the same samples under different names: one of them is tested, and the others are listed with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Evidence
from spurcli.auditing.statistics import carries
from spurcli.auditing.suspect import MOST_CHARACTERS, Finding

_SAME = 0.9  # of the carriers of either, the share that carries both


def merged(evidence: Evidence, findings: Sequence[Finding]) -> list[Finding]:
    """The findings in order; of several in one class with the same training carriers, the one that can best be tested.

    This is one without a doubt, whose carriers are not inferred, and that can be inserted into samples.
    """
    source = evidence.source
    kept: list[tuple[int, Finding]] = []
    order = sorted(
        range(len(findings)),
        key=lambda n: (bool(findings[n].doubt), findings[n].inferred, findings[n].counterfactual is None, n),
    )
    for number in order:
        finding = findings[number]
        for place, (_, first) in enumerate(kept):
            if first.label_index == finding.label_index and same_carriers(
                first.presence[source], finding.presence[source]
            ):
                kept[place] = kept[place][0], replace(first, also=(*first.also, f"{finding.name} ({finding.finder})"))
                break
        else:
            kept.append((number, finding))
    return _named_apart([finding for _, finding in sorted(kept, key=lambda pair: pair[0])])


def _named_apart(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, later ones of the same name with a number: names are those of groups, and of suspects in a table."""
    taken: set[str] = set()
    apart = []
    for finding in findings:
        name, number = finding.name, 1
        while name in taken:
            number += 1
            name = f"{finding.name[: MOST_CHARACTERS - len(str(number)) - 1]} {number}"
        taken.add(name)
        apart.append(finding if name == finding.name else replace(finding, name=name))
    return apart


def same_carriers(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether at least 90 % of the carriers of either are carriers of both, among the samples where both are known."""
    known = ~np.isnan(one) & ~np.isnan(other)
    first, second = carries(one), carries(other)
    if not (first & known).any() or ((first & ~known).any() and (second & ~known).any()):
        return False
    first, second = first & known, second & known
    return bool((first & second).sum() >= _SAME * (first | second).sum())
