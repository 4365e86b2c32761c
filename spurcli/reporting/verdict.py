"""The first paragraph of a report: what the numbers say in plain words, and no more than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spurcli.reporting.labels import amount

_MAX_FRACTIONS = 4
_FEW_SEEDS = 5


def verdict(data: Mapping[str, Any]) -> list[str]:
    """Sentences about the primary metric: each hardest-pruned arm against its controls, with what it cost.

    A difference is called one only if it is at least two standard errors over three or more paired seeds.
    """
    metrics = {metric["name"]: metric for metric in data["metrics"]}
    primary = metrics.get(data["primary_metric"] or "")
    arms = data["arms"]
    if primary is None:
        return [_nothing_evaluated(data)]
    split = next((arm["split"] for arm in arms if arm["metrics"]), "")
    mine = [
        number
        for number, arm in enumerate(arms)
        if arm["kind"] == "hardest" and arm["split"] == split and primary["name"] in arm["metrics"]
    ]
    compared = [number for number in mine if any(entry["arm"] == number for entry in data["comparisons"])]
    if not compared:
        return _levels(arms, primary, split)
    sentences: list[str] = []
    for number in compared[:_MAX_FRACTIONS]:
        sentences += _about_arm(data, number, primary, metrics, first=number == compared[0])
    if len(compared) > _MAX_FRACTIONS:
        sentences.append(f"{len(compared) - _MAX_FRACTIONS} more pruned arms are in the table below.")
    sentences += _reading(data, compared)
    return sentences


def _about_arm(
    data: Mapping[str, Any], number: int, primary: Mapping[str, Any], metrics: Mapping[str, Any], *, first: bool
) -> list[str]:
    arm = data["arms"][number]
    entries = [entry for entry in data["comparisons"] if entry["arm"] == number]
    level = arm["metrics"][primary["name"]]
    what = _metric_words(data, primary) if first else _lower_first(primary["label"])
    seeds = f" over {level['num_seeds']} seeds" if level["num_seeds"] > 1 else " in one run"
    on_split = f" ({arm['split']} split)" if first and arm["split"] not in ("", "test") else ""
    head = f"With the {_lower_first(arm['label'])}, {what} is {amount(level['mean'], primary['unit'])}{seeds}{on_split}"
    parts = [
        _against(entry["metrics"].get(primary["name"]), data["arms"][entry["reference"]], primary) for entry in entries
    ]
    sentences = [f"{head}: {'; '.join(part for part in parts if part)}."]
    costs = _costs(entries, data["arms"], metrics, primary["name"])
    return sentences + ([costs] if costs else [])


def _metric_words(data: Mapping[str, Any], primary: Mapping[str, Any]) -> str:
    name = primary["name"]
    facts: Mapping[str, Any] = next((arm["facts"][name] for arm in data["arms"] if arm["facts"].get(name)), {})
    words = _lower_first(str(primary["label"]))
    if "true" in facts and "predicted" in facts:
        words = f"spurious misclassification ({facts['true']} with the feature, taken for {facts['predicted']})"
    return words


def _against(entry: Mapping[str, Any] | None, reference: Mapping[str, Any], metric: Mapping[str, Any]) -> str:
    if entry is None:
        return ""
    than = "the random control of equal size" if reference["kind"] == "random" else "training on all samples"
    if entry["se"] is None or entry["num_pairs"] < 3:
        return f"{_points(entry, metric)} against {than}, too few paired seeds ({entry['num_pairs']}) to tell"
    pairs = f"{entry['num_better']} of {entry['num_pairs']} seeds better"
    size = f"{amount(abs(entry['mean']), metric['unit'], bare=True)} ± {_se(entry, metric)}"
    if not entry["clear"]:
        return f"no clear difference from {than} ({_points(entry, metric)}, {pairs})"
    way = "lower" if entry["mean"] < 0 else "higher"
    return f"{size}{_unit(metric)} {way} than {than} ({pairs})"


def _costs(
    entries: Sequence[Mapping[str, Any]], arms: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any], primary: str
) -> str:
    """What else moved: accuracy, and the threshold-free twin of the primary metric."""
    said = []
    for entry in entries:
        than = "the random control" if arms[entry["reference"]]["kind"] == "random" else "training on all samples"
        for name, words in (("accuracy", "accuracy"), ("auroc_with_feature", "AUROC among samples with the feature")):
            found, metric = entry["metrics"].get(name), metrics.get(name)
            if name == primary or found is None or metric is None or found["se"] is None or found["num_pairs"] < 3:
                continue
            if found["clear"]:
                way = "fell" if found["mean"] < 0 else "rose"
                size = amount(abs(found["mean"]), metric["unit"], bare=True)
                said.append(f"{words} {way} by {size} ± {_se(found, metric)}{_unit(metric)} against {than}")
            else:
                said.append(f"{words} shows no clear difference from {than} ({_points(found, metric)})")
    if not said:
        return ""
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def _reading(data: Mapping[str, Any], compared: Sequence[int]) -> list[str]:
    pairs = [
        entry["metrics"][data["primary_metric"]]["num_pairs"]
        for entry in data["comparisons"]
        if entry["arm"] in compared and data["primary_metric"] in entry["metrics"]
    ]
    sentences = ["± is the standard error of differences paired by seed."]
    if pairs and min(pairs) < _FEW_SEEDS:
        sentences.append(f"Fewer than {_FEW_SEEDS} paired seeds: a hint, not a result.")
    random = {entry["arm"] for entry in data["comparisons"] if data["arms"][entry["reference"]]["kind"] == "random"}
    if not set(compared) <= random:
        sentences.append(
            "Without a random control of equal size, the effect of which samples went cannot be told from that of how many."
        )
    return sentences


def _levels(arms: Sequence[Mapping[str, Any]], primary: Mapping[str, Any], split: str) -> list[str]:
    mine = [arm for arm in arms if primary["name"] in arm["metrics"] and arm["split"] == split]
    levels = []
    for arm in mine[:5]:
        entry = arm["metrics"][primary["name"]]
        spread = f" ± {amount(entry['sd'], primary['unit'], bare=True)}" if entry["sd"] is not None else ""
        seeds = f"{entry['num_seeds']} seeds" if entry["num_seeds"] > 1 else "one run"
        shown = amount(entry["mean"], primary["unit"])
        if spread:
            shown = f"{amount(entry['mean'], primary['unit'], bare=True)}{spread}{' %' if primary['unit'] else ''}"
        levels.append(f"{shown} for {arm['label']} ({seeds})")
    more = f"; {len(mine) - 5} more arms below" if len(mine) > 5 else ""
    sentences = [f"{primary['label']} on the {split} split: {'; '.join(levels)}{more}."]
    if len(mine) > 1:
        sentences.append("No arms here can be paired by seed against a control, so no difference is claimed.")
    return sentences


def _nothing_evaluated(data: Mapping[str, Any]) -> str:
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
    return " points" if metric["unit"] == "%" else ""


def _lower_first(label: str) -> str:
    return label[0].lower() + label[1:] if label and not label[:2].isupper() else label
