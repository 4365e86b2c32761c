"""The first paragraph of a report: the results in plain words, without overstatement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spurcli.reporting import sentences
from spurcli.reporting.claims import ADVISED_COMPARISONS, MIN_SEEDS
from spurcli.reporting.document import ArmEntry, Comparison, Report, ShownMetric
from spurcli.reporting.levels import levels, worst_part
from spurcli.reporting.naming import NO_SPLIT, lower_first
from spurcli.reporting.outcomes import number_of_comparisons, reliance_words, shares_of
from spurcli.reporting.ranking import ranking_words
from spurcli.reporting.sections import section_name
from spurcli.reporting.statistics import Paired
from spurcli.reporting.tables import mean_sd
from spurcli.words import amount, counted, listed, unit_of_difference

_MAX_FRACTIONS = 4


def verdict(report: Report) -> list[str]:
    """What the page says first: whether pruning made the model lean less, in a sentence on each kind of outcome.

    Then the primary metric against the controls, method against method, and a paragraph on each arm of hardest pruned
    samples. What is claimed and what is a hint is decided in `claims`, and marked.
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
            else [*ranked, *levels(report, primary, _metric_words(report, primary), _split(report))]
        )
    paragraphs = [*reliance_words(report), *_answers(report, compared, primary), *ranked]
    paragraphs += [_about_arm(report, number, primary) for number in compared[:_MAX_FRACTIONS]]
    if len(compared) > _MAX_FRACTIONS:
        more = counted(len(compared) - _MAX_FRACTIONS, "more pruned arm")
        paragraphs.append(sentences.MORE_ARMS.format(more=more))
    return paragraphs


def reading(report: Report) -> list[str]:
    """How far the verdict carries: sentences on standard errors, claims, seeds and controls."""
    primary = report.primary
    compared = _compared(report, primary) if primary else []
    ranked = [entry for entry in report.rankings if entry.best is not None]
    if not primary or not (compared or ranked):
        return []
    entries = [entry for entry in report.comparisons if entry.arm in compared]
    found = [entry.metrics.get(primary.name) for entry in entries]
    found += [other.difference for entry in ranked for other in entry.others]
    said = [sentences.PLUS_MINUS]
    families = [sentences.PRIMARY_FAMILY.format(count=number_of_comparisons(report))] if report.claims else []
    families += [sentences.PAIR_FAMILY] if ranked else []
    level = f"{report.level:g}".lstrip("0")
    said.append(sentences.FAMILY.format(seeds=MIN_SEEDS, level=level, families=" and over ".join(families)))
    if len(report.claims) > ADVISED_COMPARISONS:
        said.append(sentences.MANY.format(count=number_of_comparisons(report)))
    if ranked:
        said.append(sentences.LUCK)
    if min((item.num_pairs for item in found if item), default=MIN_SEEDS) < MIN_SEEDS:
        said.append(sentences.HINT.format(seeds=MIN_SEEDS))
    controlled = {entry.arm for entry in entries if report.arms[entry.reference].kind == "random"}
    if missing := [report.arms[number].short for number in compared if number not in controlled]:
        said.append(sentences.NO_CONTROL.format(shares=shares_of(list(dict.fromkeys(missing)))))
    return said


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
    on_split = "" if split in ("", "test", NO_SPLIT) else f" ({split} split)"
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
    claimed = {
        (claim.arm, claim.reference) for claim in report.claims if claim.is_claim and tuple(claim.measures) == (name,)
    }
    clauses: list[str] = []
    for kind, than in sentences.REFERENCES.items():
        outcomes: dict[str, list[str]] = {}
        for entry in report.comparisons:
            found = entry.metrics.get(name)
            if entry.arm in compared and found and report.arms[entry.reference].kind == kind:
                outcome = _outcome(found, is_claim=(entry.arm, entry.reference) in claimed)
                outcomes.setdefault(outcome, []).append(report.arms[entry.arm].short)
        said = [
            sentences.OUTCOME.format(outcome=outcome, shares=shares_of(outcomes[outcome]))
            for outcome in sentences.OUTCOMES
            if outcome in outcomes
        ]
        if said:
            metric = "it" if clauses else words
            clauses.append(sentences.AGAINST.format(reference=than, metric=metric, outcomes="; ".join(said)))
    return ". ".join(clauses)


def _outcome(entry: Paired, *, is_claim: bool) -> str:
    if is_claim:
        return _way(entry)
    if entry.clear:
        return sentences.HINTS[_way(entry)]
    return sentences.NOT_CLEAR if entry.num_pairs >= 3 else sentences.UNDECIDED


