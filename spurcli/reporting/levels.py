"""What is said where nothing can be compared by seed: the level of each arm, and of two single runs how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting.document import ArmEntry, Level, Report, ShownMetric
from spurcli.reporting.tables import interval_text, mean_sd
from spurcli.reporting.values import Table
from spurcli.words import amount, counted, listed, unit_of_difference

_MAX_LEVELS = 5
_FEW = 3  # seeds


def levels(report: Report, primary: ShownMetric, words: str, split: str) -> str:
    """One paragraph: levels on `split`, what can be said of a difference, and which arms it does not speak of."""
    name = primary.name
    evaluated = [arm for arm in report.arms if arm.metrics]
    mine = [arm for arm in evaluated if name in arm.metrics and arm.split == split]
    said = [
        f"{mean_sd(arm.metrics[name], primary.unit)} for {arm.label} ({_runs(arm.metrics[name])})"
        for arm in mine[:_MAX_LEVELS]
    ]
    more = f"; {counted(len(mine) - _MAX_LEVELS, 'more arm')} below" if len(mine) > _MAX_LEVELS else ""
    on_split = f" on the {split} split" if split else ""
    sentences = [f"{words[0].upper()}{words[1:]}{on_split}: {'; '.join(said)}{more}."]
    if len(mine) == 2 and all(arm.metrics[name].num_seeds == 1 for arm in mine):
        sentences += _two_runs(report, mine, primary)
    elif len(mine) > 1:
        sentences.append("No arms here can be paired by seed against a control, so no difference is claimed.")
    without = [arm.label for arm in evaluated if arm.split == split and name not in arm.metrics]
    if without:
        sentences.append(f"Without this metric, so only in the table: {listed(without)}.")
    elsewhere = list(dict.fromkeys(arm.split for arm in evaluated if arm.split != split))
    if elsewhere:
        sentences.append(f"Only in the table: what was evaluated on other splits ({listed(elsewhere)}).")
    return " ".join(sentences)


def _runs(entry: Level) -> str:
    return counted(entry.num_seeds, "seed") if entry.num_seeds > 1 else "one run"


def _two_runs(report: Report, pair: Sequence[ArmEntry], metric: ShownMetric) -> list[str]:
    """What two runs say without seeds: how far they are apart, whether test samples explain it, and what is not known."""
    fingerprints = [run.fingerprint for arm in pair for run in report.runs if report.arms[run.arm] is arm]
    if not _one_set_of_samples(fingerprints):
        return ["The two were evaluated on different samples, so their difference is not one of the models."]
    high, low = sorted((arm.metrics[metric.name] for arm in pair), key=lambda entry: -entry.mean)
    first = pair[0] if pair[0].metrics[metric.name] is high else pair[1]
    apart = high.mean - low.mean
    unit = unit_of_difference(metric.unit)
    sentences = (
        [f"It is {amount(apart, metric.unit, bare=True)}{unit} higher for {first.label}."]
        if apart
        else ["Both are equal."]
    )
    if apart and high.interval and low.interval:
        intervals = f"{interval_text(high, metric.unit)} and {interval_text(low, metric.unit)}"
        sentences.append(
            f"Their 95 % intervals over test samples overlap ({intervals}): other test samples could turn it round."
            if high.interval[0] <= low.interval[1]
            else f"Their 95 % intervals over test samples do not overlap ({intervals}): these two models differ."
        )
    sentences.append(
        f"How far other seeds would move it cannot be told from one run each: compare {_FEW} seeds or more of both."
    )
    return sentences


def _one_set_of_samples(fingerprints: Sequence[Table]) -> bool:
    """Whether the fingerprints do not contradict each other; a missing value contradicts none."""
    keys = {key for found in fingerprints for key in found}
    return all(len({found[key] for found in fingerprints if found.get(key)}) <= 1 for key in keys)
