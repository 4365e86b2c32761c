"""Which model each rule would have chosen among all arms, and the cost of not knowing the groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spurcli.artifacts.envelope import canonical_json
from spurcli.artifacts.records import EpochRecord
from spurcli.epoch_rules import LAST, RECALLS, RULES, EpochRule, Standing, chosen
from spurcli.reporting.arms import Arm, dataset_name
from spurcli.reporting.choice import Choice, Pick
from spurcli.reporting.document import Report, ShownMetric
from spurcli.reporting.naming import grouping_words
from spurcli.reporting.runs import Run, Seed
from spurcli.reporting.statistics import mean, paired
from spurcli.reporting.tables import difference
from spurcli.reporting.values import Table, mapping
from spurcli.words import amount, counted, listed

NONE, ORACLE = "", "best-val-worst-group"
NONE_LABEL = "no choice: ERM on all samples, last epoch"
COLUMNS = ("Chosen by", "Reads", "Models (seeds)", "Seeds", "Cost without group labels")


@dataclass(frozen=True)
class _Candidate:
    arm: int
    row: EpochRecord
    value: float


def choices(arms: Sequence[Arm], split: str | None, metric: ShownMetric | None) -> list[Choice]:
    """For each data set with two candidates or more in each seed, the choice of each rule that can be applied on val."""
    if metric is None or metric.lower_is_better is None or split is None:
        return []
    several = len({arm.grouping for arm in arms if arm.split == split}) > 1
    by_base: dict[str, list[int]] = {}
    for position, arm in enumerate(arms):
        if arm.is_known and arm.split == split:
            by_base.setdefault(canonical_json(arm.base), []).append(position)
    found = []
    for positions in by_base.values():
        candidates = _candidates(arms, positions, metric)
        if len(candidates) and min(map(len, candidates.values())) > 1:
            name = dataset_name(arms[positions[0]].base)
            name += f" {grouping_words(arms[positions[0]].grouping)}" if several else ""
            found += _of_data_set(arms, positions, candidates, metric, name)
    return found


def _candidates(arms: Sequence[Arm], positions: Sequence[int], metric: ShownMetric) -> dict[Seed, list[_Candidate]]:
    """For each seed the evaluated models with known validation, those that remove the fewest samples first."""
    found: dict[Seed, list[_Candidate]] = {}
    for position in sorted(positions, key=lambda place: arms[place].fraction or 0.0):
        for run in arms[position].runs:
            measured, values = run.metrics.get(metric.name), _val_values(arms, arms[position], run)
            if run.seed is None or measured is None or measured.value is None or not values:
                continue
            row: EpochRecord = {"epoch": run.epoch or 0, "evaluations": {"val": dict(values)}}
            known = found.setdefault(run.at, [])
            if position not in [each.arm for each in known]:  # runs that share a seed count once
                known.append(_Candidate(position, row, measured.value))
    return found


def _val_values(arms: Sequence[Arm], mine: Arm, run: Run) -> Table:
    """The known values of a model on val: its epoch's row in the history, else an evaluation of val of the same weights."""
    for row in run.epochs:
        values = mapping(mapping(row.get("evaluations")).get("val"))
        if run.epoch is not None and row.get("epoch") == run.epoch and values:
            return values
    for other in (other for arm in arms if arm.split == "val" and arm.grouping == mine.grouping for other in arm.runs):
        if run.weights_sha256 and other.weights_sha256 == run.weights_sha256:
            values = {name: measured.value for name, measured in other.metrics.items()}
            return {**values, RECALLS: [[part.value, part.num_samples] for part in other.per_class]}
    return {}


