"""The meaning of the values of a split column: words, 0/1/2, flags such as is_train, or the option `split_values`."""

from __future__ import annotations

import difflib
import re
import shlex
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from spurcli.datasets.own.columns import option_flag
from spurcli.datasets.own.layout import split_look
from spurcli.datasets.own.splitting import KNOWN, split_name
from spurcli.datasets.tables import Table
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import canonical, canonical_values, is_missing, warn_alike
from spurcli.registry import Options
from spurcli.words import counted

_NUMBERED = {"0": "train", "1": "val", "2": "test"}  # as WILDS, Waterbirds and CelebA number them
_TRUE, _FALSE = ("1", "true", "yes", "t", "y"), ("0", "false", "no", "f", "n")
_FLAGS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "holdout"),
    "val": ("val", "valid", "validation", "dev"),
}
# What else the name of such a column may say; train_fold, not_train and train_score say something else.
_PLAIN = frozenset({"is", "in", "for", "used", "use", "as", "the", "set", "flag", "mask", "image", "images", "sample", "samples",
    "row", "data", "example", "split", "part", "of", "indicator"})  # fmt: skip
_CALLED = re.compile(r"split|subset|partition|phase|usage|fold|train|test|valid|(^|_)(set|part|stage|dataset)($|_)")
_MANY, _FEW = 20, 6


def splits_of(table: Table, column: str, meaning: Options) -> list[str]:
    """The split of each row by a column; `meaning` is the option split_values: from a value to a split's name.

    Words are read as `split_name` reads them; 0, 1 and 2 are train, val and test. In a column whose name says one split
    (is_train) true and 1 are that split, and a warning gives the counts. All other values that are not words are rejected:
    only 0 and 1, folds, true and false of any other column.

    Raises InputError that names the line of an empty value, or the option that says what the values mean.
    """
    plain = canonical_values(table[column])
    values = [plain[value] for value in table[column]]
    count = Counter(values)
    for value in count:
        if is_missing(value):
            raise InputError(f"{table.where(values.index(value))}: {column} is empty", "Write train, val or test.")
    where = f"{table.path}: {column}"
    if meaning:
        names = _as_told(table, column, values, meaning)
    else:
        names = _as_flag(column, count) or _as_numbers(column, count, where) or _as_words(column, count, where)
    if len(set(names.values())) > _MANY or "train" not in names.values():
        shown = ", ".join(value[:40] for value in sorted(names)[:5])
        hint = "Write train, val or test; or name another column with --split-column COLUMN."
        if len(count) <= _FEW and not set(names.values()) <= set(KNOWN):
            hint = f"Define the values: --set {shlex.quote(f'dataset.options.split_values={_option(sorted(count), count)}')}"
        raise InputError(f"{where} says {shown}, but no row is for training", hint)
    return [names[value] for value in values]


def _as_told(table: Table, column: str, values: list[str], meaning: Options) -> dict[str, str]:
    """Splits by the option; a value that it does not list is an error with its line."""
    for value, name in meaning.items():
        if not isinstance(name, str) or not name:
            raise UsageError(
                f"dataset.options.split_values: {value} is {name!r}, not the name of a split",
                f"Write {_option(list(dict.fromkeys(values)), Counter(values))}",
            )
    told = {canonical(value): split_name(name) for value, name in meaning.items()}
    told |= {canonical_values([value])[value]: name for value, name in told.items() if value not in values}
    for value in dict.fromkeys(values):
        if value not in told:
            raise InputError(
                f"{table.where(values.index(value))}: {column} is {value[:40]!r}, which dataset.options.split_values does not list",
                f"It lists: {', '.join(told)}.",
            )
    return {value: told[value] for value in set(values)}


def _as_flag(column: str, count: Counter[str]) -> dict[str, str]:
    """By a column that says of each row whether it is of one split; nothing for other columns."""
    names = _flag_names(column, count)
    if names:
        _warn_read(column, names, count)
    return names


def _flag_names(column: str, values: Iterable[str]) -> dict[str, str]:
    words = re.split(r"[^a-z]+", _in_snakes(column))
    said = [name for name, spellings in _FLAGS.items() if set(spellings) & set(words)]
    lowered = {value: value.lower() for value in values}
    if len(said) != 1 or not set(lowered.values()) <= {*_TRUE, *_FALSE}:
        return {}
    if {word for word in words if word} - _PLAIN - set(_FLAGS[said[0]]):
        return {}
    other = "test" if said[0] == "train" else "train"
    return {value: said[0] if low in _TRUE else other for value, low in lowered.items()}