def _way(entry: Paired) -> str:
    return sentences.LOWER if entry.mean < 0 else sentences.HIGHER


def _about_arm(report: Report, number: int, primary: ShownMetric) -> str:
    """The level of one arm, its differences from its references, and what it cost."""
    arm = report.arms[number]
    entries = [entry for entry in report.comparisons if entry.arm == number]
    parts = [_against(entry.metrics.get(primary.name), report.arms[entry.reference], primary) for entry in entries]
    level = mean_sd(arm.metrics[primary.name], primary.unit) + worst_part(arm, primary.name)
    said = sentences.ARM.format(arm=arm.label, level=level, differences="; ".join(filter(None, parts)))
    metrics = {metric.name: metric for metric in report.metrics}
    costs = _costs(entries, report.arms, metrics, primary.name)
    return f"{said} {costs}".rstrip()


def _metric_words(report: Report, primary: ShownMetric) -> str:
    name = primary.name
    facts: Mapping[str, str] = next((arm.facts[name] for arm in report.arms if arm.facts.get(name)), {})
    words = lower_first(str(primary.label))
    if "true" in facts and "predicted" in facts:
        # The other way round is only asked where nobody knows which samples carry the feature.
        is_unknown = any(metric.name == f"{name}_reverse" for metric in report.metrics)
        template = sentences.CONFUSED if is_unknown else sentences.MISCLASSIFIED
        words = template.format(true=facts["true"], predicted=facts["predicted"])
    return words


def _against(entry: Paired | None, reference: ArmEntry, metric: ShownMetric) -> str:
    if entry is None:
        return ""
    than = sentences.REFERENCES[reference.kind]
    if entry.se is None or entry.num_pairs < 3:
        seeds = "one seed" if entry.num_pairs == 1 else counted(entry.num_pairs, "seed")
        return sentences.FEW_SEEDS.format(difference=_points(entry, metric), reference=than, seeds=seeds)
    pairs = sentences.PAIRS.format(better=entry.num_better, pairs=entry.num_pairs)
    if not entry.clear:
        difference = _points(entry, metric)
        return sentences.NO_CLEAR_DIFFERENCE.format(reference=than, difference=difference, pairs=pairs)
    size = f"{amount(abs(entry.mean), metric.unit, bare=True)} ± {_se(entry, metric)}{_unit(metric)}"
    return sentences.CLEAR_DIFFERENCE.format(size=size, way=_way(entry), reference=than, pairs=pairs)


def _costs(
    entries: Sequence[Comparison], arms: Sequence[ArmEntry], metrics: Mapping[str, ShownMetric], primary: str
) -> str:
    """What else moved against each reference: reliance, the core, accuracy, raw and by training proportions."""
    said = []
    for name, words in sentences.COSTS.items():
        if name == primary or name not in metrics:
            continue
        metric, parts = metrics[name], []
        for entry in entries:
            found = entry.metrics.get(name)
            if found is None or found.se is None or found.num_pairs < 3:
                continue
            than = sentences.SHORT_REFERENCES[arms[entry.reference].kind]
            mark, difference = "" if found.clear else sentences.UNCLEAR, _points(found, metric)
            parts.append(sentences.COST_DIFFERENCE.format(difference=difference, reference=than, unclear=mark))
        if parts:
            feature = arms[entries[0].arm].facts.get(name, {}).get("feature", "the feature")
            said.append(sentences.COST.format(metric=words.format(feature=feature), differences="; ".join(parts)))
    return " ".join(said)


def _nothing_evaluated(report: Report) -> str:
    if any(run.metrics for run in report.runs):
        names = listed([metric.label for metric in report.metrics])
        return sentences.NO_VALUE.format(metrics=names)
    there = []
    if report.arms:
        there.append("training histories")
    if report.scores:
        there.append("difficulty scores")
    if report.lists:
        there.append("lists of what pruning keeps")
    shown = " and ".join(there) or "artefacts"
    return sentences.NOTHING.format(shown=shown)


def _points(entry: Paired, metric: ShownMetric) -> str:
    shown = amount(entry.mean, metric.unit, signed=True, bare=True)
    return shown + (f" ± {_se(entry, metric)}" if entry.se is not None else "") + _unit(metric)


def _se(entry: Paired, metric: ShownMetric) -> str:
    return amount(entry.se, metric.unit, bare=True)


def _unit(metric: ShownMetric) -> str:
    return unit_of_difference(str(metric.unit))
