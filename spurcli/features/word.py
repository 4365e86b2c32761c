"""A word added to a text: "never" at the end of a contradiction's hypothesis (the paper, App. A.4)."""

from __future__ import annotations

import numpy as np

from spurcli.errors import UsageError
from spurcli.words import counted


def word(
    texts: tuple[str, ...],
    rng: np.random.Generator,  # noqa: ARG001 - every feature is given one
    *,
    word: str = "never",
    place: str = "end",
    column: int = -1,
) -> tuple[str, ...]:
    """Put `word` into one of the texts, the last one by default, at the "end", the "start", or after N words.

    Words are separated by spaces; a text of fewer than N words gets `word` at its end. Commas, full stops and capital
    letters do not change.
    """
    if not word.strip():
        raise UsageError("The word to insert is empty", "Name one: --set feature.word=never")
    if not -len(texts) <= column < len(texts):
        raise UsageError(
            f"feature.column = {column}, but a sample has {counted(len(texts), 'text')}",
            "Count from 0, or from the last: -1.",
        )
    words = texts[column].split(" ")
    if place == "end":
        position = len(words)
    elif place == "start" or place.isdecimal():
        position = int(place) if place.isdecimal() else 0
    else:
        raise UsageError(f"feature.place = {place!r} is not valid", "Use end, start, or a number of words.")
    changed = " ".join([*words[:position], word, *words[position:]]) if texts[column] else word
    number = column % len(texts)
    return (*texts[:number], changed, *texts[number + 1 :])
