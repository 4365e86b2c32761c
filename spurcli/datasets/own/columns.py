"""The roles of the columns of a user's table, and the meaning of their values: classes, groups, splits, ids."""

from __future__ import annotations

import hashlib
import re
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spurcli.datasets.inputs import Inputs, Texts
from spurcli.datasets.own.layout import is_image
from spurcli.datasets.own.naming import require_classes, require_plain
from spurcli.datasets.own.splitting import Samples
from spurcli.datasets.own.values import coded, named_values
from spurcli.datasets.tables import Table, listed
from spurcli.errors import InputError, SpurWarning, UsageError
from spurcli.names import alike_key
from spurcli.registry import Options, near

# Frequent names of columns of a role, as `alike_key` writes them. The first ones are unambiguous: such a column is used
# where it is the only candidate. The others are only suggested.
_TAKEN = {
    "image": ("image", "images", "img", "imagepath", "imgpath", "imagefile", "filepath", "filename", "file", "path", "imgfilename", "imageid"),
    "text": ("text", "texts", "sentence", "sentences"),
    "label": ("label", "labels", "class", "classes", "target", "y", "ytrue", "classname", "labelname"),
}  # fmt: skip
_OFTEN = {
    "image": (*_TAKEN["image"], "picture", "photo"),
    "text": (*_TAKEN["text"], "review", "content", "comment", "body", "reviewtext", "document", "question", "message", "tweet"),
    "label": (*_TAKEN["label"], "category", "species", "finelabel", "sentiment", "diagnosis"),
}  # fmt: skip
_FLAGS = {
    "image": "--image",
    "text": "--text",
    "label": "--label",
    "attribute": "--attribute",
    "split": "--split-column",
}
_SEPARATORS = "/_- "


@dataclass(frozen=True)
class Wanted:
    """The options for a table: `roles` maps image, text, text_pair, label, split, group and id to columns, ""
    where nothing was said.

    `attributes` are columns; image paths are relative to `folder` and end in `suffix`. `split_values` maps values of the
    split column to splits, and `splits` are those to use, all if it is empty.
    """

    roles: Mapping[str, str]
    attributes: Sequence[str]
    folder: str
    suffix: str
    image_size: int
    squash: bool
    split_values: Options = field(default_factory=dict)
    splits: Sequence[str] = ()


@dataclass(frozen=True)
class Source:
    """What was read: `table` with the columns of `roles` and `attributes`, and the inputs at some rows.

    `sample_id` [n] if no column is the id; `class_names` if the source has them; `splits` [n] if it names any: those of
    a column if there is a role split, else those of its files.
    """

    table: Table
    roles: Mapping[str, str]
    attributes: Sequence[str]
    inputs: Callable[[NDArray[np.int64]], Inputs]
    sample_id: Sequence[str]
    class_names: tuple[str, ...] = ()
    splits: Sequence[str] = ()


def choose_columns(known: Sequence[str], wanted: Wanted, where: str) -> tuple[dict[str, str], list[str]]:
    """The column of each role, and those of the attributes: as requested, else those named like their role.

    Raises InputError for a missing column, with similar names, or if there is no input or label.
    """

    def require(name: str, role: str) -> str:
        if name not in known:
            raise InputError(f"{where} has no column {name!r}{near(name, known)}", _hint(known, (role,)))
        return name

    roles = {role: require(name, role) for role, name in wanted.roles.items() if name}
    attributes = [require(name, "attribute") for name in wanted.attributes]
    if not {"image", "text"} & {*roles, *known}:
        _take(("image", "text"), known, roles, where)
    if "label" not in {*roles, *known}:
        _take(("label",), known, roles, where)
    asked = {role for role in ("image", "text") if role in roles}
    found = asked or {role for role in ("image", "text") if role in known}
    if len(found) == 2:
        raise UsageError(
            f"{where} has images and texts: which are classified?",
            "Name one of them: --image COLUMN, or --text COLUMN",
        )
    if not found:
        raise _lacking("'image' (paths) or 'text'", ("image", "text"), known, roles, where)
    roles.update({role: role for role in found - asked})
    if "label" not in {*roles, *known}:
        raise _lacking("'label'", ("label",), known, roles, where)
    roles.setdefault("label", "label")
    for role in ("split", "id", "text_pair"):
        if role in known:
            roles.setdefault(role, role)
    if "text" not in roles and roles.pop("text_pair", "") and wanted.roles["text_pair"]:
        raise UsageError(
            "dataset.options.text_pair requires dataset.options.text",
            "Name the first text: dataset.options.text=COLUMN",
        )
    if "attribute" in known and not attributes and "group" not in roles:
        attributes = ["attribute"]
    if attributes and "group" in roles:
        raise UsageError("dataset.options.attribute and group both make groups", "Leave one out.")
    if "group" in known and not attributes:
        roles.setdefault("group", "group")
    return roles, attributes


