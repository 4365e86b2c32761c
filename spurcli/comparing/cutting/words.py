"""What a cut changed, in one sentence, from the evaluations of all seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spurcli.artifacts.evaluation import read_evaluation
from spurcli.auditing.stored import StoredSuspect
from spurcli.reporting.claims import MIN_SEEDS
from spurcli.reporting.statistics import mean
from spurcli.words import PERCENT, amount, counted

ALL, CUT, CONTROL = "all", "cut", "cut-random"
ARMS = (ALL, CUT, CONTROL)
TAKEN, TAKEN_WITHOUT = "spurious_misclassification_all", "spurious_misclassification_all_without"
EFFECT, ACCURACY = "feature_effect", "accuracy"
_MEASURES = (TAKEN, TAKEN_WITHOUT, EFFECT, "flip_rate", "probit_gap", ACCURACY)
_KINDS = {"images": "images", "texts": "texts"}
Values = Mapping[str, Mapping[str, Sequence[float | None]]]


def measured(evaluations: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, list[float | None]]]:
    """The values of each arm and measure in the order of the seeds; None where it is undefined."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for arm, paths in evaluations.items():
        metrics: list[Mapping[str, Any]] = [read_evaluation(path).get("metrics") or {} for path in paths]
        found[arm] = {name: [(each.get(name) or {}).get("value") for each in metrics] for name in _MEASURES}
    return found


def verdict(
    suspect: StoredSuspect,
    values: Values,
    fraction: str,
    audited: Mapping[str, Sequence[float | None]] | None = None,
) -> str:
    """One sentence with the means over seeds, and one on the `audited` model; fewer than five seeds are called a hint."""
    num_seeds = len(values[ALL][ACCURACY])
    seeds = counted(num_seeds, "seed")
    arms = _arms(suspect, fraction)
    if suspect.addition is None:
        shown = [f"{_plain(values[arm][EFFECT])} for {words}" for arm, words in arms.items()]
        said = (
            f"The feature effect of {suspect.name}, compared between samples with and without it, is "
            f"{', '.join(shown)}; {seeds}"
        )
        if not _known(values[ALL][EFFECT]):
            said = f"The feature effect of {suspect.name} is undefined, and the evaluations say why; {seeds}"
    else:
        kind = _KINDS.get(str(suspect.audit.get("kind")), "samples")
        of, called = f" of the {kind} of other classes", f" are predicted as {suspect.label}"
        shown = [
            f"{_share(values[arm][TAKEN])}{of if arm == ALL else ''} ({_share(values[arm][TAKEN_WITHOUT])} before)"
            f"{called if arm == ALL else ''} by {words}"
            for arm, words in arms.items()
        ]
        said = f"With the feature added, as the audit inferred it, {', '.join(shown)}; {seeds}"
    cost = _difference(values[CUT][ACCURACY], values[ALL][ACCURACY])
    said += f", accuracy {cost} compared with all samples."
    if audited:
        said += f" {_of_audited(suspect, audited)}"
    if num_seeds < MIN_SEEDS:
        said += f" Fewer than {MIN_SEEDS} seeds: this is a hint, not a claim."
    return said


def _of_audited(suspect: StoredSuspect, values: Mapping[str, Sequence[float | None]]) -> str:
    if suspect.addition is None:
        return f"Of the audited model itself it is {_plain(values[EFFECT])}."
    return f"By the audited model itself: {_share(values[TAKEN])} ({_share(values[TAKEN_WITHOUT])} before)."


def _arms(suspect: StoredSuspect, fraction: str) -> dict[str, str]:
    part = "" if float(fraction) == 1 else f"the hardest {100 * float(fraction):g} % of "
    return {
        ALL: "the model trained on all samples",
        CUT: f"the model trained without {part}its carriers",
        CONTROL: f"the model trained without the same number of random samples of {suspect.label}",
    }


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _share(values: Sequence[float | None]) -> str:
    known = _known(values)
    return amount(mean(known), PERCENT) if len(known) == len(values) else "an undefined share"


def _plain(values: Sequence[float | None]) -> str:
    known = _known(values)
    return amount(mean(known), "") if len(known) == len(values) else "undefined"


def _difference(first: Sequence[float | None], second: Sequence[float | None]) -> str:
    pairs = [a - b for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return f"{amount(mean(pairs), PERCENT, signed=True, bare=True)} points" if pairs else "not known"
