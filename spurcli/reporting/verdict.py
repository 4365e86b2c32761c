"""The first paragraph of a report: what the numbers say in plain words, and no more than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spurcli.reporting.levels import levels
from spurcli.reporting.naming import lower_first
from spurcli.reporting.ranking import ranking_words
from spurcli.reporting.sections import section_name
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


def verdict(data: Mapping[str, Any]) -> list[str]:
    """What the page says first: on the primary metric, pruned against its controls, and method against method.

    Then a paragraph on each arm of hardest pruned samples. A difference is called one only if it is at least two
    standard errors over three or more paired seeds.
    """
    primary = _primary(data)
    if primary is None:
        return [_nothing_evaluated(data)]
    compared = _compared(data, primary)
    ranked = ranking_words(data, primary, _metric_words(data, primary))
    if not compared:
        has_ranking = any(entry["best"] is not None for entry in data["rankings"])
        return ranked if has_ranking else [*ranked, levels(data, primary, _metric_words(data, primary), _split(data))]
    paragraphs = [*_answers(data, compared, primary), *ranked]
    paragraphs += [_about_arm(data, number, primary) for number in compared[:_MAX_FRACTIONS]]
    if len(compared) > _MAX_FRACTIONS:
        paragraphs.append(f"In the tables: {counted(len(compared) - _MAX_FRACTIONS, 'more pruned arm')}.")
    return paragraphs


def reading(data: Mapping[str, Any]) -> list[str]:
    """How far the verdict carries: sentences on standard errors, seeds and controls."""
    primary = _primary(data)
    compared = _compared(data, primary) if primary else []
    ranked = [entry for entry in data["rankings"] if entry["best"] is not None]
    if not primary or not (compared or ranked):
        return []
    entries = [entry for entry in data["comparisons"] if entry["arm"] in compared]
    found = [entry["metrics"].get(primary["name"]) for entry in entries]
    found += [other["difference"] for entry in ranked for other in entry["others"]]
    pairs = min(item["num_pairs"] for item in found if item)
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
    controlled = {entry["arm"] for entry in entries if data["arms"][entry["reference"]]["kind"] == "random"}
    if missing := [data["arms"][number]["short"] for number in compared if number not in controlled]:
        sentences.append(
            f"No random control of equal size for the hardest {_shares(list(dict.fromkeys(missing)))}: which samples went cannot be told from how many."
        )
    return sentences


def _primary(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((metric for metric in data["metrics"] if metric["name"] == data["primary_metric"]), None)


def _compared(data: Mapping[str, Any], primary: Mapping[str, Any]) -> list[int]:
    """The hardest-pruned arms of the first split that have a reference for the primary metric."""
    split = _split(data)
    with_reference = {entry["arm"] for entry in data["comparisons"] if primary["name"] in entry["metrics"]}
    return [
        number
        for number, arm in enumerate(data["arms"])
        if arm["kind"] == "hardest" and arm["split"] == split and number in with_reference
    ]


def _split(data: Mapping[str, Any]) -> str:
    return next((str(arm["split"]) for arm in data["arms"] if data["primary_metric"] in arm["metrics"]), "")


def _answers(data: Mapping[str, Any], compared: Sequence[int], primary: Mapping[str, Any]) -> list[str]:
    """In which direction the metric went, against each reference, for which arms; no numbers.

    A paragraph for each rule by which epochs were chosen.
    """
    split = _split(data)
    on_split = "" if split in ("", "test") else f" ({split} split)"
    answers: list[str] = []
    for position, section in enumerate(data["sections"]):
        words = lower_first(str(primary["label"])) if answers else _metric_words(data, primary)
        mine = [number for number in compared if number in section["arms"]]
        if said := _against_references(data, mine, words):
            name = section_name(data, position)
            answers.append((f"{name.capitalize()}: {lower_first(said)}" if name else said) + f"{on_split}.")
    return answers


def _against_references(data: Mapping[str, Any], compared: Sequence[int], words: str) -> str:
    name = data["primary_metric"]
    sentences: list[str] = []
    for kind, than in _REFERENCES.items():
        outcomes: dict[str, list[str]] = {}
        for entry in data["comparisons"]:
            found = entry["metrics"].get(name)
            if entry["arm"] in compared and found and data["arms"][entry["reference"]]["kind"] == kind:
                outcomes.setdefault(_outcome(found), []).append(data["arms"][entry["arm"]]["short"])
        said = [
            f"{outcome} with the hardest {_shares(outcomes[outcome])} removed"
            for outcome in _OUTCOMES
            if outcome in outcomes
        ]
        if said:
            sentences.append(f"Against {than}, {'it' if sentences else words} is {'; '.join(said)}")
    return ". ".join(sentences)


def _outcome(entry: Mapping[str, Any]) -> str:
    if entry["clear"]:
        return "lower" if entry["mean"] < 0 else "higher"
    return "not clearly different" if entry["num_pairs"] >= 3 else "undecided (too few seeds)"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _shares(names: Sequence[str]) -> str:
    """ "hardest 10 %" and "hardest 20 %" as "10 % and 20 %"."""
    return _listed([name.removeprefix("hardest ").replace(" removed", "") for name in names])


def _about_arm(data: Mapping[str, Any], number: int, primary: Mapping[str, Any]) -> str:
    """The level of one arm, its differences from its references, and what it cost."""
    arm = data["arms"][number]
    entries = [entry for entry in data["comparisons"] if entry["arm"] == number]
    parts = [
        _against(entry["metrics"].get(primary["name"]), data["arms"][entry["reference"]], primary) for entry in entries
    ]
    sentences = [
        f"{arm['label']}: {mean_sd(arm['metrics'][primary['name']], primary['unit'])}; {'; '.join(filter(None, parts))}."
    ]
    metrics = {metric["name"]: metric for metric in data["metrics"]}
    costs = _costs(entries, data["arms"], metrics, primary["name"])
    return " ".join([*sentences, costs] if costs else sentences)


def _metric_words(data: Mapping[str, Any], primary: Mapping[str, Any]) -> str:
    name = primary["name"]
    facts: Mapping[str, Any] = next((arm["facts"][name] for arm in data["arms"] if arm["facts"].get(name)), {})
    words = lower_first(str(primary["label"]))
    if "true" in facts and "predicted" in facts:
        # The other way round is only asked where nobody knows which samples carry the feature.
        is_unknown = any(metric["name"] == f"{name}_reverse" for metric in data["metrics"])
        with_feature = "" if is_unknown else " with the feature,"
        words = f"spurious misclassification ({facts['true']}{with_feature} taken for {facts['predicted']})"
    return words


def _against(entry: Mapping[str, Any] | None, reference: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    if entry is None:
        return ""
    than = _REFERENCES[reference["kind"]]
    if entry["se"] is None or entry["num_pairs"] < 3:
        seeds = "one seed" if entry["num_pairs"] == 1 else f"{entry['num_pairs']} seeds"
        return f"{_points(entry, metric)} against {than} ({seeds})"
    pairs = f"{entry['num_better']} of {entry['num_pairs']} seeds better"
    size = f"{amount(abs(entry['mean']), metric['unit'], bare=True)} ± {_se(entry, metric)}"
    if not entry["clear"]:
        return f"no clear difference from {than} ({_points(entry, metric)}, {pairs})"
    way = "lower" if entry["mean"] < 0 else "higher"
    return f"{size}{_unit(metric)} {way} than {than} ({pairs})"


def _costs(
    entries: Sequence[Mapping[str, Any]], arms: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], primary: str
) -> str:
    """What else moved against each reference: accuracy, raw and by training proportions, and the threshold-free twin."""
    said = []
    for name, words in _COSTS.items():
        if name == primary or name not in metrics:
            continue
        metric, parts = metrics[name], []
        for entry in entries:
            found = entry["metrics"].get(name)
            if found is None or found["se"] is None or found["num_pairs"] < 3:
                continue
            mark = "" if found["clear"] else ", not clear"
            than = "the random control" if arms[entry["reference"]]["kind"] == "random" else "all samples"
            parts.append(f"{_points(found, metric)} against {than}{mark}")
        if parts:
            feature = arms[entries[0]["arm"]]["facts"].get(name, {}).get("feature", "the feature")
            said.append(f"{words.replace('the feature', feature)}: {'; '.join(parts)}.")
    return " ".join(said)


def _nothing_evaluated(data: Mapping[str, Any]) -> str:
    if any(run["metrics"] for run in data["runs"]):
        names = listed([metric["label"] for metric in data["metrics"]])
        return f"No metric has a value in any evaluation: {names}."
    there = []
    if data["arms"]:
        there.append("training histories")
    if data["scores"]:
        there.append("difficulty scores")
    if data["lists"]:
        there.append("lists of what pruning keeps")
    shown = " and ".join(there) or "artefacts"
    return f"Nothing has been evaluated yet: this page shows {shown}. Add a result with: spurcli evaluate"


def _points(entry: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    shown = amount(entry["mean"], metric["unit"], signed=True, bare=True)
    return shown + (f" ± {_se(entry, metric)}" if entry["se"] is not None else "") + _unit(metric)


def _se(entry: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    return amount(entry["se"], metric["unit"], bare=True)


def _unit(metric: Mapping[str, Any]) -> str:
    return unit_of_difference(str(metric["unit"]))
