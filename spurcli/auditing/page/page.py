"""audit.html: the suspects of an audit with the samples that carry them, next to samples of the same class that do not."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.envelope import JsonObject
from spurcli.auditing.page.samples import Shown, show
from spurcli.auditing.page.template import render, script_hash, source
from spurcli.auditing.statistics import MEASURES
from spurcli.datasets import Inputs
from spurcli.datasets.inputs import files_of
from spurcli.evaluation.intervals import wilson
from spurcli.evaluation.metrics import METRICS
from spurcli.randomness import generator
from spurcli.words import amount, counted, measured_on

MAX_SHOWN = 12  # suspects with pictures; the table has all
PER_SIDE = 8
_TEXTS_PER_SIDE = 5
_MOST_COLUMNS = 5  # classes in the table of a column's values
_CALLED = {"feature_effect_positives": "Feature effect in the class itself"}
_SMALL_P = 0.001
_STATUS = {"confirmed": "✓", "unconfirmed": "?", "not supported": "✕"}


@dataclass(frozen=True)
class Example:
    """A sample on the page, with its id."""

    shown: Shown
    name: str


@dataclass(frozen=True)
class Examples:
    """Random training samples of the suspect's class that carry the feature, and random ones that do not.

    `model_size` is the number of pixels per side that the model gets, if the pictures have more; otherwise 0.
    """

    carriers: Sequence[Example] = ()
    others: Sequence[Example] = ()
    model_size: int = 0


@dataclass(frozen=True)
class ShareRow:
    """A class in one split: its share of carriers with the 95 % interval, and how many samples."""

    label: str
    cells: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ValueTable:
    """All values of a suspect's column: `heads` of the classes' shares, one row per value with its share of each class, and the accuracy."""

    heads: Sequence[str]
    rows: Sequence[tuple[str, bool, Sequence[str], tuple[str, str]]]


@dataclass(frozen=True)
class FailingRow:
    """A failing group: its name, column and value, accuracy, that of the rest of the class, each with interval, and p-value."""

    name: str
    column: str
    accuracy: tuple[str, str]
    others: tuple[str, str]
    p_value: str


@dataclass(frozen=True)
class SuspectView:
    """A suspect as the template shows it."""

    entry: JsonObject
    mark: str
    effect: str
    measures: Sequence[tuple[str, str, str]]
    unmeasured: Sequence[tuple[str, str]]
    splits: Sequence[str]
    shares: Sequence[ShareRow]
    examples: Examples
    values: ValueTable | None
    found: str = ""
    facts: Sequence[str] = field(default_factory=list)
    commands: Sequence[Sequence[str]] = ()


def examples_of(
    inputs: Inputs,
    label: NDArray[np.int64],
    presence: NDArray[np.float32],
    sample_id: Sequence[str] | None,
    *,
    class_index: int | None,
    where: JsonObject,
    seed: int,
    number: int,
) -> Examples:
    """Samples of the class (None: of all), drawn at random on either side of the probability ½; `number` is the suspect's rank."""
    mine = np.ones(len(label), dtype=bool) if class_index is None else label == class_index
    numbers = generator("audit examples", seed, number)

    def drawn(chosen: NDArray[np.bool_], where: JsonObject) -> list[Example]:
        members = np.flatnonzero(chosen)
        if not len(members):
            return []
        from spurcli.datasets import Texts

        most = _TEXTS_PER_SIDE if isinstance(inputs, Texts) else PER_SIDE
        members = np.sort(numbers.permutation(members)[:most])
        names = [sample_id[n] if sample_id is not None else f"sample {n:,}" for n in members.tolist()]
        return [Example(shown, name) for shown, name in zip(show(inputs, members, where=where), names, strict=True)]

    with np.errstate(invalid="ignore"):
        sides = drawn(mine & (presence >= 0.5), where), drawn(mine & (presence < 0.5), where)
    files = files_of(inputs)
    largest = max((example.shown.width for side in sides for example in side), default=0)
    return Examples(*sides, files.size if files is not None and files.size < largest else 0)


def audit_page(content: JsonObject, examples: Mapping[int, Examples], *, title: str, sheet: str = "") -> str:
    """The page as text, from audit.json's content; `examples` by rank, `sheet` is the file name of the tick sheet next to it."""
    code = source("copy.js")
    suspects = [
        _view(entry, examples.get(entry["rank"], Examples()), content["held_out"]) for entry in content["suspects"]
    ]
    return render(
        "audit.html.j2",
        title=title,
        data=content,
        facts=_facts(content),
        suspects=suspects,
        shown=suspects[:MAX_SHOWN],
        has_harm=any(view.entry["expected_harm"] is not None for view in suspects),
        failing=[_failing(entry) for entry in content.get("failing_groups") or []],
        failing_next=list(
            dict.fromkeys(line for entry in content.get("failing_groups") or [] for line in entry["next"])
        ),
        sheet=sheet,
        measured_on=measured_on(content["held_out"]),
        code=code,
        code_hash=script_hash(code),
    )


