"""The order of suspects: confirmed ones first, then those with an effect that fail one rule, those that could not be tested, and the others; each by expected harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spurcli.auditing.suspect import STATUSES, Suspect


def ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    """The suspects in order, numbered from 1. Those without an expected harm come last within their status, by p-value."""

    def key(suspect: Suspect) -> tuple[int, bool, float, float]:
        harm = suspect.expected_harm
        return (
            STATUSES.index(suspect.status),
            not suspect.has_effect,
            -harm if harm is not None else 1.0,
            suspect.p_value if suspect.p_value is not None else 2.0,
        )

    return [replace(suspect, rank=number) for number, suspect in enumerate(sorted(suspects, key=key), start=1)]
