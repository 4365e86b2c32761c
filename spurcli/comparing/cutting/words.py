"""What a cut changed, in one sentence for each suspect, from the evaluations of all seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import JsonObject
from spurcli.artifacts.evaluation import read_evaluation
from spurcli.auditing.stored import StoredSuspect
from spurcli.reporting.claims import MIN_SEEDS
from spurcli.reporting.statistics import mean
from spurcli.words import PERCENT, all_of, amount, counted, joined

ALL, CUT, CONTROL = "all", "cut", "cut-random"
ARMS = (ALL, CUT, CONTROL)
AUDITED = "audited"
TAKEN, TAKEN_WITHOUT = "spurious_misclassification_all", "spurious_misclassification_all_without"
EFFECT, ACCURACY = "feature_effect", "accuracy"
_MEASURES = (TAKEN, TAKEN_WITHOUT, EFFECT, "flip_rate", "probit_gap", ACCURACY)
_KINDS = {"images": "images", "texts": "texts"}
Values = Mapping[str, Mapping[str, Sequence[float | None]]]


@dataclass(frozen=True)
class Measured:
    """The values by a suspect: `values` of each arm and measure in the order of the seeds (None where undefined), and those of the `audited` model."""

    suspect: StoredSuspect
    values: Values
    audited: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, suspect: StoredSuspect, evaluations: Mapping[str, Sequence[Path]]) -> Measured:
        """From the evaluations of each arm, and of the audited model if there is one."""
        found: dict[str, dict[str, list[float | None]]] = {}
        for arm, paths in evaluations.items():
            metrics: list[Mapping[str, Any]] = [read_evaluation(path).get("metrics") or {} for path in paths]
            found[arm] = {name: [(each.get(name) or {}).get("value") for each in metrics] for name in _MEASURES}
        return cls(suspect, {arm: found[arm] for arm in ARMS}, found.get(AUDITED, {}))

    @property
    def by_seed(self) -> JsonObject:
        return {arm: {name: list(each) for name, each in of.items()} for arm, of in self.values.items()}

    @property
    def audited_values(self) -> JsonObject | None:
        return {name: each for name, (each,) in self.audited.items()} or None


def verdict(found: Sequence[Measured], fraction: str) -> list[str]:
    """One sentence with the means over seeds, and one on the audited model; fewer than five seeds are called a hint.

    Of several suspects that were cut together, a paragraph each, and one on the cost.
    """
    accuracy = found[0].values
    num_seeds = len(accuracy[ALL][ACCURACY])
    seeds = counted(num_seeds, "seed")
    difference = _difference(accuracy[CUT][ACCURACY], accuracy[ALL][ACCURACY])
    cost = f"accuracy {difference} compared with all samples"
    arms = _arms([each.suspect for each in found], fraction)
    hint = [] if num_seeds >= MIN_SEEDS else [f"Fewer than {MIN_SEEDS} seeds: this is a hint, not a claim."]
    if len(found) == 1:
        said = [f"{_first_capital(_of_suspect(found[0], arms))}; {seeds}, {cost}."]
        return [" ".join([*said, *_of_audited(found[0]), *hint])]
    paragraphs = []
    for each in found:
        one = each.suspect
        named = f"Suspect {one.rank}, {one.name} ({one.label}): {_of_suspect(each, arms)}."
        paragraphs.append(" ".join([named, *_of_audited(each)]))
    control = _difference(accuracy[CONTROL][ACCURACY], accuracy[ALL][ACCURACY])
    cost = f"Together, over {seeds}: {cost}, random control {control}."
    return [*paragraphs, " ".join([cost, *hint])]


def _of_suspect(measured: Measured, arms: Mapping[str, str]) -> str:
    """What the arms do with the feature of a suspect, without the full stop."""
    suspect, values = measured.suspect, measured.values
    if suspect.addition is None:
        if not _known(values[ALL][EFFECT]):
            return f"the feature effect of {suspect.name} is undefined, and the evaluations say why"
        shown = [f"{_plain(values[arm][EFFECT])} for {words}" for arm, words in arms.items()]
        return (
            f"the feature effect of {suspect.name}, compared between samples with and without it, is {', '.join(shown)}"
        )
    kind = _KINDS.get(str(suspect.audit.get("kind")), "samples")
    of, called = f" of the {kind} of other classes", f" are predicted as {suspect.label}"
    shown = [
        f"{_share(values[arm][TAKEN])}{of if arm == ALL else ''} ({_share(values[arm][TAKEN_WITHOUT])} before)"
        f"{called if arm == ALL else ''} by {words}"
        for arm, words in arms.items()
    ]
    return f"with the feature added, as the audit inferred it, {', '.join(shown)}"


def _of_audited(measured: Measured) -> list[str]:
    values = measured.audited
    if not values:
        return []
    if measured.suspect.addition is None:
        return [f"Of the audited model itself it is {_plain(values[EFFECT])}."]
    return [f"By the audited model itself: {_share(values[TAKEN])} ({_share(values[TAKEN_WITHOUT])} before)."]


def _arms(suspects: Sequence[StoredSuspect], fraction: str) -> dict[str, str]:
    part = "" if float(fraction) == 1 else f"the hardest {100 * float(fraction):g} % of "
    whose = "its carriers" if len(suspects) == 1 else f"the carriers of {all_of(len(suspects), 'suspect')}"
    labels = joined(list(dict.fromkeys(str(suspect.label) for suspect in suspects)))
    return {
        ALL: "the model trained on all samples",
        CUT: f"the model trained without {part}{whose}",
        CONTROL: f"the model trained without the same number of random samples of {labels}",
    }


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]


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
