"""Accuracies that programs store with weights.

No torch here: the search covers plain values and the stand-ins of `saved_torch`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spurcli.artifacts.saved_names import entries

_DEPTH, _MOST_ENTRIES, _MOST_EPOCHS = 3, 256, 10_000
_WORD = "best|max|highest|val|valid|validation|test|eval|dev|final|last|mean|avg|average|top1|top|model|metric|multiclass|epoch"
_KEY = re.compile(rf"(?:{_WORD})*(?:accuracy|acc|prec|precision)@?(?:top)?1?(?:{_WORD})*|(?:{_WORD})*top1")
_FORMATS = {"f8": "d", "f4": "f", "f2": "e"}


@dataclass(frozen=True)
class NotedAccuracy:
    """An accuracy 0 … 1 that a file notes under `key`: of validation or test, as that of training is left out."""

    key: str
    share: float


def noted_accuracies(content: Any, path: str = "", depth: int = 0) -> Iterator[NotedAccuracy]:
    """The accuracies in `content`; above 1 they are percentages."""
    for key, value in entries(content)[:_MOST_ENTRIES]:
        here = f"{path}.{key}" if path else str(key)
        plain = re.sub(r"[^a-z0-9@]", "", str(key).casefold())
        number = _number(value) if _KEY.fullmatch(plain) and "train" not in here.casefold() else None
        if number is not None and 0 < number <= 100 and not (number == 1 and isinstance(value, int)):
            yield NotedAccuracy(here, number if number <= 1 else number / 100)
        if depth < _DEPTH:
            yield from noted_accuracies(value, here, depth + 1)


def best_of_epochs(records: Any) -> Iterator[NotedAccuracy]:
    """The best accuracy of each kind in a list of records, one an epoch, as transformers' trainer_state.json has them."""
    found: dict[str, NotedAccuracy] = {}
    for record in records[:_MOST_EPOCHS] if isinstance(records, list) else []:
        for noted in noted_accuracies(record):
            if noted.key not in found or noted.share > found[noted.key].share:
                found[noted.key] = noted
    yield from found.values()


def _number(value: Any) -> float | None:
    """The value of a number, of a tensor with one element, or of a number of NumPy that was not made; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) <= 100 else None
    if getattr(value, "ndim", None) == 0 and callable(getattr(value, "item", None)):
        found = value.item()
        return _number(found) if isinstance(found, int | float) else None
    arguments: Any = getattr(value, "arguments", ())
    if len(arguments) != 2 or not isinstance(arguments[1], bytes):
        return None
    kind: Any = getattr(arguments[0], "arguments", ("",))
    letter = _FORMATS.get(kind[0]) if kind and isinstance(kind[0], str) else None
    if letter is None or len(arguments[1]) != struct.calcsize(letter):
        return None
    return _number(struct.unpack(f"<{letter}", arguments[1])[0])
