"""Tables as JSON: one object per line (.jsonl, .ndjson, .json), or an array of objects (.json). One object is held at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from spurcli.artifacts.envelope import JsonObject
from spurcli.datasets.tables_text import (
    FIX,
    MAX_LINE,
    Opened,
    Reading,
    Row,
    encoding_of,
    lines_of,
    not_decodable,
    open_text,
)
from spurcli.errors import InputError
from spurcli.registry import near

_BLOCK = 1 << 16
_LINES = "Write one object per line: to_json(path, orient='records', lines=True) in pandas."


def open_json(path: Path, reading: Reading | None) -> Opened:
    """Open JSON lines, or an array of objects. The columns are the keys of all objects; one that lacks a key is an error."""
    encoding = encoding_of(path, (reading or Reading()).encoding)
    try:
        with open_text(path, encoding) as stream:
            begin = stream.read(_BLOCK).lstrip()
    except UnicodeDecodeError as error:
        raise not_decodable(path, encoding, reading is not None) from error
    is_array = re.match(r"\[\s*[{\]]", begin) is not None
    unit = "object" if is_array else "line"

    def records() -> Iterator[tuple[int, JsonObject]]:
        try:
            with open_text(path, encoding, newline="\n") as stream:
                for number, record in _array(stream, path) if is_array else _lines(stream, path):
                    if not isinstance(record, dict):
                        raise InputError(f"{path}, {unit} {number:,} is not a JSON object", _LINES)
                    yield number, record
        except UnicodeDecodeError as error:
            raise not_decodable(path, encoding, reading is not None) from error

    def names(wanted: Collection[str]) -> list[str]:
        found: dict[str, None] = {}
        for _, record in records():
            found |= dict.fromkeys(record)
            if wanted and found.keys() >= set(wanted):
                break
        if not found:
            raise InputError(f"{path} has no rows", "Check that the right file is named.")
        return list(found)

    def rows_of(columns: list[str]) -> Iterator[Row]:
        for number, record in records():
            for name in columns:
                if name not in record:
                    raise InputError(f"{path}, {unit} {number:,} has no {name!r}{near(name, record)}", FIX)
            yield number, [record[name] for name in columns]

    return Opened(names, rows_of, "JSON, an array of objects" if is_array else "JSON lines", unit=unit)


def _lines(stream: Any, path: Path) -> Iterator[tuple[int, Any]]:
    num_records, record = 0, None
    for line, text in lines_of(stream, path):
        if not text.strip("\r\n"):
            continue
        num_records += 1
        try:
            record = json.loads(text)
            if "\\u" in text:
                json.dumps(record, ensure_ascii=False).encode()  # half of a surrogate pair is not a character
        except (ValueError, RecursionError) as error:
            hint = _LINES if line == 1 and text.strip() in ("{", "[") else FIX
            raise InputError(f"{path}, line {line:,} is not JSON ({str(error)[:60]})", hint) from error
        if (
            line == 1
            and isinstance(record, dict)
            and record
            and all(isinstance(v, dict | list) for v in record.values())
        ):
            raise _not_rows(path, record)
        yield line, record
    if num_records == 1 and isinstance(record, dict) and _lists_of_rows(record):
        raise _not_rows(path, record)


def _not_rows(path: Path, record: JsonObject) -> InputError:
    """The error for a file that is one object: with lists of rows in it, or with the columns."""
    names = _lists_of_rows(record)
    if not names:
        return InputError(f"{path} is one object of columns, not of rows", _LINES)
    hint = f"Write only this list. {_LINES}" if len(names) == 1 else "Write one list of rows, with a label in each."
    return InputError(f"{path} is one object, with rows in {', '.join(name[:40] for name in names[:3])}", hint)


def _lists_of_rows(record: JsonObject) -> list[str]:
    """The keys whose values are lists of objects."""
    return [name for name, value in record.items() if isinstance(value, list) and value and isinstance(value[0], dict)]


def _array(stream: Any, path: Path) -> Iterator[tuple[int, Any]]:
    """The items of an array, counted from 1, decoded one after another from a buffer of one item."""
    decoder = json.JSONDecoder()
    buffer, place, number, ended = "", 0, 0, False

    def fill() -> bool:
        nonlocal buffer, place
        block = stream.read(
            max(_BLOCK, len(buffer) - place)
        )  # read twice as much each time, so that an item is parsed only a few times
        buffer, place = buffer[place:] + block, 0
        return bool(block)

    def skip() -> str:
        nonlocal place
        while True:
            while place < len(buffer) and buffer[place] in " \t\r\n":
                place += 1
            if place < len(buffer) or not fill():
                return buffer[place : place + 1]

    if skip() != "[":
        raise InputError(f"{path} is not an array of objects", _LINES)
    place += 1
    if skip() == "]":
        return
    while not ended:
        number += 1
        skip()
        while True:
            try:
                item, end = decoder.raw_decode(buffer, place)
                if "\\u" in buffer[place:end]:
                    json.dumps(item, ensure_ascii=False).encode()
                break
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or len(buffer) - place > MAX_LINE or not fill():
                    raise InputError(
                        f"{path}, object {number:,} is not JSON ({str(error)[:60]})", "Make the file again."
                    ) from error
        place = end
        yield number, item
        follows = skip()
        if follows not in (",", "]"):
            raise InputError(f"{path}: no comma or ] after object {number:,}", "Make the file again.")
        ended = follows == "]"
        place += 1
    if skip():
        raise InputError(f"{path}: more text after the array", _LINES)
