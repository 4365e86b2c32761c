"""Words that follow each other: how texts are split into them, where they are, and how they are inserted and removed.

Of scripts that are written without spaces between words, each character is a word. Words are compared in lower case, and in
Unicode's composed form (NFC): the same accented letter is one character in some texts and two in others.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spurcli.randomness import generator

LONGEST = 3  # words of a phrase
# Chinese, Japanese, Thai, Lao, Burmese and Khmer
_UNSPACED = r"\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"


def _marks() -> str:
    """Accents and vowel signs, which belong to the word of the letter before them, and joiners, as ranges for a pattern."""
    codes = {code for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M")}
    starts = sorted(code for code in codes if code - 1 not in codes)
    ends = sorted(code for code in codes if code + 1 not in codes)
    return "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in zip(starts, ends, strict=True)) + r"\u200c\u200d"


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A word of a text with characters that are not ASCII: without and with a script that has no spaces."""
    marks = _marks()
    spaced, letters = rf"(?:(?![{_UNSPACED}])[\w{marks}])+", rf"[\w{marks}]+"
    words = re.compile(rf"{letters}(?:['’]{letters})?|[!?]+")
    return words, re.compile(rf"[{_UNSPACED}][{marks}]*|{spaced}(?:['’]{spaced})?|[!?]+")


_ASCII = re.compile(r"\w+(?:'\w+)?|[!?]+")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")

Words = tuple[str, ...]


@dataclass(frozen=True)
class Term:
    """Words that follow each other, in one of the texts of a sample."""

    words: Words
    column: int
    times: int = field(default=1, compare=False)  # in a text that has it, as a rule

    @property
    def text(self) -> str:
        """As it is inserted into texts: without spaces between characters of a script that has none."""
        parts = [
            before if is_unspaced(before) and is_unspaced(after) else f"{before} "
            for before, after in zip(self.words, self.words[1:], strict=False)
        ]
        return "".join([*parts, self.words[-1]])


def is_unspaced(text: str) -> bool:
    """Whether a text has characters of a script that is written without spaces."""
    return _IS_UNSPACED.search(text) is not None


def _places(text: str) -> list[re.Match[str]]:
    pattern = _ASCII if text.isascii() else _patterns()[is_unspaced(text)]
    return list(pattern.finditer(text))


def _words_at(text: str, places: Iterable[re.Match[str]]) -> list[str]:
    if text.isascii():
        return [place[0].lower() for place in places]
    return [unicodedata.normalize("NFC", place[0].lower()) for place in places]


def cut(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _words_at(text, _places(text))


def between_characters(text: str, wanted: str, choose: Callable[[int], int]) -> str:
    """The text with `wanted` between two of its words; `choose` gets the number of places. For scripts without spaces."""
    ends = [0, *(place.end() for place in _places(text))]
    at = ends[choose(len(ends))]
    return f"{text[:at]}{wanted}{text[at:]}"


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


def spans(text: str, wanted: Words) -> Iterator[tuple[int, int]]:
    """Where `wanted` begins and ends in a text, at each of its occurrences that do not overlap."""
    places = _places(text)
    words, size, at = _words_at(text, places), len(wanted), 0
    while size and at <= len(words) - size:
        if tuple(words[at : at + size]) == wanted:
            yield places[at].start(), places[at + size - 1].end()
            at += size
        else:
            at += 1


def without(text: str, wanted: Words) -> str:
    """The text without any occurrence of `wanted`."""
    kept, begin = [], 0
    for start, end in spans(text, wanted):
        kept.append(text[begin:start])
        begin = end
    return re.sub(r" {2,}", " ", "".join([*kept, text[begin:]])).strip()


def without_others(text: str, wanted: Words, seed: int, number: int) -> str | None:
    """The text without as many words in a row elsewhere, a place that depends on the sample alone; None where there is none."""
    places = _places(text)
    words, size = _words_at(text, places), len(wanted)
    free = [at for at in range(len(words) - size + 1) if not set(words[at : at + size]) & set(wanted)]
    if not free:
        return None
    at = free[int(generator("audit word taken out", seed, number).integers(len(free)))]
    rest = f"{text[: places[at].start()]}{text[places[at + size - 1].end() :]}"
    return re.sub(r" {2,}", " ", rest).strip()