def _of_data_set(
    arms: Sequence[Arm],
    positions: Sequence[int],
    candidates: Mapping[Seed, Sequence[_Candidate]],
    metric: ShownMetric,
    dataset: str,
) -> list[Choice]:
    picked: dict[str, dict[Seed, _Candidate]] = {}
    otherwise: dict[str, int | None] = {}
    for name, rule in RULES.items():
        if name == LAST:
            continue
        standings = {at: [_stands(rule, each.row) for each in found] for at, found in candidates.items()}
        places = {at: chosen(each) for at, each in standings.items()}
        if any(place is None for place in places.values()):
            continue
        picked[name] = {at: candidates[at][place] for at, place in places.items() if place is not None}
        otherwise[name] = _num_otherwise(rule, candidates, places)
    plain = [place for place in positions if arms[place].kind == "all" and arms[place].selection == LAST]
    none = {at: each for at, found in candidates.items() for each in found if plain and each.arm == plain[0]}
    if len(none) == len(candidates):
        picked = {NONE: none, **picked}
        otherwise[NONE] = None
    if len(picked) < 2:
        return []
    best = {at: each.value for at, each in picked.get(ORACLE, {}).items()}
    sign = 1 if metric.lower_is_better else -1
    found = []
    for name, of_seed in picked.items():
        values = {at: each.value for at, each in of_seed.items()}
        worse = {at: sign * value for at, value in values.items()}, {at: sign * value for at, value in best.items()}
        counts = Counter(each.arm for each in of_seed.values())
        found.append(
            Choice(
                dataset=dataset,
                rule=name,
                label=RULES[name].label if name else NONE_LABEL,
                reads=_reads(name),
                metric=metric.name,
                mean=mean(list(values.values())),
                num_seeds=len(values),
                num_candidates=min(map(len, candidates.values())),
                picks=[Pick(arm, count) for arm, count in counts.most_common()],
                cost=paired(*worse, lower_is_better=True) if best and name != ORACLE else None,
                num_fitted_otherwise=otherwise[name],
            )
        )
    return found


def _stands(rule: EpochRule, row: EpochRecord) -> Standing | None:
    try:
        return rule.stands(row)
    except (TypeError, ValueError):  # a history from elsewhere
        return None


def _num_otherwise(
    rule: EpochRule, candidates: Mapping[Seed, Sequence[_Candidate]], places: Mapping[Seed, int | None]
) -> int | None:
    """In how many seeds the rule chooses another model after class biases were fitted; None where that is not known."""
    if rule.fitted is None:
        return None
    try:
        fitted = {at: chosen([rule.fitted(each.row) for each in found]) for at, found in candidates.items()}
    except (TypeError, ValueError):
        return None
    if any(place is None for place in fitted.values()):
        return None
    return sum(fitted[at] != place for at, place in places.items())


def _reads(name: str) -> str:
    if not name:
        return "nothing"
    rule = RULES[name]
    return (
        "group labels of val"
        if rule.reads_groups
        else "inferred groups of val"
        if rule.reads_inferred
        else "classes of val"
    )


def choice_rows(report: Report) -> list[list[str]]:
    """The rows under COLUMNS, with the metric before the cost."""
    several = len({each.dataset for each in report.choices}) > 1
    found = []
    for each in report.choices:
        unit = next(metric.unit for metric in report.metrics if metric.name == each.metric)
        names = [f"{report.arms[pick.arm].short} ({pick.num_seeds})" for pick in each.picks]
        told = (
            f", a different one in {counted(each.num_fitted_otherwise, 'seed')} after class biases are fitted"
            if each.num_fitted_otherwise
            else ""
        )
        label = f"{each.dataset}: {each.label}" if several else each.label
        cost = difference(each.cost, unit) if each.cost else "–"
        found.append([label, each.reads, listed(names) + told, str(each.num_seeds), amount(each.mean, unit), cost])
    return found


def choice_header(report: Report) -> list[str]:
    name = report.choices[0].metric
    label = next(metric.label for metric in report.metrics if metric.name == name)
    return [*COLUMNS[:4], label, *COLUMNS[4:]]


def choice_note(report: Report) -> str:
    """What the table shows and what it does not show."""
    most = max(each.num_candidates for each in report.choices)
    return (
        f"In each seed a rule chooses one of {most} or more models (arms and epochs) by the validation split alone; a tie goes to the model that removes "
        "fewer samples. Cost: how much worse its choice is than the choice by true groups, mean ± standard error over seeds. A hint, not a claim."
    )