def _in_snakes(column: str) -> str:
    """isTrain and is-train as is_train, is-train."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", canonical(column)).lower()


def _as_numbers(column: str, count: Counter[str], where: str) -> dict[str, str]:
    """0, 1, 2 are train, val, test; nothing if the values are words."""
    bare = [value for value in count if re.fullmatch(r"[+-]?[0-9.]+|true|false", value.lower())]
    if not bare:
        return {}
    whole = sorted(count) == ["0", "1", "2"] or sorted(count) in (["0", "2"], ["0"])
    if not whole or re.search(r"fold|cv|cross|is_|flag", column.lower()):
        shown = ", ".join(f"{value[:20]} ({counted(count[value], 'row')})" for value in sorted(count)[:6])
        raise InputError(
            f"{where} holds {shown}{', …' if len(count) > 6 else ''}: which is train, which is test?",
            f"Define the values: --set 'dataset.options.split_values={_option(sorted(count), count)}'",
        )
    names = {value: _NUMBERED[value] for value in count}
    if len(count) < 3:
        _warn_read(column, names, count)
    return names


def _as_words(column: str, count: Counter[str], where: str) -> dict[str, str]:
    names = {value: split_name(value) for value in count}
    for name in dict.fromkeys(names.values()):
        same = sorted({value.lower() for value, found in names.items() if found == name})
        if len(same) > 1 and name in _FLAGS:
            _warn_read(column, {value: name for value in names if names[value] == name}, count)
    for value, name in names.items():
        if "train" in names.values() and (meant := _perhaps(name, set(names.values()))):
            said = f"{where} is {value[:40]!r} in {counted(count[value], 'row')}, which is read as a separate split; if {meant} is meant, "
            warnings.warn(
                SpurWarning(f"{said}write {meant}, or define it with dataset.options.split_values"), stacklevel=5
            )
    if len(set(names.values())) <= _MANY:
        warn_alike(names.values(), "splits", where, stacklevel=5)
    return names


def _perhaps(name: str, there: Collection[str]) -> str:
    """The split that a name may be a spelling of (trian, Validate, te); "" for names that are probably meant."""
    lowered = name.lower()
    if name in KNOWN or re.search("[0-9]", name):
        return ""
    look = split_look(name)
    if look is not None:
        return look[0] if not look[1] and look[0] not in there else ""
    known = {spelling: split for split, spellings in _FLAGS.items() for spelling in spellings}
    close = difflib.get_close_matches(lowered, known, n=1, cutoff=0.8)
    close = close or [spelling for spelling in known if sorted(spelling) == sorted(lowered)]
    begins = [split for split in KNOWN if len(lowered) < 4 and split.startswith(lowered)]
    return known[close[0]] if close else begins[0] if len(begins) == 1 else "train or test" if begins else ""


def _warn_read(column: str, names: Mapping[str, str], count: Counter[str]) -> None:
    said = ", ".join(f"{value} is read as {names[value]} ({counted(count[value], 'row')})" for value in sorted(names))
    warnings.warn(
        SpurWarning(f"The split is the column {column}: {said}; change this with dataset.options.split_values"),
        stacklevel=5,
    )


def _option(distinct: list[str], count: Counter[str]) -> str:
    """The option's value to type for these values: those whose words say it, else the last is test; of two the rarer one."""
    distinct = distinct[:_FEW]
    test = min(distinct, key=lambda value: (count[value], value)) if len(distinct) == 2 else distinct[-1]
    looks = [split_look(value) for value in distinct]
    names = [look[0] if look else "" for look in looks]
    if "train" not in names:
        names = ["test" if value == test and len(distinct) > 1 else "train" for value in distinct]
    pairs = zip(distinct, names, strict=True)
    return "{" + ", ".join(f'{_key(value)}="{name or "test"}"' for value, name in pairs) + "}"


def _key(value: str) -> str:
    return value if re.fullmatch(r"[A-Za-z0-9_-]+", value) else f'"{value}"'


def warn_unused(known: Sequence[str], read: Callable[[str], Sequence[str]], where: str, flag: str = "") -> None:
    """Warn of the first column that is not used, and looks like that of the splits by its name and all of its values.

    `flag` is what names the column (default: the option of the data set). `read` gives the values of a column of `known`; an InputError counts as no such column.
    """
    for column in known:
        if not _CALLED.search(_in_snakes(column)):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", SpurWarning
                )  # which were this warning was given when the table was read
                values = set(canonical_values(read(column)).values())
        except InputError:
            continue
        looks = {look[0] for value in values if (look := split_look(value))}
        if len(values) <= _FEW and (
            ("train" in looks and len(looks) > 1) or len(set(_flag_names(column, values).values())) > 1
        ):
            shown = ", ".join(value[:20] for value in sorted(values))
            said = f"{flag} {column}" if flag else option_flag("split", column)
            warnings.warn(
                SpurWarning(f"{where}: the column {column} ({shown}) looks like the splits, but is not used: {said}"),
                stacklevel=4,
            )
            return