def in_order(splits: Iterable[str]) -> list[str]:
    """train, val, test, then the others by name: JSON does not keep the order of its keys."""
    first = ("train", "val", "test")
    return sorted(splits, key=lambda name: (first.index(name) if name in first else len(first), name))


def _failing(entry: JsonObject) -> FailingRow:
    ranks = ", ".join(f"suspect {rank}" for rank in entry["suspects"])
    column = f"{entry['column']} {entry['value']}" + (f" (see {ranks})" if ranks else "")
    return FailingRow(
        entry["name"], column, _accuracy(entry["accuracy"]), _accuracy(entry["others"]), _p(entry["p_adjusted"])
    )


def _accuracy(metric: JsonObject) -> tuple[str, str]:
    low, high = metric.get("interval") or (0.0, 1.0)
    value = f"{metric['value']:.1%}".replace("%", " %") if metric.get("value") is not None else "–"
    return value, f"{100 * low:.1f} to {100 * high:.1f} of {metric['num_samples']:,}"


def _facts(content: JsonObject) -> list[str]:
    statuses = [entry["status"] for entry in content["suspects"]]
    sizes = {name: int(content["splits"][name]["num_samples"]) for name in in_order(content["splits"])}
    splits = [f"{counted(size, 'sample')} in {name}" for name, size in sizes.items()]
    return [
        counted(len(statuses), "suspect"),
        f"{statuses.count('confirmed')} confirmed",
        *([counted(len(failing), "failing group")] if (failing := content.get("failing_groups")) else []),
        f"measured on {content['held_out']}",
        *([f"accuracy {_accuracy(metric)[0]}"] if (metric := content.get("held_out_accuracy")) else []),
        *splits,
    ]


def _view(entry: JsonObject, examples: Examples, held_out: str) -> SuspectView:
    measures = [("Association with the class (lift)", *_value(entry["utility"], ""))]
    for name in [*MEASURES, *sorted(set(entry["reliance"]) - set(MEASURES))]:
        metric = entry["reliance"].get(name) or {}
        known = METRICS.get(name)
        label = known.description.label if known else _CALLED.get(name, name.replace("_", " "))
        measures.append((f"{label}, on {held_out}", *_value(metric, known.description.unit if known else "")))
    measures.append(("Detectability (AUROC of a probe, in the class)", *_value(entry["detectability"], "")))
    facts = []
    metric = entry["reliance"].get("feature_effect") or {}
    effect, bound = metric.get("value"), metric.get("at_least")
    if effect is None and bound is not None:
        facts.append(
            f"the effect is at least {amount(bound, '')}; its value is undefined: {metric.get('reason') or ''}".rstrip(
                ": "
            )
        )
    if entry["expected_harm"] is not None and effect is not None:
        carriers = entry["expected_harm"] / effect if effect > 0 else 0.0
        facts.append(
            f"expected harm {entry['expected_harm']:,.0f} = effect {amount(effect, '')} × {carriers:,.0f} carriers in training"
            if carriers
            else "expected harm 0: the effect is not positive"
        )
    if entry.get("is_inferred"):
        facts.append("carriers are inferred")
    if entry.get("also"):
        facts.append(f"the same samples as {', '.join(entry['also'])}")
    splits = [name for name in in_order(entry["carriers"]) if entry["carriers"][name]]
    return SuspectView(
        entry,
        _STATUS.get(entry["status"], ""),
        amount(effect, "") if effect is not None or bound is None else f"≥ {amount(bound, '')}",
        [row[:3] for row in measures if row[1]],
        _unmeasured(measures),
        splits,
        _shares(entry["carriers"], splits),
        examples,
        _values(entry),
        _found(entry, held_out),
        facts,
        [_words(line) for line in entry.get("next") or []],
    )