def _candidates(roles: Sequence[str], known: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Columns with frequent names of `roles`, each with its role, in the order of the table; those that are `taken` left out."""
    return {
        name: role
        for name in known
        if name not in taken.values()
        for role in roles
        if alike_key(name) in _OFTEN.get(role, (role,))
    }


def _take(wanted: Sequence[str], known: Sequence[str], roles: dict[str, str], where: str) -> None:
    """Use the column with a frequent name of the required role, if it is the only candidate; a warning names it."""
    likely = _candidates(wanted, known, roles)
    if len(likely) != 1:
        return
    name, role = next(iter(likely.items()))
    if alike_key(name) in _TAKEN[role]:
        roles[role] = name
        message = f"{where}: column {name!r} is used as the {role}; to use another one: {option_flag(role, 'COLUMN')}"
        warnings.warn(SpurWarning(message), stacklevel=3)


def _lacking(
    called: str, wanted: Sequence[str], known: Sequence[str], roles: Mapping[str, str], where: str
) -> InputError:
    """The error that no column has the name of its role: with the candidates and the flag to choose one."""
    likely = _candidates(wanted, known, roles)
    meant = f"; candidates: {', '.join(likely)}" if len(likely) > 1 else ""
    return InputError(f"{where} has no column {called}{meant}", _hint(known, wanted, likely))


def _hint(known: Sequence[str], roles: Sequence[str], likely: Mapping[str, str] | None = None) -> str:
    """The columns there are, and the flag to type for a role, with the likely column."""
    likely = _candidates(roles, known, {}) if likely is None else likely
    first = {role: name for name, role in reversed(list(likely.items()))}
    flags = [option_flag(role, first.get(role, "COLUMN")) for role in roles if role in first or not first]
    if _is_sample(known):
        return f"Its first line must name the columns; it is: {listed(known)}."
    if len(known) == 1 and (character := re.search(r"[^\w\s\"'.-]|\s", known[0])):
        name = "space" if character[0].isspace() else character[0]
        flag = option_flag("separator", name)
        return f"Its first line must name the columns; it is: {listed(known)}. If it does, say what is between them: {flag}"
    return f"It has: {listed(known)}. Say which with {', or '.join(flags)}"


def _is_sample(names: Sequence[str]) -> bool:
    """Whether what should be the names of columns looks like a row: a file, a text, a number among words."""
    numbers = [name for name in names if re.fullmatch(r"-?[0-9.]+", name)]
    return any("/" in name or is_image(name) or name.count(" ") > 3 for name in names) or 0 < len(numbers) < len(names)


def option_flag(option: str, value: str) -> str:
    """The flag that sets an option of the data set, quoted for a shell if necessary."""
    if option in _FLAGS:
        return f"{_FLAGS[option]} {shlex.quote(value)}"
    plain = f"dataset.options.{option}={value}"
    return f"--set {plain}" if re.fullmatch(r"[\w.=,/-]+", plain) else f"--set {shlex.quote(plain)}"


def samples_of(source: Source, classes: Sequence[str], attributes: Sequence[str]) -> Samples:
    """The samples that a source holds; `classes` and `attributes` are names in the wanted order, if given."""
    table, roles = source.table, source.roles
    class_names, label = coded(table, roles["label"], classes or source.class_names, "classes", "classes")
    require_classes(class_names, str(table.path))
    column = _attribute_column(source, class_names, label, attributes)
    attribute_names, attribute = (
        ((), None) if column is None else coded(*column, attributes, "attributes", "attributes")
    )
    if attributes and column is None:
        raise UsageError(
            "dataset.options.attributes orders attributes, but the data has no attributes", "Leave it out."
        )
    split_names = tuple(dict.fromkeys(source.splits))
    number_of = {name: number for number, name in enumerate(split_names)}
    return Samples(
        name=table.path.resolve().name,
        class_names=class_names,
        label=label,
        sample_id=unique_ids(table, table[roles["id"]]) if "id" in roles else source.sample_id,
        inputs=source.inputs,
        split=np.array([number_of[name] for name in source.splits], dtype=np.int64),
        split_names=split_names,
        attribute=attribute,
        attribute_names=attribute_names,
        read_as=_read_as(source),
    )


def _read_as(source: Source) -> str:
    """How a table was read, and the roles of its columns."""
    columns = [f"{role} {name}" for role, name in source.roles.items() if role != name]
    if source.attributes:
        columns.append(f"attribute {', '.join(source.attributes)}")
    by = "seed" if not source.splits else "column" if "split" in source.roles else "file or folder"
    parts = [source.table.read_as, f"splits by {by}", *([f"columns {', '.join(columns)}"] if columns else [])]
    return "; ".join(part for part in parts if part)


def texts_of(table: Table, roles: Mapping[str, str]) -> Callable[[NDArray[np.int64]], Inputs]:
    """The texts of some rows; InputError for a row without any."""
    columns = [table[roles[role]] for role in ("text", "text_pair") if role in roles]
    for row, texts in enumerate(zip(*columns, strict=True)):
        if not any(texts):
            raise InputError(f"{table.where(row)}: {roles['text']} is empty", "Fill it in, or remove the row.")
    return lambda index: Texts(tuple([column[row] for row in index.tolist()] for column in columns))


def text_ids(table: Table, roles: Mapping[str, str]) -> list[str]:
    """An id for each row of texts without ids: its line, and the start of a hash of its content.

    So a list is rejected if rows were reordered, even if labels and counts are the same.
    """
    columns = [table[roles[role]] for role in ("text", "text_pair") if role in roles]
    hashes = (hashlib.sha256("\n".join(texts).encode(errors="surrogatepass")) for texts in zip(*columns, strict=True))
    return [f"{line}-{digest.hexdigest()[:8]}" for line, digest in zip(table.line, hashes, strict=True)]


def _attribute_column(
    source: Source, class_names: Sequence[str], label: NDArray[np.int64], named: Sequence[str]
) -> tuple[Table, str] | None:
    """The table and column whose values are the attribute of each row; None if there are no groups."""
    table = source.table
    if source.attributes:
        return crossed_columns(table, source.attributes, named)
    if "group" not in source.roles:
        return None
    name = source.roles["group"]
    values = named_values(table, name, named, "attributes")
    within = within_class(values, class_names, label, f"{table.path}: {name}")
    return replace(table, columns={name: within}), name


def crossed_columns(table: Table, columns: Sequence[str], named: Sequence[str]) -> tuple[Table, str]:
    """A table with one column, called as `columns` together are, whose values are theirs: "dark, male". `named` are names that the
    option `attributes` lists."""
    name = ", ".join(columns)
    values = [named_values(table, column, named, "attributes") for column in columns]
    return replace(table, columns={name: [", ".join(each) for each in zip(*values, strict=True)]}), name


def within_class(
    group: Sequence[str], class_names: Sequence[str], label: NDArray[np.int64], where: str
) -> Sequence[str]:
    """The part of each group without its class: "man/dark" of class man is "dark", 3 of the groups 0 … 3 of two classes 1.

    Other groups are used unchanged: a group that several classes share is an attribute.
    """
    codes = label.tolist()
    for separator in _SEPARATORS:
        rest = [_without(value, class_names[code], separator) for value, code in zip(group, codes, strict=True)]
        if all(rest):
            return rest
    pairs = set(zip(group, codes, strict=True))
    if all(value.isdecimal() and value.isascii() for value, _ in pairs):
        # The field's numbering: class · attributes + attribute.
        width = max(int(value) for value, _ in pairs) // len(class_names) + 1
        if width > 1 and all(int(value) // width == code for value, code in pairs):
            return [str(int(value) % width) for value in group]
    if len(pairs) == len(set(group)) > len(class_names):
        warnings.warn(
            SpurWarning(
                f"{where}: every group belongs to one class, and no name shows which groups share an attribute, so no spurious feature can be found. Write class/attribute, or add an attribute column"
            ),
            stacklevel=2,
        )
    return group


def _without(group: str, label: str, separator: str) -> str:
    if group.startswith(label + separator):
        return group[len(label) + 1 :]
    return group[: -len(label) - 1] if group.endswith(separator + label) else ""


def unique_ids(table: Table, values: Sequence[str], flag: str = "--set dataset.options.id=COLUMN") -> Sequence[str]:
    """`values` [n], if each can be the id of its row; else InputError with the line, and `flag` to name another column."""
    first: dict[str, int] = {}
    for row, value in enumerate(values):
        if first.setdefault(value, row) != row or not value:
            problem = f"{value[:60]!r} is already used at {table.where(first[value])}" if value else "empty"
            raise InputError(
                f"{table.where(row)}: the id {problem}",
                f"Name a column that differs in each row with {flag}.",
            )
    require_plain(values, str(table.path))
    return values
