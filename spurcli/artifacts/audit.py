"""audit.json: the suspects of an audit, each with its carriers, its statistics, and whether it was confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spurcli.artifacts.atomic import write_json
from spurcli.artifacts.catalogue import AUDIT, require_kind
from spurcli.artifacts.envelope import JsonObject, field, optional_field, read_json_artifact
from spurcli.artifacts.provenance import read_provenance
from spurcli.errors import InputError

_HINT = "Make one with: spurcli audit model.safetensors"
_STATUSES = ("confirmed", "unconfirmed", "not supported")


def write_audit(path: Path, content: Mapping[str, object]) -> None:
    write_json(path, {"format": AUDIT.format, "version": AUDIT.version, **content})


def read_audit(path: Path) -> JsonObject:
    """The content, with every suspect checked to have what the terminal and the page show."""
    require_kind(path, AUDIT, _HINT)
    content = read_json_artifact(path, AUDIT.format, AUDIT.version, _HINT)
    where = str(path)
    field(content, "held_out", str, where)
    _names(field(content, "class_names", list, where), f"{where}: class_names")
    field(content, "splits", dict, where)
    if (accuracy := optional_field(content, "held_out_accuracy", dict, where)) is not None:
        _check_metric(accuracy, f"{where}: held_out_accuracy")
    for number, suspect in enumerate(field(content, "suspects", list, where), start=1):
        if not isinstance(suspect, dict):
            raise _wrong(f"{where}: suspect {number} is not an object")
        _check(suspect, f"{where}: suspect {number}")
    for entry in optional_field(content, "failing_groups", list, where) or []:
        _check_failing(entry, f"{where}: failing_groups")
    for name in ("warnings", "notes", "finders"):
        optional_field(content, name, list, where)
    read_provenance(content.get("provenance"), where)
    return content


def _check(suspect: JsonObject, where: str) -> None:
    for name in ("name", "finder", "statement", "reason", "judged_by"):
        field(suspect, name, str, where)
    if field(suspect, "status", str, where) not in _STATUSES:
        raise _wrong(f"{where}: unknown status {suspect['status'][:40]!r}")
    optional_field(suspect, "class", str, where)
    for name in ("groups", "addition"):
        optional_field(suspect, name, str, where)
    for name in ("p_value", "p_adjusted", "p_effect", "expected_harm"):
        optional_field(suspect, name, (int, float), where)
    if not all(type(count) is int for count in (optional_field(suspect, "accuracy", dict, where) or {}).values()):
        raise _wrong(f"{where}: accuracy has other values than counts")
    for name in ("shown", "details", "carriers", "utility", "detectability", "reliance"):
        field(suspect, name, dict, where)
    for split, rows in suspect["carriers"].items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _wrong(f"{where}: carriers of {split[:40]!r} are not a list of objects")
        for row in rows:
            field(row, "class", str, f"{where}: carriers")
            for key in ("num_samples", "num_known"):
                field(row, key, int, f"{where}: carriers")
            field(row, "num_carriers", (int, float), f"{where}: carriers")
    for name, entry in suspect["reliance"].items():
        if not isinstance(entry, dict):
            raise _wrong(f"{where}: reliance {name[:40]!r} is not an object")
        _check_metric(entry, f"{where}: reliance")
    _check_metric(suspect["utility"], f"{where}: utility")
    _check_metric(suspect["detectability"], f"{where}: detectability")
    for row in optional_field(suspect, "values", list, where) or []:
        _check_value(row, f"{where}: values")
    box = suspect["shown"].get("box")
    if box is not None and not (isinstance(box, list) and len(box) == 4 and all(type(side) is int for side in box)):
        raise _wrong(f"{where}: box is not four whole numbers")
    if (words := suspect["shown"].get("words")) is not None:
        _names(words, f"{where}: words")
    _names(optional_field(suspect, "also", list, where) or [], f"{where}: also")
    next_lines = optional_field(suspect, "next", list, where)
    _names(next_lines or [], f"{where}: next")


def _check_failing(entry: object, where: str) -> None:
    if not isinstance(entry, dict):
        raise _wrong(f"{where} are not a list of objects")
    for name in ("name", "column", "value", "class", "statement"):
        field(entry, name, str, where)
    for name in ("accuracy", "others"):
        _check_metric(field(entry, name, dict, where), f"{where}: {name}")
        field(entry[name], "num_samples", int, f"{where}: {name}")
    field(entry, "p_adjusted", (int, float), where)
    ranks = field(entry, "suspects", list, where)
    if not all(type(rank) is int for rank in ranks):
        raise _wrong(f"{where}: suspects are not whole numbers")
    _names(field(entry, "next", list, where), f"{where}: next")


def _check_value(row: object, where: str) -> None:
    if not isinstance(row, dict):
        raise _wrong(f"{where} are not a list of objects")
    field(row, "value", str, where)
    for key in ("num_held_out", "num_right"):
        if field(row, key, int, where) < 0:
            raise _wrong(f"{where}: {key} is negative")
    if row["num_right"] > row["num_held_out"]:
        raise _wrong(f"{where}: more samples are correct than exist")
    for part in field(row, "classes", list, where):
        if not isinstance(part, dict):
            raise _wrong(f"{where}: classes are not a list of objects")
        field(part, "class", str, where)
        if field(part, "num_samples", int, where) < 0:
            raise _wrong(f"{where}: num_samples is negative")


def _check_metric(entry: JsonObject, where: str) -> None:
    optional_field(entry, "value", (int, float), where)
    optional_field(entry, "reason", str, where)
    interval = optional_field(entry, "interval", list, where)
    ends = interval or []
    if interval is not None and (
        len(ends) != 2 or any(end is not None and type(end) not in (int, float) for end in ends)
    ):
        raise _wrong(f"{where}: an interval is not two numbers")


def _names(content: object, where: str) -> None:
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise _wrong(f"{where} is not a list of texts")


def _wrong(problem: str) -> InputError:
    return InputError(problem, "See docs/formats.md for the layout.")