def _found(entry: JsonObject, held_out: str) -> str:
    """The main numbers in a sentence or two: effect, p-value, and accuracy with and without the feature in its class."""
    parts = []
    effect = entry["reliance"].get("feature_effect") or {}
    value, interval, _ = _value(effect, "")
    if value:
        p = entry["p_adjusted"] if entry["p_adjusted"] is not None else entry.get("p_effect")
        adjusted = " after Holm's adjustment" if entry["p_adjusted"] is not None else ""
        said = "" if p is None else f", p {'' if p < _SMALL_P else '= '}{_p(p)}{adjusted}"
        parts.append(f"Effect {value}{f' ({interval})' if interval else ''}{said}, on half of {held_out}.")
    counts = entry.get("accuracy") or {}
    if counts.get("num_with") and counts.get("num_without"):
        with_it, without = (
            f"{counts[f'num_right_{side}'] / counts[f'num_{side}']:.0%} of {counts[f'num_{side}']:,}".replace("%", " %")
            for side in ("with", "without")
        )
        parts.append(f"Correct in {entry['class']} ({held_out}): {with_it} with the feature, {without} without it.")
    return " ".join(parts)


def _words(line: str) -> list[str]:
    """A command in pieces that should not be broken: an option stays with its value. Joined by spaces they are the line."""
    words = re.findall(r"(?:'[^']*'|[^\s'])+", line)
    pieces: list[str] = []
    for word in words:
        is_value = bool(pieces) and re.fullmatch(r"-{1,2}[\w-]+", pieces[-1]) and not word.startswith("-")
        pieces[-1:] = [f"{pieces[-1]} {word}"] if is_value else [*pieces[-1:], word]
    return pieces if " ".join(pieces) == line else [line]


def _values(entry: JsonObject) -> ValueTable | None:
    """The suspect's class first; of more than five classes the others together."""
    rows = entry.get("values") or []
    if not rows:
        return None
    names = [part["class"] for part in rows[0]["classes"]]
    own = [name for name in names if name == entry["class"]]
    others = [name for name in names if name not in own]
    columns = [[name] for name in (*own, *others)] if len(names) <= _MOST_COLUMNS else [*([own] if own else []), others]
    heads = [" ".join(part) if len(part) == 1 else f"{len(part)} other classes" for part in columns]
    totals = {name: sum(_count(row, [name]) for row in rows) for name in names}
    suspected = str(entry["shown"].get("value", "")).removeprefix("= ")
    found = []
    for row in rows:
        shares = []
        for part in columns:
            total = sum(totals[name] for name in part)
            count = _count(row, part)
            shares.append(f"{count / total:.1%} ({count:,})".replace("%", " %") if total else "–")
        num, right = int(row["num_held_out"]), int(row["num_right"])
        low, high = wilson(right, num) if num else (0.0, 0.0)
        accuracy = f"{right / num:.1%}".replace("%", " %") if num else "–"
        spoken = f"{100 * low:.1f} to {100 * high:.1f} of {num:,}" if num else ""
        found.append((str(row["value"]), row["value"] == suspected, shares, (accuracy, spoken)))
    return ValueTable(heads, found)


def _count(row: JsonObject, names: Sequence[str]) -> int:
    return sum(int(part["num_samples"]) for part in row["classes"] if part["class"] in names)


def _value(metric: JsonObject, unit: str) -> tuple[str, str, str]:
    """Value, interval, and why there is none."""
    value, interval = metric.get("value"), metric.get("interval")
    if value is None:
        return "", "", str(metric.get("reason") or "")
    ends = [None if end is None else amount(end, unit) for end in interval or []]
    spoken = f"{ends[0] or '−∞'} to {ends[1] or '∞'}" if ends else ""
    return amount(value, unit), spoken, ""


def _unmeasured(measures: Sequence[tuple[str, str, str, str]]) -> list[tuple[str, str]]:
    """The measures without a value and the reasons, each reason once."""
    found: dict[str, list[str]] = {}
    for label, value, _, reason in measures:
        if not value and reason:
            found.setdefault(reason, []).append(label)
    return [("; ".join(labels), reason) for reason, labels in found.items()]


def _p(value: float) -> str:
    return "below .001" if value < _SMALL_P else f"{value:.3f}".removeprefix("0")


def _shares(carriers: Mapping[str, Sequence[JsonObject]], splits: Sequence[str]) -> list[ShareRow]:
    """One row per class whose carriers are known, one column per split: the share of carriers with its interval."""
    found = {name: {row["class"]: row for row in carriers[name]} for name in splits}
    labels = list(dict.fromkeys(label for rows in found.values() for label, row in rows.items() if row["num_known"]))
    return [ShareRow(label, [_share(found[name].get(label)) for name in splits]) for label in labels]


def _share(row: JsonObject | None) -> tuple[str, str]:
    if not row or not row["num_known"]:
        return "–", ""
    known, num = int(row["num_known"]), float(row["num_carriers"])
    low, high = wilson(math.floor(num + 0.5), known)
    return f"{num / known:.1%}".replace("%", " %"), f"{100 * low:.1f} to {100 * high:.1f} of {known:,}"
