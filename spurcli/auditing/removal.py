"""Words removed from the held-out texts that have them: does the model move away from the class?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.evidence import Ask, Evidence
from spurcli.auditing.terms import Term, without, without_others
from spurcli.datasets import Texts
from spurcli.evaluation.reliance import margin
from spurcli.evaluation.trimmed import degrees_left, trimmed_mean, trimmed_spread
from spurcli.student import two_sided_p

_MOST = 200  # texts
_LEAST = 20  # texts from which a removal counts


def taken_out(
    evidence: Evidence, term: Term, y: int, presence: NDArray[np.float32]
) -> tuple[dict[str, object], float | None]:
    """The effect of removing the term from texts of half 1 that have it, as facts, and the p-value of no effect.

    None for too few texts. Compared with removing as many other words from the same text. With a second model the larger p-value counts.
    """
    split, inputs = evidence.held_out, evidence.inputs(evidence.held_out)
    if evidence.ask is None or not isinstance(inputs, Texts):
        return {}, None
    index, shorter, controls = [], [], []
    for number in np.flatnonzero((evidence.half(split) == 1) & (presence > 0.5))[:_MOST].tolist():
        (sample,) = inputs.read(np.array([number]))
        text = sample[term.column]
        rest, other = without(text, term.words), without_others(text, term.words, evidence.seed, number)
        if rest and other:
            index.append(number)
            shorter.append((*sample[: term.column], rest, *sample[term.column + 1 :]))
            controls.append((*sample[: term.column], other, *sample[term.column + 1 :]))
    if not index:
        return {}, None

    def falls(ask: Ask) -> NDArray[np.float64]:
        return margin(ask(controls), [y]) - margin(ask(shorter), [y])

    found = [falls(ask) for ask in (evidence.ask, evidence.second_ask) if ask is not None]
    p_values = [_p_above_zero(values) for values in found]
    p_value = None if None in p_values else max(value for value in p_values if value is not None)
    facts: dict[str, object] = {
        "num_taken_out": len(index),
        "fall_taken_out": round(trimmed_mean(found[0]), 3),
        "p_taken_out": p_value,
    }
    return facts, p_value if len(index) >= _LEAST else None


def _p_above_zero(values: NDArray[np.float64]) -> float | None:
    """One-sided p of the trimmed mean against 0; None for too few values."""
    degrees = degrees_left(len(values)) if len(values) else 0
    if degrees < 2:
        return None
    centre, error = trimmed_mean(values), math.sqrt(float((trimmed_spread(values) ** 2).sum()))
    if error == 0:
        return 0.0 if centre > 0 else 1.0
    p = two_sided_p(centre / error, degrees) / 2
    return p if centre > 0 else 1 - p
