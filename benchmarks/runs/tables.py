"""Markdown tables of the results that collect.py collected: levels, differences paired by seed, and claims (docs/measures.md).

    python benchmarks/runs/tables.py [PAGE …] [--results benchmarks/runs/results] [--split test]

The primary comparisons of each page were named here before the runs; the claims of a page are adjusted only for these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spurcli.reporting.claims import CORE, RELIANCE, Comparison, Outcome, gate_of, outcomes_of
from spurcli.reporting.statistics import Paired, mean, paired, sd, t_interval

# Metric, how it is called, what it is multiplied by, decimals.
_SHOWN = (
    ("spurious_misclassification", "SM", 100, 1),
    ("worst_group_accuracy", "worst group", 100, 1),
    ("conflict_accuracy", "conflict", 100, 1),
    ("background_auroc", "background AUROC", 1, 3),
    ("probit_gap", "probit gap", 1, 2),
    ("feature_effect", "feature effect", 1, 3),
    ("spurious_misclassification_matched", "SM matched", 100, 1),
    ("conflict_accuracy_matched", "conflict matched", 100, 1),
    ("accuracy", "accuracy", 100, 1),
    ("adjusted_mean_accuracy", "adjusted mean", 100, 1),
)
_LOWER = {"spurious_misclassification", "spurious_misclassification_matched", *RELIANCE}


@dataclass(frozen=True)
class Page:
    """One question: the arms that are shown, the primary comparisons, and the metric that users feel."""

    set: str
    arms: Mapping[str, str]
    primary: Sequence[tuple[str, str]]
    symptom: str
    shown: Sequence[str]
    erm: str = "all"
    file: str = ""  # of results, where it is not that of the set: runs on another machine, with an ERM of their own


_INJECTED = ("spurious_misclassification", CORE, *RELIANCE, "spurious_misclassification_matched", "accuracy")
_NO_VAL = tuple(name for name in _INJECTED if not name.endswith("_matched"))
_NATURAL = ("conflict_accuracy", CORE, *RELIANCE, "conflict_accuracy_matched", "accuracy", "adjusted_mean_accuracy")
_REFERENCES = {"oracle": "no carrier in training", "clean": "no feature in training"}

_METHODS = {
    "group_dro": "group DRO",
    **{name: name.upper() for name in ("subg", "suby", "rwg", "rwy", "dfr", "jtt")},
    "cnc": "CnC",
    "pde": "PDE",
}
# Arms of audit.py.
_AUDITED = {
    "all": "ERM",
    "audit": "without what the audit says to cut",
    "audit-random": "as many of its carriers at random",
    "audit-all": "without all carriers that it found",
    "audit-all-random": "as many of their class at random",
    "audit-groups": "hardest 25 % of the groups that the suspect aligns",
    "audit-groups-random": "random 25 % of these",
    "oracle": _REFERENCES["oracle"],
}
_BY_AUDIT = (("audit", "audit-random"), ("audit", "all"), ("audit-all", "audit-all-random"), ("audit-all", "all"))
# Where nothing is confirmed, its first suspect is cut.
_FIRST = {name.replace("audit", "audit-first"): _AUDITED[name] for name in _AUDITED if name != "oracle"}
_FELT = (
    ("sky", "worst_group_accuracy", "sky-audit"),
    ("waterbirds-frozen", "worst_group_accuracy", ""),
    ("celeba-frozen", "conflict_accuracy", ""),
)
_BY_FIRST = [(arm.replace("audit", "audit-first"), other.replace("audit", "audit-first")) for arm, other in _BY_AUDIT]

# Arms of ticks.py, and those of the same rule with the true groups.
_TICKED = {
    "all": "ERM",
    "ticks": "the rule with groups from ticks",
    "ticks-random": "random, same counts of these groups",
    "ticks-frozen": "the rule with groups from the same ticks and frozen embeddings",
    "ticks-frozen-random": "random, same counts of these groups",
}
_BY_TICKS = (("ticks", "ticks-random"), ("ticks-frozen", "ticks-frozen-random"))
_BALANCED = {"balanced": "the rule with the true groups", "balanced-random": "random, same counts of these"}
_HALVES = {"group-0.5": "the rule with the true groups", "group-0.5-random": "random, same counts of these"}
_CARRIERS = {"carriers-0.25": "the rule with the true groups", "carriers-random-0.25": "random, same counts of these"}
_BY_EARLY = (("early", "early-random"), ("early-balanced", "early-balanced-random"))
_EARLY = {
    "all": "ERM",
    "early": "hardest half of the samples that Sebra finds early",
    "early-random": "a random half of these",
    "early-balanced": "the hardest half, classes balanced",
    "early-balanced-random": "random, same counts",
}


def _pairs(*arms: tuple[str, str]) -> list[tuple[str, str]]:
    return [(arm, other) for arm, control in arms for other in (control, "all")]


PAGES = {
    "digits": Page(
        "digits",
        {
            "all": "ERM, all samples",
            "hardest": "hardest 30 % of each class removed",
            "random": "random 30 %, same counts",
            "easiest": "easiest 30 %",
            "carriers": "hardest 25 % of the carriers",
            "carriers-random": "random 25 % of the carriers",
            **_REFERENCES,
        },
        _pairs(("hardest", "random"), ("carriers", "carriers-random")),
        "spurious_misclassification",
        _INJECTED,
    ),
    "cifar10s-weak": Page(
        "cifar10s-weak",
        {
            "all": "ERM",
            "hardest": "hardest 20 % of each class",
            "random": "random 20 %, same counts",
            **_REFERENCES,
        },
        _pairs(("hardest", "random")),
        "spurious_misclassification",
        _NO_VAL,
    ),
    "cifar10s-strong": Page(
        "cifar10s-strong",
        {
            "all": "ERM",
            "group": "hardest 20 % of the aligned groups",
            "group-random": "random 20 % of these",
            "hardest": "hardest 20 % of each class",
            "random": "random 20 %, same counts",
            **_REFERENCES,
        },
        _pairs(("group", "group-random"), ("hardest", "random")),
        "spurious_misclassification",
        _NO_VAL,
    ),
    "cifar10s-strong-marks": Page(
        "cifar10s-strong",
        {
            "all": "ERM",
            "marks-all": "all carriers that the audit found",
            "marks-all-random": "as many airplanes at random",
        },
        _pairs(("marks-all", "marks-all-random")),
        "spurious_misclassification",
        _NO_VAL,
    ),
    "cifar10s-weak-marks": Page(
        "cifar10s-weak",
        {
            "all": "ERM",
            "marks-all": "all carriers that the audit found",
            "marks-all-random": "as many airplanes at random",
            "hardest": "the paper's rule: hardest 20 % of each class",
            "random": "random 20 %, same counts",
            **_REFERENCES,
        },
        _pairs(("marks-all", "marks-all-random")),
        "spurious_misclassification",
        _NO_VAL,
    ),
    "cifar10s-carriers": Page(
        "cifar10s-carriers",
        {
            "hardest": "the 100 hardest airplanes",
            "easiest": "the 100 easiest airplanes",
            "none": "none",
        },
        [("hardest", "easiest"), ("hardest", "none"), ("easiest", "none")],
        "spurious_misclassification",
        _NO_VAL,
        erm="hardest",
    ),
    "cifar10s-carriers-epochs": Page(
        "cifar10s-carriers",
        {
            f"{which}{epoch}": f"{'no line' if which == 'none' else f'the 100 {which}'}{epoch.replace('-', ', ').replace('epoch', 'epoch ')}"
            for which in ("hardest", "easiest", "none")
            for epoch in (*(f"-epoch{number}" for number in range(1, 6)), "")
        },
        (),
        "spurious_misclassification",
        ("spurious_misclassification", CORE, *RELIANCE),
        erm="hardest",
    ),
    "celeba-fractions": Page(
        "celeba",
        {
            "all": "ERM",
            **{
                f"{kind}{fraction}": f"{word} {100 * float(fraction):g} %{of}"
                for fraction in ("0.1", "0.25", "0.5")
                for kind, word, of in (
                    ("hardest-", "hardest", " of each class"),
                    ("random-", "random", ", same counts"),
                    ("carriers-", "hardest", " of the men with glasses"),
                    ("carriers-random-", "random", " of these"),
                )
            },
        },
        _pairs(
            *((f"hardest-{fraction}", f"random-{fraction}") for fraction in ("0.1", "0.25", "0.5")),
            *((f"carriers-{fraction}", f"carriers-random-{fraction}") for fraction in ("0.1", "0.25", "0.5")),
        ),
        "conflict_accuracy",
        _NATURAL,
    ),
    "celeba": Page(
        "celeba",
        {
            "all": "ERM",
            "hardest-0.1": "hardest 10 % of each class",
            "random-0.1": "random 10 %, same counts",
            "hardest-0.25": "hardest 25 %",
            "random-0.25": "random 25 %",
            **_REFERENCES,
        },
        _pairs(("hardest-0.1", "random-0.1"), ("hardest-0.25", "random-0.25")),
        "conflict_accuracy",
        _NATURAL,
    ),
    "celeba-carriers": Page(
        "celeba",
        {
            "all": "ERM",
            "carriers-0.25": "without the hardest 25 % of the men with glasses",
            "carriers-random-0.25": "without a random 25 % of them",
        },
        _pairs(("carriers-0.25", "carriers-random-0.25")),
        "conflict_accuracy",
        _NATURAL,
    ),
    "celeba-finetuned": Page(
        "celeba-finetuned",
        {"all": "ERM", "hardest-0.25": "hardest 25 % of each class", "random-0.25": "random 25 %, same counts"},
        _pairs(("hardest-0.25", "random-0.25")),
        "conflict_accuracy",
        _NATURAL,
    ),
    "sky": Page(
        "sky",
        {
            "all": "ERM",
            "class-0.2": "hardest 20 % of each class",
            "class-0.2-random": "random 20 %, same counts",
            "group-0.5": "hardest 50 % of airplane/sky and bird/other",
            "group-0.5-random": "random 50 % of these",
        },
        _pairs(("class-0.2", "class-0.2-random"), ("group-0.5", "group-0.5-random")),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "waterbirds": Page(
        "waterbirds",
        {
            "all": "ERM, all 4,795",
            "group": "hardest 25 % of the aligned groups, classes balanced",
            "group-random": "random, same counts of each group",
        },
        _pairs(("group", "group-random")),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "digits-audit": Page("digits", _AUDITED, _BY_AUDIT, "spurious_misclassification", _INJECTED),
    "cifar10s-weak-audit": Page("cifar10s-weak", _AUDITED, _BY_AUDIT, "spurious_misclassification", _NO_VAL),
    "cifar10s-strong-audit": Page("cifar10s-strong", _AUDITED, _BY_AUDIT, "spurious_misclassification", _NO_VAL),
    **{
        f"{name}-audit": Page(name, _FIRST, _BY_FIRST, felt, (felt, *_NATURAL), file=file) for name, felt, file in _FELT
    },
    "waterbirds-frozen": Page(
        "waterbirds-frozen",
        {
            "all": "ERM, all 4,795",
            "class": "hardest 25 % of each class",
            "class-random": "random 25 %, same counts",
            "group": "hardest 25 % of the aligned groups",
            "group-random": "random 25 % of these",
            "balanced": "hardest 25 % of the aligned groups, classes balanced",
            "balanced-random": "random, same counts of each group",
        },
        _pairs(("class", "class-random"), ("balanced", "balanced-random")),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "waterbirds-frozen-fractions": Page(
        "waterbirds-frozen",
        {
            "all": "ERM",
            **{
                f"balanced{part}{control}": f"{word} {share} %{of}"
                for part, share in (("-0.1", 10), ("", 25), ("-0.5", 50))
                for control, word, of in (
                    ("", "hardest", " of the aligned groups, classes balanced"),
                    ("-random", "random", ", same counts of each group"),
                )
            },
        },
        _pairs(*((f"balanced{part}", f"balanced{part}-random") for part in ("-0.1", "", "-0.5"))),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    **{
        f"{name}-ticks": Page(name, _TICKED | known, _pairs(*_BY_TICKS), felt, shown)
        for name, known, felt, shown in (
            ("waterbirds-frozen", _BALANCED, "worst_group_accuracy", ("worst_group_accuracy", *_NATURAL)),
            ("sky", _HALVES, "worst_group_accuracy", ("worst_group_accuracy", *_NATURAL)),
            ("celeba-frozen", _CARRIERS, "conflict_accuracy", _NATURAL),
            ("celeba", _CARRIERS, "conflict_accuracy", _NATURAL),
        )
    },
    **{
        f"{name}-early": Page(name, _EARLY, _pairs(*_BY_EARLY), felt, shown)
        for name, felt, shown in (
            ("waterbirds-frozen", "worst_group_accuracy", ("worst_group_accuracy", *_NATURAL)),
            ("sky-frozen", "worst_group_accuracy", ("worst_group_accuracy", *_NATURAL)),
            ("celeba-frozen", "conflict_accuracy", _NATURAL),
            ("multinli-frozen", "worst_group_accuracy", ("worst_group_accuracy", *_NATURAL)),
        )
    },
    "cifar10s-strong-early": Page(
        "cifar10s-strong",
        {
            "all": "ERM",
            "early": "hardest half of the samples that Sebra finds early",
            "early-random": "a random half of these",
        },
        _pairs(("early", "early-random")),
        "spurious_misclassification",
        _NO_VAL,
        file="cifar10s-strong-early",  # on another processor, whose scores in bfloat16 differ
    ),
    "waterbirds-frozen-methods": Page(
        "waterbirds-frozen",
        {"all": "ERM", "balanced": "pruning: hardest of the aligned groups, balanced", **_METHODS},
        (),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "multinli-frozen": Page(
        "multinli-frozen",
        {
            "all": "ERM",
            "hardest-0.1": "hardest 10 % of each class",
            "random-0.1": "random 10 %, same counts",
            "hardest-0.25": "hardest 25 %",
            "random-0.25": "random 25 %",
            "group": "hardest 25 % of the aligned groups",
            "group-random": "random 25 % of these",
        },
        _pairs(("hardest-0.1", "random-0.1"), ("hardest-0.25", "random-0.25"), ("group", "group-random")),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "multinli-frozen-methods": Page(
        "multinli-frozen",
        {"all": "ERM", "group": "pruning: hardest 25 % of the aligned groups", **_METHODS},
        (),
        "worst_group_accuracy",
        ("worst_group_accuracy", *_NATURAL),
    ),
    "celeba-frozen": Page(
        "celeba-frozen",
        {
            "all": "ERM",
            "hardest-0.1": "hardest 10 % of each class",
            "random-0.1": "random 10 %, same counts",
            "hardest-0.25": "hardest 25 %",
            "random-0.25": "random 25 %",
            "oracle": _REFERENCES["oracle"],
        },
        _pairs(("hardest-0.1", "random-0.1"), ("hardest-0.25", "random-0.25")),
        "conflict_accuracy",
        _NATURAL,
    ),
    "celeba-frozen-carriers": Page(
        "celeba-frozen",
        {
            "all": "ERM",
            "carriers-0.25": "without the hardest 25 % of the men with glasses",
            "carriers-random-0.25": "without a random 25 % of them",
        },
        _pairs(("carriers-0.25", "carriers-random-0.25")),
        "conflict_accuracy",
        _NATURAL,
    ),
    "celeba-frozen-methods": Page(
        "celeba-frozen",
        {"all": "ERM", "hardest-0.25": "pruning: hardest 25 % of each class", **_METHODS},
        (),
        "conflict_accuracy",
        _NATURAL,
    ),
}

Values = dict[str, dict[int, float]]


class Results:
    """The values of a set by arm, metric and seed; collapsed runs by name."""

    def __init__(self, lines: Sequence[Mapping[str, Any]], split: str) -> None:
        self.collapsed: dict[str, list[str]] = {}
        self._values: dict[str, Values] = {}
        for line in lines:
            if line["split"] != split:
                continue
            values = self._values.setdefault(line["arm"], {})
            for name, entry in line["metrics"].items():
                if isinstance(entry, list):  # else why it is undefined
                    values.setdefault(name, {})[line["seed"]] = entry[0]
            if any("the model has collapsed" in warning for warning in line["warnings"]):
                self.collapsed.setdefault(line["arm"], []).append(f"seed {line['seed']}")

    def has(self, arm: str) -> bool:
        return arm in self._values

    def of(self, arm: str, metric: str) -> dict[int, float]:
        return self._values.get(arm, {}).get(metric, {})

    def difference(self, arm: str, other: str, metric: str) -> Paired | None:
        return paired(self.of(arm, metric), self.of(other, metric), lower_is_better=metric in _LOWER)


def read(path: Path, split: str = "test") -> Results:
    return Results([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()], split)


def claimed(page: Page, results: Results) -> list[Outcome]:
    """The outcome of each primary comparison of which both arms have been run."""
    asked = [_comparison(page, results, arm, other) for arm, other in _run(page, results)]
    gate = gate_of(t_interval(list(results.of(page.erm, "feature_effect").values())))
    return outcomes_of(asked, [gate] * len(asked))


def _run(page: Page, results: Results) -> list[tuple[str, str]]:
    return [(arm, other) for arm, other in page.primary if results.has(arm) and results.has(other)]


def _comparison(page: Page, results: Results, arm: str, other: str) -> Comparison:
    symptom = results.difference(arm, other, page.symptom)
    if symptom and page.symptom not in _LOWER:
        symptom = symptom.turned()
    measures = {name: results.difference(arm, other, name) for name in RELIANCE}
    failed = (*results.collapsed.get(arm, ()), *results.collapsed.get(other, ()))
    return Comparison(f"{arm} − {other}", measures, symptom, results.difference(arm, other, CORE), failed)


def markdown(page: Page, results: Results) -> Iterator[str]:
    """The page's two tables and its claims."""
    shown = [entry for entry in _SHOWN if entry[0] in page.shown]
    yield "| arm | " + " | ".join(name for _, name, _, _ in shown) + " | seeds |"
    yield "|---" * (len(shown) + 2) + "|"
    for arm, words in page.arms.items():
        if results.has(arm):
            cells = [
                _level(list(results.of(arm, metric).values()), times, digits) for metric, _, times, digits in shown
            ]
            seeds = len(results.of(arm, "accuracy"))
            yield f"| {words} | " + " | ".join(cells) + f" | {seeds} |"
    if not _run(page, results):
        return
    yield ""
    yield "| difference | " + " | ".join(name for _, name, _, _ in shown) + " | outcome |"
    yield "|---" * (len(shown) + 2) + "|"
    for (arm, other), outcome in zip(_run(page, results), claimed(page, results), strict=True):
        found = [results.difference(arm, other, metric) for metric, *_ in shown]
        cells = [_difference(each, times, digits) for each, (_, _, times, digits) in zip(found, shown, strict=True)]
        yield f"| {arm} − {other} | " + " | ".join(cells) + f" | {_words(outcome)} |"


