"""The text if nothing can be compared by seed: the level of each arm, and for two single runs their difference."""

from __future__ import annotations

from collections.abc import Sequence

from spurcli.reporting import sentences
from spurcli.reporting.document import ArmEntry, Level, Report, ShownMetric
from spurcli.reporting.labels import WORST
from spurcli.reporting.naming import NO_SPLIT, grouping_words
from spurcli.reporting.parts import worst_words
from spurcli.reporting.tables import interval_text, mean_sd
from spurcli.reporting.values import Table
from spurcli.words import amount, counted, listed, unit_of_difference

_MAX_LEVELS = 5


def levels(report: Report, primary: ShownMetric, words: str, split: str) -> list[str]:
    """A paragraph for each way of making groups: levels on `split`, the difference if there is one, and the arms that are
    not included."""
    name = primary.name
    evaluated = [arm for arm in report.arms if arm.metrics]
    mine = [arm for arm in evaluated if arm.split == split]
    groupings = list(dict.fromkeys(arm.grouping for arm in mine if name in arm.metrics))
    paragraphs = []
    for grouping in groupings:
        arms = [arm for arm in mine if arm.grouping == grouping and name in arm.metrics]
        by = grouping_words(grouping) if len(groupings) > 1 else ""
        paragraphs.append(" ".join(_of_grouping(report, arms, primary, words, split, by)))
    rest = []
    if without := [arm.label for arm in mine if name not in arm.metrics]:
        rest.append(sentences.WITHOUT_METRIC.format(arms=listed(without)))
    if elsewhere := list(dict.fromkeys(arm.split for arm in evaluated if arm.split != split)):
        rest.append(sentences.OTHER_SPLITS.format(splits=listed(elsewhere)))
    return [*paragraphs[:-1], " ".join([*paragraphs[-1:], *rest])]


def _of_grouping(
    report: Report, mine: Sequence[ArmEntry], primary: ShownMetric, words: str, split: str, by: str
) -> list[str]:
    name = primary.name
    said = [
        sentences.LEVEL.format(
            level=mean_sd(arm.metrics[name], primary.unit),
            arm=arm.label.replace(f" · {by}", "") if by else arm.label,
            runs=_runs(arm.metrics[name]),
            worst=worst_part(arm, name, "; {}"),
        )
        for arm in mine[:_MAX_LEVELS]
    ]
    said += [counted(len(mine) - _MAX_LEVELS, "more arm") + " below"] if len(mine) > _MAX_LEVELS else []
    on_split = sentences.ON_SPLIT.format(split=split) if split not in ("", NO_SPLIT) else ""
    start = f"{by}, {words}" if by else words
    metric = f"{start[0].upper()}{start[1:]}"
    paragraph = [sentences.LEVELS.format(metric=metric, split=on_split, levels="; ".join(said))]
    if len(mine) == 2 and all(arm.metrics[name].num_seeds == 1 for arm in mine):
        paragraph += _two_runs(report, mine, primary)
    elif len(mine) > 1:
        paragraph.append(sentences.NO_PAIRS)
    return paragraph


def worst_part(arm: ArmEntry, metric: str, shape: str = " ({})") -> str:
    """ " (worst group: pneumonia/south, n = 57)" after the level of worst-group accuracy; "" after others."""
    words = worst_words(arm) if metric == WORST else ""
    return shape.format(sentences.WORST.format(group=words)) if words else ""


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
