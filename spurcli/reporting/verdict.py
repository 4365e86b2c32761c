"""The first paragraph of a report: what the numbers say in plain words, and no more than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spurcli.reporting.document import ArmEntry, Comparison, Report, ShownMetric
from spurcli.reporting.levels import levels
from spurcli.reporting.naming import lower_first
from spurcli.reporting.ranking import ranking_words
from spurcli.reporting.sections import section_name
from spurcli.reporting.statistics import Paired
from spurcli.reporting.tables import mean_sd
from spurcli.words import amount, counted, listed, unit_of_difference

_MAX_FRACTIONS = 4
_FEW_SEEDS = 5
# Of how many comparisons without an effect one is two standard errors off: 1 / P(|t| > 2) with pairs − 1 degrees.
_CHANCE = {3: "five", 4: "seven"}
_REFERENCES = {"random": "the random control of equal size", "all": "training on all samples"}
_COSTS = {
    "accuracy": "Accuracy",
    "adjusted_mean_accuracy": "Adjusted mean",  # on Waterbirds, whose test groups are balanced, the cost is here
    "auroc_with_feature": "AUROC among samples with the feature",
}
_OUTCOMES = ("lower", "higher", "not clearly different", "undecided (too few seeds)")


def verdict(report: Report) -> list[str]:
    """What the page says first: on the primary metric, pruned against its controls, and method against method.

    Then a paragraph on each arm of hardest pruned samples. A difference is called one only if it is at least two
    standard errors over three or more paired seeds.
    """
    primary = report.primary
    if primary is None:
        return [_nothing_evaluated(report)]
    compared = _compared(report, primary)
    ranked = ranking_words(report, primary, _metric_words(report, primary))
    if not compared:
        has_ranking = any(entry.best is not None for entry in report.rankings)
        return (
            ranked
            if has_ranking
            else [*ranked, levels(report, primary, _metric_words(report, primary), _split(report))]
        )
    paragraphs = [*_answers(report, compared, primary), *ranked]
    paragraphs += [_about_arm(report, number, primary) for number in compared[:_MAX_FRACTIONS]]
    if len(compared) > _MAX_FRACTIONS:
        paragraphs.append(f"In the tables: {counted(len(compared) - _MAX_FRACTIONS, 'more pruned arm')}.")
    return paragraphs


def reading(report: Report) -> list[str]:
    """How far the verdict carries: sentences on standard errors, seeds and controls."""
    primary = report.primary
    compared = _compared(report, primary) if primary else []
    ranked = [entry for entry in report.rankings if entry.best is not None]
    if not primary or not (compared or ranked):
        return []
    entries = [entry for entry in report.comparisons if entry.arm in compared]
    found = [entry.metrics.get(primary.name) for entry in entries]
    found += [other.difference for entry in ranked for other in entry.others]
    pairs = min(item.num_pairs for item in found if item)
    sentences = [
        "± is a standard deviation after a level, the standard error of differences paired by seed after a difference."
    ]
    if ranked:
        sentences.append("The best of several means is so in part by luck: its level is read with that in mind.")
    if pairs < _FEW_SEEDS:
        chance = _CHANCE.get(pairs)
        sentences.append(
            f"Fewer than {_FEW_SEEDS} paired seeds: a hint, not a result"
            + (f" (without any effect, one comparison in {chance} looks clear)." if chance else ".")
        )
    controlled = {entry.arm for entry in entries if report.arms[entry.reference].kind == "random"}
    if missing := [report.arms[number].short for number in compared if number not in controlled]:
        sentences.append(
            f"No random control of equal size for the hardest {_shares(list(dict.fromkeys(missing)))}: which samples went cannot be told from how many."
        )
    return sentences


def _compared(report: Report, primary: ShownMetric) -> list[int]:
    """The hardest-pruned arms of the first split that have a reference for the primary metric."""
    split = _split(report)
    with_reference = {entry.arm for entry in report.comparisons if primary.name in entry.metrics}
    return [
        number
        for number, arm in enumerate(report.arms)
        if arm.kind == "hardest" and arm.split == split and number in with_reference
    ]


def _split(report: Report) -> str:
    return next((str(arm.split) for arm in report.arms if report.primary_metric in arm.metrics), "")


def _answers(report: Report, compared: Sequence[int], primary: ShownMetric) -> list[str]:
    """In which direction the metric went, against each reference, for which arms; no numbers.

    A paragraph for each rule by which epochs were chosen.
    """
    split = _split(report)
    on_split = "" if split in ("", "test") else f" ({split} split)"
    answers: list[str] = []
    for position, section in enumerate(report.sections):
        words = lower_first(str(primary.label)) if answers else _metric_words(report, primary)
        mine = [number for number in compared if number in section.arms]
        if said := _against_references(report, mine, words):
            name = section_name(report, position)
            answers.append((f"{name.capitalize()}: {lower_first(said)}" if name else said) + f"{on_split}.")
    return answers


def _against_references(report: Report, compared: Sequence[int], words: str) -> str:
    name = report.primary_metric or ""
    sentences: list[str] = []
    for kind, than in _REFERENCES.items():
        outcomes: dict[str, list[str]] = {}
        for entry in report.comparisons:
            found = entry.metrics.get(name)
            if entry.arm in compared and found and report.arms[entry.reference].kind == kind:
                outcomes.setdefault(_outcome(found), []).append(report.arms[entry.arm].short)
        said = [
            f"{outcome} with the hardest {_shares(outcomes[outcome])} removed"
            for outcome in _OUTCOMES
            if outcome in outcomes
        ]
        if said:
            sentences.append(f"Against {than}, {'it' if sentences else words} is {'; '.join(said)}")
    return ". ".join(sentences)


def _outcome(entry: Paired) -> str:
    if entry.clear:
        return "lower" if entry.mean < 0 else "higher"
    return "not clearly different" if entry.num_pairs >= 3 else "undecided (too few seeds)"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _shares(names: Sequence[str]) -> str:
    """ "hardest 10 %" and "hardest 20 %" as "10 % and 20 %"."""
    return _listed([name.removeprefix("hardest ").replace(" removed", "") for name in names])


def _about_arm(report: Report, number: int, primary: ShownMetric) -> str:
    """The level of one arm, its differences from its references, and what it cost."""
    arm = report.arms[number]
    entries = [entry for entry in report.comparisons if entry.arm == number]
    parts = [_against(entry.metrics.get(primary.name), report.arms[entry.reference], primary) for entry in entries]
    sentences = [f"{arm.label}: {mean_sd(arm.metrics[primary.name], primary.unit)}; {'; '.join(filter(None, parts))}."]
    metrics = {metric.name: metric for metric in report.metrics}
    costs = _costs(entries, report.arms, metrics, primary.name)
    return " ".join([*sentences, costs] if costs else sentences)


def _metric_words(report: Report, primary: ShownMetric) -> str:
    name = primary.name
    facts: Mapping[str, str] = next((arm.facts[name] for arm in report.arms if arm.facts.get(name)), {})
    words = lower_first(str(primary.label))
    if "true" in facts and "predicted" in facts:
        # The other way round is only asked where nobody knows which samples carry the feature.
        is_unknown = any(metric.name == f"{name}_reverse" for metric in report.metrics)
        with_feature = "" if is_unknown else " with the feature,"
        words = f"spurious misclassification ({facts['true']}{with_feature} taken for {facts['predicted']})"
    return words


def _against(entry: Paired | None, reference: ArmEntry, metric: ShownMetric) -> str:
    if entry is None:
        return ""
    than = _REFERENCES[reference.kind]
    if entry.se is None or entry.num_pairs < 3:
        seeds = "one seed" if entry.num_pairs == 1 else f"{entry.num_pairs} seeds"
        return f"{_points(entry, metric)} against {than} ({seeds})"
    pairs = f"{entry.num_better} of {entry.num_pairs} seeds better"
    size = f"{amount(abs(entry.mean), metric.unit, bare=True)} ± {_se(entry, metric)}"
    if not entry.clear:
        return f"no clear difference from {than} ({_points(entry, metric)}, {pairs})"
    way = "lower" if entry.mean < 0 else "higher"
    return f"{size}{_unit(metric)} {way} than {than} ({pairs})"


def _costs(
    entries: Sequence[Comparison], arms: Sequence[ArmEntry], metrics: Mapping[str, ShownMetric], primary: str
) -> str:
    """What else moved against each reference: accuracy, raw and by training proportions, and the threshold-free twin."""
    said = []
    for name, words in _COSTS.items():
        if name == primary or name not in metrics:
            continue
        metric, parts = metrics[name], []
        for entry in entries:
            found = entry.metrics.get(name)
            if found is None or found.se is None or found.num_pairs < 3:
                continue
            mark = "" if found.clear else ", not clear"
            than = "the random control" if arms[entry.reference].kind == "random" else "all samples"
            parts.append(f"{_points(found, metric)} against {than}{mark}")
        if parts:
            feature = arms[entries[0].arm].facts.get(name, {}).get("feature", "the feature")
            said.append(f"{words.replace('the feature', feature)}: {'; '.join(parts)}.")
    return " ".join(said)


def _nothing_evaluated(report: Report) -> str:
    if any(run.metrics for run in report.runs):
        names = listed([metric.label for metric in report.metrics])
        return f"No metric has a value in any evaluation: {names}."
    there = []
    if report.arms:
        there.append("training histories")
    if report.scores:
        there.append("difficulty scores")
    if report.lists:
        there.append("lists of what pruning keeps")
    shown = " and ".join(there) or "artefacts"
    return f"Nothing has been evaluated yet: this page shows {shown}. Add a result with: spurcli evaluate"


def _points(entry: Paired, metric: ShownMetric) -> str:
    shown = amount(entry.mean, metric.unit, signed=True, bare=True)
    return shown + (f" ± {_se(entry, metric)}" if entry.se is not None else "") + _unit(metric)


def _se(entry: Paired, metric: ShownMetric) -> str:
    return amount(entry.se, metric.unit, bare=True)


def _unit(metric: ShownMetric) -> str:
    return unit_of_difference(str(metric.unit))
