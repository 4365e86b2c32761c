"""The names of the classes that programs store with weights, under any key, in the order of the model's outputs.

No torch here: the search covers plain values (dicts, lists, texts) and the stand-ins of `saved_torch`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spurcli.errors import InputError
from spurcli.names import matched

_DEPTH, _MOST_ENTRIES, _MOST_CLASSES = 3, 256, 100_000
# Keys that mean the classes, in lower case and without separators; other lists under such a key count only with the same names.
_LISTS = ("classnames", "classes", "labelnames", "labels", "categories", "targetnames")
_CLASS = "(?:class|cls|label|category|cat|target|name)(?:e?s|ies)?(?:names?)?"
_NUMBER = "(?:idx|index|indices|id|int|ix|num|number)s?"
_TO_INDEX = re.compile(rf"{_CLASS}(?:to|2){_NUMBER}|(?:class|label)(?:indices|index)")
_FROM_INDEX = re.compile(rf"{_NUMBER}(?:to|2){_CLASS}")
_DTYPE = re.compile(r"[<>=|]?U(\d+)")


@dataclass(frozen=True)
class Naming:
    """One list of names that a file holds: the keys that lead to it, and the names in the order of the outputs.

    `is_told` is whether its key says that these are the classes.
    """

    key: str
    names: tuple[str, ...]
    is_told: bool


def namings(content: Any, path: str = "", depth: int = 0) -> Iterator[Naming]:
    """Everything in `content` that gives each of some outputs a name, outermost first."""
    held = entries(content)[:_MOST_ENTRIES]
    for key, value in held:
        here = f"{path}.{key}" if path else str(key)
        yield from _naming(here, re.sub(r"[\W_]", "", str(key)).casefold(), value)
    if depth < _DEPTH:
        for key, value in held:
            yield from namings(value, f"{path}.{key}" if path else str(key), depth + 1)


def names_of(found: Sequence[Naming], ours: Sequence[str], where: str) -> tuple[str, ...] | None:
    """The names in the order of the outputs that fit the classes `ours`; else those that the file calls its classes.

    Names under any key count if they are those of `ours`. None where there is nothing of that length. Raises InputError
    where the file has the names in several orders.
    """
    fits = [(naming, order) for naming in found if (order := matched(naming.names, ours)) is not None]
    fits = [fit for fit in fits if fit[0].is_told] or fits
    if not fits:
        told = (naming.names for naming in found if naming.is_told and len(naming.names) == len(ours))
        return next(told, None)
    first, order = fits[0]
    if other := next((naming for naming, another in fits if another != order), None):
        raise InputError(
            f"{where} names its classes in two orders: {first.key} ({_shown(first)}) and {other.key} ({_shown(other)})",
            f"Name the order of the outputs: --set model.options.class_order={','.join(first.names)}",
        )
    return first.names


def _shown(naming: Naming) -> str:
    return ", ".join(naming.names[:4]) + (", …" if len(naming.names) > 4 else "")


def entries(content: Any) -> list[tuple[Any, Any]]:
    """What an object holds by name: a dict, or the state of an object that was not made."""
    if not isinstance(content, dict):
        content = getattr(content, "state", None)
    return list(content.items()) if isinstance(content, dict) else []


def _naming(path: str, key: str, value: Any) -> Iterator[Naming]:
    if isinstance(value, dict):
        names, is_told = _names_in_dict(key, value)
    else:
        names, is_told = _names_in_list(value), key in _LISTS
        if not is_told and names and not all(isinstance(name, str) for name in value_list(value)):
            return  # numbers of devices or of layers
    if names and (is_told or not all(name.isdecimal() for name in names)):
        yield Naming(path, names, is_told)


def _names_in_dict(key: str, value: dict[Any, Any]) -> tuple[tuple[str, ...] | None, bool]:
    """Names by the number of their output, and whether the key says so. Either side of the entries may be the numbers."""
    if not value or len(value) > _MOST_CLASSES:
        return None, False
    forward = _numbered((number, name) for number, name in value.items())
    backward = _numbered((number, name) for name, number in value.items())
    if _TO_INDEX.fullmatch(key):
        return backward, True
    if _FROM_INDEX.fullmatch(key):
        return forward, True
    is_told = key in _LISTS
    return (None, False) if forward and backward and forward != backward else (forward or backward, is_told)


def _numbered(pairs: Iterable[tuple[Any, Any]]) -> tuple[str, ...] | None:
    try:
        by_number = {_index(number): _name(name) for number, name in pairs}
    except (TypeError, ValueError, OverflowError):
        return None
    if list(range(len(by_number))) != sorted(by_number):
        return None
    return _meant(by_number[number] for number in range(len(by_number)))


def _index(value: Any) -> int:
    if type(value) is int or (isinstance(value, str) and value.isascii() and value.isdecimal()):
        return int(value)
    raise ValueError(value)


def _name(value: Any) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    raise TypeError(value)


def _names_in_list(value: Any) -> tuple[str, ...] | None:
    listed = value_list(value)
    if not listed or len(listed) > _MOST_CLASSES or not all(isinstance(name, str | int) for name in listed):
        return None
    return _meant(map(str, listed))


def value_list(value: Any) -> list[Any]:
    """The elements of a list, a tuple, a text with commas, or of a NumPy array of texts that was not made."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str) and 0 < value.count(",") < _MOST_CLASSES:
        return [name.strip() for name in value.split(",")]
    state = getattr(value, "state", None)
    if not isinstance(state, tuple) or len(state) != 5:  # version, shape, dtype, order, content
        return []
    told, raw = getattr(state[2], "arguments", ()), state[4]
    if isinstance(raw, list):
        return raw
    kind = _DTYPE.fullmatch(told[0]) if told and isinstance(told[0], str) else None
    size = 4 * int(kind[1]) if kind and len(kind[1]) < 6 else 0
    if not size or not isinstance(raw, bytes) or len(raw) % size:
        return []
    parts = [raw[start : start + size] for start in range(0, len(raw), size)]
    return [part.decode("utf-32-le", errors="replace").rstrip("\0") for part in parts]


def _meant(names: Iterable[str]) -> tuple[str, ...] | None:
    """`names` unless they only count (LABEL_0, LABEL_1, …), which transformers writes where it knows none."""
    found = tuple(names)
    counted = all(name.casefold() == f"label_{number}" for number, name in enumerate(found))
    return found if found and not counted and len(set(found)) == len(found) else None
