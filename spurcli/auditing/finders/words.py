"""Words and short phrases: more frequent with a class than elsewhere; inserted into texts of other classes, they move the model towards the class, and
removed from texts that have them, they move it away."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.artifacts.addition import WORDS, Addition
from spurcli.auditing.additions import with_words
from spurcli.auditing.candidates import MOST_CLASSES
from spurcli.auditing.evidence import Ask, Evidence
from spurcli.auditing.removal import taken_out
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.auditing.terms import LONGEST, Term, Words, cut, frequent, has, phrases, terms_of, times_in
from spurcli.datasets import Texts
from spurcli.errors import UsageError
from spurcli.evaluation.reliance import margin
from spurcli.randomness import generator

_LEAST = 10  # training texts that have it
_PROMISING = 3.0  # z of p(y | word) against p(y) on half 0
_TRIED = 60  # number of words that are inserted into texts of half 0, over all classes
_TEXTS = 64  # texts that each is inserted into
_MOST_CHANGED = 400  # texts for the test
_NUM_CONTROLS = 8
_MOST_COUNTED = 2000  # texts
_MOST = 20  # words of all classes together
_ALONE = 1.2  # a part of a phrase with up to this many times as many texts does not occur independently


@dataclass(frozen=True)
class _Ranked:
    """A term with the class that it is linked to: z of p(y | term) against p(y), and how many texts of the class have it, in half 0."""

    term: Term
    label_index: int
    z: float
    count: int


def find(evidence: Evidence, *, word: Sequence[str] = (), most: int = 5) -> list[Finding]:
    """The `most` suspicious words of each class (or phrases of up to three words), or those that are named; tested by putting them into texts.

    Gardner et al., "Competency Problems", EMNLP 2021: z of p(y | word) against p(y). If a model is available, the words with
    the highest z are inserted into texts of other classes, and those with the largest push times number of texts are kept.
    """
    if evidence.kind != "texts":
        if word:
            raise UsageError("--word applies to texts only", "Remove it.")
        return []
    inputs = _texts(evidence, evidence.source)
    tokens = [_tokens(evidence, evidence.source, column) for column in range(len(inputs.columns))]
    for named in word:
        if not 1 <= len(cut(named)) <= LONGEST:
            raise UsageError(f"--word {named!r} has {len(cut(named))} words", f"Name one to {LONGEST} words.")
    asked = [Term(tuple(cut(named)), column) for named in word for column in range(len(tokens))]
    linked = ranked = _associated(evidence, tokens, asked)
    if evidence.ask is not None:
        ranked = _pulling(evidence, evidence.ask, linked)
    found = []
    for each in ranked if asked else _of_each_class(ranked, most):
        found.append(_finding(evidence, each))
    for term in asked:
        if all(term != each.term for each in ranked):
            evidence.warn(f"{_called(term, inputs)}: no suspect; {_why_not(evidence, term, linked)}")
    return found


def _why_not(evidence: Evidence, term: Term, linked: Sequence[_Ranked]) -> str:
    """Why a named word is not examined."""
    mine = next((each for each in linked if each.term == term), None)
    if mine is not None:
        return f"put into texts, it does not move the model towards {evidence.class_names[mine.label_index]}, to which it is linked most"
    texts = _tokens(evidence, evidence.source, term.column)
    if any(has(words, term.words) for words in texts):
        return "it is rare in training, or a part of another named word"
    return "no training text has it"


def seconds(evidence: Evidence, *, word: Sequence[str] = ()) -> float:
    """Estimated seconds of `find`, from some texts split into words and the number of model calls."""
    tried = len(word) * len(_texts(evidence, evidence.source).columns) if word else _TRIED
    sizes = {split: len(label) for split, label in evidence.labels.items()}
    some = _texts(evidence, evidence.held_out).read(np.arange(min(100, sizes[evidence.held_out]), dtype=np.int64))
    began = time.monotonic()
    for sample in some:
        for text in sample:
            terms_of(cut(text))
    each = (time.monotonic() - began) / max(1, len(some))
    num_found, num_texts = min(tried, _MOST), sizes[evidence.held_out]
    asked = tried * min(_TEXTS, num_texts) + 3 * num_found * min(_MOST_CHANGED, num_texts)
    return 5 * each * sum(sizes.values()) + evidence.pace * asked


def _texts(evidence: Evidence, split: str) -> Texts:
    inputs = evidence.inputs(split)
    assert isinstance(inputs, Texts)
    return inputs


def _tokens(evidence: Evidence, split: str, column: int) -> list[list[str]]:
    """The words of each text of a split."""
    texts = _texts(evidence, split).columns[column]
    found: list[list[str]] = evidence.once(f"words of text {column}", split, lambda: [cut(text) for text in texts])
    return found


def _associated(evidence: Evidence, tokens: Sequence[list[list[str]]], asked: Sequence[Term]) -> list[_Ranked]:
    """Words with the class whose share among their texts is highest above its share of all, by z, on half 0."""
    half, label = evidence.half(evidence.source), evidence.label(evidence.source)
    chosen = np.flatnonzero(half == 0).tolist()
    shares = np.bincount(label[half == 0], minlength=len(evidence.class_names)) / max(1, len(chosen))
    classes = evidence.classes(MOST_CLASSES)
    evidence.progress.start("words", len(chosen) * len(tokens))
    found = []
    for column, texts in enumerate(tokens):
        wanted = {term.words for term in asked if term.column == column}
        counts = frequent((texts[row] for row in chosen), 1 if asked else _LEAST)
        kept = wanted & set(counts) if asked else set(counts)
        by_class: dict[Words, Counter[int]] = {term: Counter() for term in kept}
        for row in chosen:
            for term in kept.intersection(terms_of(texts[row])):
                by_class[term][int(label[row])] += 1
            evidence.progress.advance(1)
        for term, mine in by_class.items():
            total = counts[term]
            z, y = max((_z(mine[y] / total, shares[y], total), y) for y in classes)
            if z > (_PROMISING if not asked else -math.inf):
                found.append(_Ranked(Term(term, column), y, z, mine[y]))
    found.sort(key=lambda each: (-each.z, each.term.text))
    return _without_parts(found)


def _z(share: float, expected: float, count: int) -> float:
    return (share - expected) / math.sqrt(max(expected * (1 - expected), 1e-9) / count)


def _without_parts(found: list[_Ranked]) -> list[_Ranked]:
    """One term for those that contain each other, for the same class: the one that ranks highest, or the longest of those that
    occur in nearly the same texts."""
    kept: list[_Ranked] = []
    for each in found:
        near = [one for one in kept if (one.term.column, one.label_index) == (each.term.column, each.label_index)]
        parts = [one for one in near if _holds(each.term.words, one.term.words)]
        if any(_holds(one.term.words, each.term.words) and each.count <= _ALONE * one.count for one in near):
            continue
        if any(one.count > _ALONE * each.count for one in parts):
            continue
        if parts:
            place = kept.index(parts[0])
            kept[place] = each
        else:
            kept.append(each)
        kept = [one for one in kept if one not in parts]
    return kept


def _of_each_class(ranked: Sequence[_Ranked], most: int) -> list[_Ranked]:
    """The first of each class: the content of a class also ranks high, and one class could otherwise hide the others."""
    seen: Counter[int] = Counter()
    chosen = []
    for each in ranked:
        seen[each.label_index] += 1
        if seen[each.label_index] <= most:
            chosen.append(each)
    return chosen[:_MOST]


def _holds(words: Words, part: Words) -> bool:
    return part in set(phrases(words, len(part)))


def _pulling(evidence: Evidence, ask: Ask, ranked: Sequence[_Ranked]) -> list[_Ranked]:
    """The words by how far they move texts of other classes, on half 0, times the number of texts that have them."""
    tried = [replace(each, term=_as_often(evidence, each.term)) for each in ranked[:_TRIED]]
    split = evidence.held_out
    label, half = evidence.label(split), evidence.half(split)
    evidence.progress.start("putting words into texts", len(tried))
    pulls = []
    for each in tried:
        term, y = each.term, each.label_index
        index = _other_texts(evidence, y, np.flatnonzero((label != y) & (half == 0)))[:_TEXTS]
        pull = 0.0
        if len(index) and evidence.left() > 0:
            texts = _texts(evidence, split).read(index)
            before = evidence.logits(split)[index]
            after = ask(_put(evidence, texts, index, term))
            pull = float(np.median(margin(after, [y]) - margin(before, [y])))
        pulls.append((pull * each.count, each))
        evidence.progress.advance(1)
    pulls.sort(key=lambda pair: -pair[0])
    return [each for harm, each in pulls if harm > 0]


def _as_often(evidence: Evidence, term: Term) -> Term:
    """The term as often as it is in half of the texts of half 0 that have it."""
    texts = _tokens(evidence, evidence.source, term.column)
    rows = np.flatnonzero(evidence.half(evidence.source) == 0)[:_MOST_COUNTED].tolist()
    counts = [count for row in rows if (count := times_in(texts[row], term.words))]
    return replace(term, times=int(np.median(counts))) if counts else term


def _other_texts(evidence: Evidence, y: int, index: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(generator("audit words", evidence.seed, y).permutation(index), dtype=np.int64)


def _put(
    evidence: Evidence, texts: Sequence[tuple[str, ...]], index: NDArray[np.int64], term: Term
) -> list[tuple[str, ...]]:
    """Each text with the words between two of its own."""
    said = _said(evidence, term)
    return [with_words(sample, number, **said) for number, sample in zip(index.tolist(), texts, strict=True)]


def _said(evidence: Evidence, term: Term) -> dict[str, Any]:
    return {"text": term.text, "column": term.column, "times": term.times, "seed": evidence.seed}


def _finding(evidence: Evidence, ranked: _Ranked) -> Finding:
    term, y, presence = ranked.term, ranked.label_index, {}
    for split in evidence.splits:
        texts = _tokens(evidence, split, term.column)
        presence[split] = np.array([has(words, term.words) for words in texts], dtype=np.float32)
    name, label = _called(term, _texts(evidence, evidence.source)), evidence.class_names[y]
    facts, p_taken_out = taken_out(evidence, term, y, presence[evidence.held_out])
    return Finding(
        name=short_name("word", name),
        finder="words",
        label_index=y,
        presence=presence,
        statement=f"Texts with {name!r} are predicted {label} more often",
        shown={"words": [term.text]},
        details={"z": round(float(ranked.z), 2), "text": term.column + 1, **facts},
        p_further=p_taken_out,
        counterfactual=_counterfactual(evidence, term, y, presence[evidence.held_out]),
        addition=Addition(WORDS, _said(evidence, term)),
    )


def _called(term: Term, inputs: Texts) -> str:
    return term.text if len(inputs.columns) == 1 else f"{term.text} (text {term.column + 1})"


def _counterfactual(evidence: Evidence, term: Term, y: int, presence: NDArray[np.float32]) -> Counterfactual | None:
    """Texts of half 1 without the word, with the word inserted; the control has inserted words that are not linked to a class."""
    if evidence.ask is None:
        return None
    split = evidence.held_out
    wanted = (evidence.half(split) == 1) & (presence < 0.5) & (evidence.label(split) != y)
    index = np.sort(_other_texts(evidence, y, np.flatnonzero(wanted))[:_MOST_CHANGED])
    if not len(index):
        return None
    texts = _texts(evidence, split).read(index)
    with_it = _put(evidence, texts, index, term)
    neutral = _neutral(evidence, term, y)
    controls = [
        _put(evidence, [text], index[row : row + 1], neutral[row % len(neutral)])[0] if neutral else text
        for row, text in enumerate(texts)
    ]
    return Counterfactual.asked(index, with_it, controls, evidence.ask, evidence.second_ask)


def _neutral(evidence: Evidence, term: Term, y: int) -> list[Term]:
    """Words about as frequent as `term`, of the same number of words, that are linked to the class only by chance."""
    label, half = evidence.label(evidence.source), evidence.half(evidence.source)
    texts = _tokens(evidence, evidence.source, term.column)
    rows = np.flatnonzero(half == 0).tolist()[:20_000]
    counts: Counter[Words] = Counter()
    mine: Counter[Words] = Counter()
    for row in rows:
        terms = set(phrases(texts[row], len(term.words)))
        counts.update(terms)
        if label[row] == y:
            mine.update(terms)
    share = float((label[rows] == y).mean())
    frequency = max(counts[term.words], _LEAST)
    close = [
        each
        for each, count in counts.items()
        if each != term.words and count >= _LEAST and abs(_z(mine[each] / count, share, count)) < 1
    ]
    close.sort(key=lambda each: (abs(math.log(counts[each] / frequency)), each))
    return [Term(each, term.column, term.times) for each in close[:_NUM_CONTROLS]]
