"""The text if nothing can be compared by seed: the level of each arm, and for two single runs their difference."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting import sentences
from spurcli.reporting.document import ArmEntry, Level, Report, ShownMetric
from spurcli.reporting.tables import interval_text, mean_sd
from spurcli.reporting.values import Table
from spurcli.words import amount, counted, listed, unit_of_difference

_MAX_LEVELS = 5


def levels(report: Report, primary: ShownMetric, words: str, split: str) -> str:
    """One paragraph: levels on `split`, the difference if there is one, and the arms that are not included."""
    name = primary.name
    evaluated = [arm for arm in report.arms if arm.metrics]
    mine = [arm for arm in evaluated if name in arm.metrics and arm.split == split]
    said = [
        sentences.LEVEL.format(
            level=mean_sd(arm.metrics[name], primary.unit), arm=arm.label, runs=_runs(arm.metrics[name])
        )
        for arm in mine[:_MAX_LEVELS]
    ]
    said += [counted(len(mine) - _MAX_LEVELS, "more arm") + " below"] if len(mine) > _MAX_LEVELS else []
    on_split = sentences.ON_SPLIT.format(split=split) if split else ""
    metric = f"{words[0].upper()}{words[1:]}"
    paragraph = [sentences.LEVELS.format(metric=metric, split=on_split, levels="; ".join(said))]
    if len(mine) == 2 and all(arm.metrics[name].num_seeds == 1 for arm in mine):
        paragraph += _two_runs(report, mine, primary)
    elif len(mine) > 1:
        paragraph.append(sentences.NO_PAIRS)
    without = [arm.label for arm in evaluated if arm.split == split and name not in arm.metrics]
    if without:
        paragraph.append(sentences.WITHOUT_METRIC.format(arms=listed(without)))
    elsewhere = list(dict.fromkeys(arm.split for arm in evaluated if arm.split != split))
    if elsewhere:
        paragraph.append(sentences.OTHER_SPLITS.format(splits=listed(elsewhere)))
    return " ".join(paragraph)


def _runs(entry: Level) -> str:
    return counted(entry.num_seeds, "seed") if entry.num_seeds > 1 else "one run"


def _two_runs(report: Report, pair: Sequence[ArmEntry], metric: ShownMetric) -> list[str]:
    """The comparison of two runs without seeds: their difference, whether test samples explain it, and what is not known."""
    fingerprints = [run.fingerprint for arm in pair for run in report.runs if report.arms[run.arm] is arm]
    if not _one_set_of_samples(fingerprints):
        return [sentences.OTHER_SAMPLES]
    high, low = sorted((arm.metrics[metric.name] for arm in pair), key=lambda entry: -entry.mean)
    first = pair[0] if pair[0].metrics[metric.name] is high else pair[1]
    apart = high.mean - low.mean
    size = amount(apart, metric.unit, bare=True) + unit_of_difference(metric.unit)
    said = [sentences.APART.format(difference=size, arm=first.label) if apart else sentences.EQUAL]
    if apart and high.interval and low.interval:
        intervals = f"{interval_text(high, metric.unit)} and {interval_text(low, metric.unit)}"
        template = sentences.OVERLAP if high.interval[0] <= low.interval[1] else sentences.NO_OVERLAP
        said.append(template.format(intervals=intervals))
    return [*said, sentences.ONE_RUN_EACH]


def _one_set_of_samples(fingerprints: Sequence[Table]) -> bool:
    """Whether the fingerprints do not contradict each other; a missing value contradicts none."""
    keys = {key for found in fingerprints for key in found}
    return all(len({found[key] for found in fingerprints if found.get(key)}) <= 1 for key in keys)
