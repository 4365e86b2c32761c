"""Properties of texts: length, capitals, punctuation, digits, script, markup."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import TEXT_PROPERTY, Addition
from spurcli.auditing.additions import added_to
from spurcli.auditing.candidates import Candidate, Hit, of_numbers, of_texts, search
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.auditing.values import value_rows
from spurcli.datasets import Texts

_MARKUP = re.compile(r"<[a-zA-Z/][^<>]*>|&[a-z]+;|\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_MOST_CHANGED = 1000


def _share(test: Callable[[str], bool]) -> Callable[[str], float]:
    return lambda text: sum(map(test, text)) / max(1, len(text))


_NUMBERS: Mapping[str, Callable[[str], float]] = {
    "number of words": lambda text: float(len(text.split())),
    "share of capitals": _share(str.isupper),
    "share of digits": _share(str.isdecimal),
    "share of punctuation": _share(lambda character: unicodedata.category(character).startswith("P")),
    "exclamation marks": lambda text: float(text.count("!")),
    "question marks": lambda text: float(text.count("?")),
    "line breaks": lambda text: float(text.count("\n")),
}
_NAMES: Mapping[str, Callable[[str], str]] = {
    "markup": lambda text: "yes" if _MARKUP.search(text) else "no",
    "link": lambda text: "yes" if _LINK.search(text) else "no",
    "ends with": lambda text: text.rstrip()[-1:] if text.rstrip()[-1:] in ".!?" else "other",
    "begins with a capital": lambda text: "yes" if text[:1].isupper() else "no",
    "script": lambda text: _script(text),
}
# Properties that can be changed separately in a text: value of the property → the changed text.
CHANGES: Mapping[str, Callable[[str, str], str]] = {
    "ends with": lambda text, value: text.rstrip(" .!?") + (value if value != "other" else ""),
    "begins with a capital": lambda text, value: (text[:1].upper() if value == "yes" else text[:1].lower()) + text[1:],
    "markup": lambda text, value: f"<p>{text}</p>" if value == "yes" else _MARKUP.sub("", text),
}
_DOUBT = "{} cannot be changed separately in a text, so it was not tested"


def _script(text: str) -> str:
    """The script of the first letter: LATIN, CYRILLIC, CJK, …"""
    letter = next((character for character in text if character.isalpha()), "")
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0] if letter else "none"


def find(evidence: Evidence, *, most: int = 3) -> list[Finding]:
    """The `most` suspicious properties; those that can be changed in a text are tested so."""
    if evidence.kind != "texts":
        return []
    candidates: list[Candidate] = []
    num_columns = len(_texts(evidence, evidence.source).columns)
    evidence.progress.start("text properties", num_columns)
    for column in range(num_columns):
        texts = {split: _texts(evidence, split).columns[column] for split in evidence.splits}
        candidates += _of_column(evidence, texts, f" of text {column + 1}" if num_columns > 1 else "")
        evidence.progress.advance(1)
    return [_finding(evidence, hit, candidates) for hit in search(evidence, candidates, most)]


def seconds(evidence: Evidence) -> float:
    """Estimated seconds of `find`, from some measured texts and the number of model calls."""
    sizes = {split: len(label) for split, label in evidence.labels.items()}
    some = _texts(evidence, evidence.held_out).read(np.arange(min(100, sizes[evidence.held_out]), dtype=np.int64))
    began = time.monotonic()
    for sample in some:
        for text in sample:
            for measure in (*_NUMBERS.values(), *_NAMES.values()):
                measure(text)
    each = (time.monotonic() - began) / max(1, len(some))
    return each * sum(sizes.values()) + 3 * evidence.pace * min(_MOST_CHANGED, sizes[evidence.held_out])


def _of_column(evidence: Evidence, texts: Mapping[str, Sequence[str]], of: str) -> list[Candidate]:
    found: list[Candidate] = []
    for name, measure in _NUMBERS.items():
        values: dict[str, NDArray[np.float64]] = {
            split: np.array([measure(text) for text in part], dtype=np.float64) for split, part in texts.items()
        }
        found += of_numbers(name + of, values, evidence.source)
    for name, call in _NAMES.items():
        named = {split: [call(text) for text in part] for split, part in texts.items()}
        found += of_texts(name + of, named, evidence.source, evidence.warn)
    return found


def _texts(evidence: Evidence, split: str) -> Texts:
    inputs = evidence.inputs(split)
    assert isinstance(inputs, Texts)
    return inputs


def _finding(evidence: Evidence, hit: Hit, candidates: Sequence[Candidate]) -> Finding:
    candidate, label = hit.candidate, evidence.class_names[hit.label_index]
    addition = _addition(candidate)
    twin = _changed(evidence, hit, addition) if addition else None
    return Finding(
        name=short_name(candidate.column, candidate.value.removeprefix("= ")),
        finder="text-properties",
        label_index=hit.label_index,
        presence=candidate.presence,
        statement=f"Texts with {candidate.column} {candidate.value} are predicted {label} more often",
        shown={"column": candidate.column, "value": candidate.value},
        details={
            "z_association": round(hit.association, 2),
            "z_push": None if hit.push is None else round(hit.push, 2),
        },
        counterfactual=twin,
        addition=addition,
        values=value_rows(evidence, candidates, candidate.column),
        doubt="" if twin is not None else _DOUBT.format(candidate.column),
    )


def _addition(candidate: Candidate) -> Addition | None:
    """The change of a text to the value of the candidate; None for a property that cannot be changed separately."""
    name, _, number = candidate.column.partition(" of text ")
    if name not in CHANGES:
        return None
    value = candidate.value.removeprefix("= ")
    return Addition(TEXT_PROPERTY, {"property": name, "value": value, "column": int(number) - 1 if number else 0})


def _changed(evidence: Evidence, hit: Hit, addition: Addition) -> Counterfactual | None:
    candidate, split = hit.candidate, evidence.held_out
    if evidence.ask is None:
        return None
    wanted = (evidence.label(split) != hit.label_index) & (candidate.presence[split] < 0.5)
    index = np.flatnonzero(wanted & (evidence.half(split) == 1))[:_MOST_CHANGED]
    if not len(index):
        return None
    changed = added_to(addition, _texts(evidence, split), index)
    assert isinstance(changed, Texts)
    texts = changed.read(np.arange(len(index)))
    second = evidence.second_ask(texts) if evidence.second_ask is not None else None
    return Counterfactual(index, evidence.ask(texts), second)