def _level(values: Sequence[float], times: int, digits: int) -> str:
    if not values:
        return "–"
    spread = sd(values)
    level = f"{mean(values) * times:.{digits}f}".replace("-", "−")
    return level + ("" if spread is None else f" ± {spread * times:.{digits}f}")


def _difference(found: Paired | None, times: int, digits: int) -> str:
    if found is None:
        return "–"
    size = f"{found.mean * times:+.{digits}f}".replace("-", "−")
    agreeing = max(found.num_better, found.num_pairs - found.num_better)
    spread = "" if found.se is None else f" ± {found.se * times:.{digits}f}"
    return f"{size}{spread} ({agreeing} of {found.num_pairs})"


def _words(outcome: Outcome) -> str:
    if not outcome.is_claim:
        return f"{outcome.result} ({outcome.reason})"
    moved = "" if outcome.result != "mixed" else f": {', '.join(outcome.moved)}"
    core = ", and has lost core" if outcome.has_lost_core else ""
    both = outcome.p_adjusted is not None and outcome.result in ("leans less", "worse")
    p = f", p = {outcome.p_adjusted:.2g}" if both else ""  # of both measures; "mixed" rests on one
    return f"**{outcome.result}{moved}{core}**{p}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", choices=[[], *PAGES], metavar="PAGE", help=", ".join(PAGES))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--split", default="test")
    asked = parser.parse_args()
    for name in asked.pages or PAGES:
        path = asked.results / f"{PAGES[name].file or PAGES[name].set}.jsonl"
        if path.is_file():
            print(f"\n### {name}\n", *markdown(PAGES[name], read(path, asked.split)), sep="\n")


if __name__ == "__main__":
    main()
