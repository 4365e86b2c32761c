"""Words that follow each other: how texts are split into them, where they are, and how they are inserted and removed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spurcli.randomness import generator

LONGEST = 3  # words of a phrase
_WORD = re.compile(r"\w+(?:['’]\w+)?|[!?]+", re.UNICODE)

Words = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """Words that follow each other, in one of the texts of a sample."""

    words: Words
    column: int
    times: int = field(default=1, compare=False)  # in a text that has it, as a rule

    @property
    def text(self) -> str:
        return " ".join(self.words)


def cut(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [found[0].lower() for found in _WORD.finditer(text)]


def phrases(words: Sequence[str], length: int) -> Iterator[Words]:
    return (tuple(words[place : place + length]) for place in range(len(words) - length + 1))


def terms_of(words: Sequence[str]) -> set[Words]:
    """The words and phrases of a text, each once."""
    return {term for length in range(1, LONGEST + 1) for term in phrases(words, length)}


def frequent(texts: Iterable[Sequence[str]], least: int) -> Counter[Words]:
    """The words and phrases that at least `least` texts have, with how many have them.

    A longer phrase is counted where its parts are frequent, so that the rare ones, which are most, take no memory.
    """
    texts = list(texts)
    found: Counter[Words] = Counter()
    for length in range(1, LONGEST + 1):
        counts: Counter[Words] = Counter()
        for words in texts:
            mine = set(phrases(words, length))
            counts.update(term for term in mine if length == 1 or (term[1:] in found and term[:-1] in found))
        found.update({term: count for term, count in counts.items() if count >= least})
    return found


def has(words: Sequence[str], wanted: Words) -> bool:
    return wanted[0] in words if len(wanted) == 1 else wanted in set(phrases(words, len(wanted)))


def times_in(words: Sequence[str], wanted: Words) -> int:
    return sum(term == wanted for term in phrases(words, len(wanted)))


def without(text: str, wanted: Words) -> str:
    """The text without any occurrence of `wanted`."""
    places = list(_WORD.finditer(text))
    words, size = [place[0].lower() for place in places], len(wanted)
    kept, begin, at = [], 0, 0
    while at <= len(words) - size:
        if tuple(words[at : at + size]) == wanted:
            kept.append(text[begin : places[at].start()])
            begin = places[at + size - 1].end()
            at += size
        else:
            at += 1
    return re.sub(r" {2,}", " ", "".join([*kept, text[begin:]])).strip()


def without_others(text: str, wanted: Words, seed: int, number: int) -> str | None:
    """The text without as many words in a row elsewhere, a place that depends on the sample alone; None where there is none."""
    places = list(_WORD.finditer(text))
    words, size = [place[0].lower() for place in places], len(wanted)
    free = [at for at in range(len(words) - size + 1) if not set(words[at : at + size]) & set(wanted)]
    if not free:
        return None
    at = free[int(generator("audit word taken out", seed, number).integers(len(free)))]
    rest = f"{text[: places[at].start()]}{text[places[at + size - 1].end() :]}"
    return re.sub(r" {2,}", " ", rest).strip()
