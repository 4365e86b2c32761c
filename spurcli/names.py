"""Names that users write: classes, attributes, groups, splits. One canonical form, and a warning about look-alikes.

`canonical` is applied silently: a composed and a decomposed accent (macOS), or an invisible character, are the same name.
What may be a typing mistake or may be meant (Ant and ant, 1 and True) stays two names, and `warn_alike` says so.
Ids, paths and texts are never changed.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from decimal import Decimal

from spurcli.errors import SpurWarning

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,2})?")
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]")
# Words that only programs write, never a person as the name of a class.
_MISSING = frozenset(
    {"", "nan", "-nan", "<na>", "nat", "#n/a", "#na", "#n/a n/a", "#null!", "#value!", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind",
     "#nv", "#n/d", "#name?", "#ref!", "#div/0!", "#num!", "#wert!", "#bezug!", "#zahl!", "#nom?", "#valeur!"}
)  # fmt: skip
# Missing in most files, but also Namibia, "no glasses", and so on.
_PERHAPS_MISSING = frozenset({"na", "n/a", "n.a.", "none", "null", "nil", "missing", "?", "-", "--", "."})
_JOINERS = "\u200c\u200d"  # part of the spelling in Persian and Hindi, and of emoji
_TRUTH = {"true": "1", "false": "0", "yes": "1", "no": "0"}
_LETTERS = {"t": "1", "f": "0", "y": "1", "n": "0"}  # truths only where nothing else is in the column
_MARKS = "\"'`\u00b4\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"  # quotation marks
_LOOK_LATIN = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455\u0501\u03bf\u03b1\u03bd\u03c1\u0131",
    "abekmhopctyxijsdoavpi",
)  # Cyrillic, Greek and Turkish letters that print as Latin ones
_SHOWN = 3


def canonical(text: str) -> str:
    """The form of a name that is compared and shown: Unicode NFC, without invisible characters, stripped.

    Any kind of space is a plain one. An empty name stays empty.
    """
    if text.isascii():
        return text.strip()
    composed = unicodedata.normalize("NFC", text)
    kept = []
    for place, char in enumerate(composed):
        category = unicodedata.category(char)
        if category == "Zs":
            kept.append(" ")
        elif category != "Cf" or (char in _JOINERS and _joins(composed, place)):
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def _joins(text: str, place: int) -> bool:
    """Whether the joiner there is between two characters that use joiners: none of them does in Latin script."""
    return 0 < place < len(text) - 1 and not text[place - 1].isascii() and not text[place + 1].isascii()


def canonical_values(written: Iterable[str]) -> dict[str, str]:
    """The name of each different value of a column: `canonical`, and for numbers their shortest spelling.

    Only if all values are numbers are 1.0 and 1e0 the class 1. Numbers with leading zeros (007) are codes, and stay.
    """
    names = {value: canonical(value) for value in written}
    if all(NUMBER.fullmatch(name) for name in names.values() if not is_missing(name)):
        return {value: _plain_number(name) for value, name in names.items()}
    return names


def alike_key(name: str) -> str:
    """A key that is equal for names that may be the same: Ant and ant, 1 and 01 and True, land_bird and land bird."""
    plain = unicodedata.normalize("NFKC", canonical(name)).casefold().replace("\u2212", "-")
    plain = plain.strip(_MARKS).strip() or plain
    number = plain.replace(",", ".") if plain.count(",") == 1 else plain
    if NUMBER.fullmatch(number):
        return format(Decimal(number).normalize() + 0, "f")
    plain = _TRUTH.get(plain, plain)
    plain = _without_marks(plain).translate(_LOOK_LATIN)
    plain = re.sub(r"(?<=[^\W_])[\s_\-\u2010-\u2015]+(?=[^\W_])", _between, plain)
    return plain.strip(" _") or plain


def matched(theirs: Sequence[str], ours: Sequence[str]) -> list[int] | None:
    """For each of our names the place of the same one among `theirs`; None unless each name has one counterpart.

    Names that differ only by Unicode form, case or separators are the same if no two of one side are.
    """
    for key in (canonical, lambda name: canonical(name).casefold(), alike_key):
        place = {key(name): number for number, name in enumerate(theirs)}
        wanted = [key(name) for name in ours]
        if len(place) == len(theirs) == len(set(wanted)) == len(wanted) and set(wanted) == set(place):
            return [place[name] for name in wanted]
    return None


def is_missing(value: str) -> bool:
    """Whether a value stands for an empty cell: nothing, nan, <NA>, NaT, #N/A and other markers that only programs write."""
    return canonical(value).lower() in _MISSING


def may_be_missing(value: str) -> bool:
    """Whether a value may stand for an empty cell and may be a name: NA, N/A, None, null, ?."""
    return canonical(value).lower() in _PERHAPS_MISSING


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The sets of different names that may be the same, each in the order of `names`."""
    found: dict[str, dict[str, None]] = {}
    keys = {name: alike_key(name) for name in names}
    truths = all(key in ("0", "1") or key in _LETTERS for key in keys.values())
    for name, key in keys.items():
        found.setdefault(_LETTERS.get(key, key) if truths else key, {})[name] = None
    return [tuple(same) for same in found.values() if len(same) > 1]


def warn_alike(names: Iterable[str], what: str, where: str, advice: str = "", *, stacklevel: int = 2) -> None:
    """One SpurWarning for all of `names` that may be the same; `what` is their plural noun (classes), `where` the file.

    `advice` replaces the sentence that says what to do.
    """
    found = alike(names)
    if not found:
        return
    shown = "; ".join(" and ".join(_distinct(same)) for same in found[:_SHOWN])
    more = f" (and {len(found) - _SHOWN:,} more)" if len(found) > _SHOWN else ""
    warnings.warn(
        SpurWarning(
            f"{where}: {what} that may be the same: {shown}{more}. {advice or 'If they are, use the same spelling in the data.'}"
        ),
        stacklevel=stacklevel + 1,
    )


def escaped(name: str) -> str:
    """A name with each character that is not plain ASCII as its escape, as in `caf\\u00e9`."""
    return name.encode("unicode_escape").decode()


def _distinct(names: Sequence[str]) -> list[str]:
    """Names for people; those that would print alike are escaped."""
    looks = [_without_invisible(name).translate(_LOOK_LATIN) for name in names]
    return [
        escaped(name) if looks.count(look) > 1 or not name.isprintable() else name
        for name, look in zip(names, looks, strict=True)
    ]


def _without_invisible(name: str) -> str:
    return "".join(
        char for char in unicodedata.normalize("NFKC", name) if unicodedata.category(char) not in ("Cf", "Mn")
    )


def _without_marks(text: str) -> str:
    """Latin letters without their accents; the marks of other scripts make other letters, and stay."""
    kept: list[str] = []
    for char in unicodedata.normalize("NFD", text):
        if unicodedata.category(char) == "Mn" and kept and ("a" <= kept[-1] <= "z" or char in "\ufe0e\ufe0f"):
            continue
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def _between(found: re.Match[str]) -> str:
    """Separators inside a word are nothing, but between digits they separate: 1-0 is not 10."""
    text, start, end = found.string, found.start(), found.end()
    return "-" if text[start - 1].isdigit() and text[end].isdigit() else ""


def _plain_number(name: str) -> str:
    if not NUMBER.fullmatch(name) or _LEADING_ZERO.match(name):
        return name
    return format(Decimal(name).normalize() + 0, "f")
