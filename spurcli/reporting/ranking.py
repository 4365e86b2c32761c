"""Which method is best, and which methods are not statistically distinguishable from it, judged only over seeds."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from spurcli.artifacts.envelope import canonical_json
from spurcli.reporting import sentences
from spurcli.reporting.arms import Arm, dataset_name
from spurcli.reporting.claims import best_of
from spurcli.reporting.document import Ranking, Report, Section, ShownMetric, Standing
from spurcli.reporting.levels import worst_part
from spurcli.reporting.sections import section_name
from spurcli.reporting.statistics import Paired
from spurcli.reporting.tables import by_seed, difference, mean_sd, paired_arms
from spurcli.words import counted

MIN_SEEDS_RANKED = 3
_MAX_NAMED = 8


def rankings(arms: Sequence[Arm], sections: Sequence[Section], metric: ShownMetric | None) -> list[Ranking]:
    """For each section of the first split, and each data set in it: the best arm, and the others against it by seed.

    Ranked are methods, ERM on all samples and what pruning by difficulty makes of it, if a method beside ERM is among
    them; controls are not. Differences are arm − best, the others are ordered best first. An arm is behind by
    Holm's adjustment over all pairs of all rankings: over pairs with the best alone it would be luck.
    """
    found: list[Ranking] = []
    pairs: dict[tuple[str, str], Paired | None] = {}
    for number, section in enumerate(sections):
        if metric is None or metric.lower_is_better is None or section.split != sections[0].split:
            continue
        candidates: dict[str, list[int]] = {}
        for position in section.arms:
            arm = arms[position]
            if arm.is_known and arm.kind in ("all", "hardest", "other") and by_seed(arm, metric.name):
                candidates.setdefault(canonical_json(arm.base), []).append(position)
        for positions in candidates.values():
            if len(positions) > 1 and any(arms[position].method not in ("", "erm") for position in positions):
                found.append(_ranking(arms, positions, metric, number))
                for one, other in itertools.combinations(sorted(positions), 2):
                    pairs[str(one), str(other)] = paired_arms(arms[one], arms[other], metric)
    adjusted = best_of(pairs)
    return [_with_p_values(ranking, adjusted) for ranking in found]


def _with_p_values(ranking: Ranking, adjusted: Mapping[tuple[str, str], float]) -> Ranking:
    others = []
    for other in ranking.others:
        assert ranking.best is not None
        one, two = sorted((other.arm, ranking.best))
        others.append(replace(other, p_adjusted=adjusted[str(one), str(two)]))
    return replace(ranking, others=others)


def _ranking(arms: Sequence[Arm], positions: Sequence[int], metric: ShownMetric, section: int) -> Ranking:
    sign = -1 if metric.lower_is_better else 1
    values = {position: by_seed(arms[position], metric.name) for position in positions}
    means = {position: sign * sum(found.values()) / len(found) for position, found in values.items()}
    seeds = {position: sum(at[0] is not None for at in found) for position, found in values.items()}
    ordered = sorted(positions, key=lambda position: -means[position])
    enough = [position for position in ordered if seeds[position] >= MIN_SEEDS_RANKED]
    dataset, num_seeds = dataset_name(arms[positions[0]].base), max(seeds.values())
    if len(enough) < 2:
        return Ranking(section, dataset, num_seeds, None, ())
    others = []
    for position in ordered:
        if position != enough[0]:
            pairs = paired_arms(arms[position], arms[enough[0]], metric)
            others.append(Standing(position, pairs if pairs and pairs.num_pairs >= MIN_SEEDS_RANKED else None))
    return Ranking(section, dataset, num_seeds, enough[0], others)


def ranking_words(report: Report, metric: ShownMetric, words: str) -> list[str]:
    """A few sentences for each ranking; `words` name the metric. If nothing can be ranked, that, once."""
    ranked = [entry for entry in report.rankings if entry.best is not None]
    if report.rankings and not ranked:
        most = max(entry.num_seeds for entry in report.rankings)
        too_few = sentences.TOO_FEW.get(most, sentences.TOO_FEW_OF_MOST)
        return [sentences.CANNOT_RANK.format(seeds=too_few)]
    several = len({entry.dataset for entry in ranked}) > 1
    paragraphs = []
    for number, entry in enumerate(ranked):
        about = [entry.dataset if several else "", section_name(report, entry.section), "" if number else words]
        start = ", ".join(filter(None, about)) or words
        paragraphs.append(f"{start[0].upper()}{start[1:]}: {_ranked(report, entry, metric)}")
    return paragraphs


def _ranked(report: Report, entry: Ranking, metric: ShownMetric) -> str:
    assert entry.best is not None
    best = report.arms[entry.best]
    level, way = best.metrics[metric.name], "lowest" if metric.lower_is_better else "highest"
    mean = mean_sd(level, metric.unit) + worst_part(best, metric.name)
    said = [sentences.BEST.format(arm=best.short, way=way, level=mean, seeds=level.num_seeds)]
    pairs = {other.difference.num_pairs for other in entry.others if other.difference}
    near: list[str] = []
    far: list[str] = []
    hinted: list[str] = []
    unknown: list[str] = []
    for other in entry.others:
        name, found = report.arms[other.arm].short, other.difference
        if found is None:
            unknown.append(name)
        else:
            seeds = f", {counted(found.num_pairs, 'seed')}" if len(pairs) > 1 else ""
            told = f"{name} ({difference(found, metric.unit)}{seeds})"
            is_apart = other.p_adjusted is not None and other.p_adjusted <= report.level
            (far if is_apart else hinted if found.clear else near).append(told)
    for template, names in (
        (sentences.FAR, far),
        (sentences.FAR_HINT, hinted),
        (sentences.NEAR, near),
        (sentences.NOT_PLACED, unknown),
    ):
        if names:
            said.append(template.format(arms=_listed(names)))
    return " ".join(said)


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return "; ".join(names[:_MAX_NAMED]) + more
