"""What all artefacts share: `format`, `version`, and reading JSON that may be hostile."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.errors import InputError

MAX_JSON_BYTES = 256 << 20
_MAX_DEPTH = 100

JsonObject = dict[
    str, Any
]  # parsed from a file that any program may have written: its values are checked where they are read


def canonical_json(content: Any) -> str:
    """Sorted, compact JSON: equal content gives equal text, hence equal hashes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of_json(content: Any) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Raises InputError for a file that has been removed since it was named."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except FileNotFoundError as error:
        raise InputError(f"No such file: {path}", "It may have been removed while it was read.") from error
    return digest.hexdigest()


def require_file(path: Path, what: str, hint: str) -> None:
    """Raise `InputError` unless `path` is a readable, non-empty file."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not {what}", hint)
        if not path.exists():
            raise InputError(f"No such file: {path} ({what})", hint)
        if not path.is_file():  # reading a byte from a pipe would remove it for the real reader
            raise InputError(f"{path} is a pipe or a device, not a file", "Write - to read stdin, or name a file.")
        with path.open("rb") as stream:
            if not stream.read(1):
                raise InputError(
                    f"{path} is empty",
                    f"It should be {what}; the command that writes it may have failed. {hint}",
                )
    except PermissionError as error:
        raise InputError(f"Not allowed to read {path}", "Check its permissions.") from error
    except OSError as error:  # a name that is too long, a failing disk
        raise InputError(f"{str(path)[:200]} cannot be read: {error.strerror}", "Check the path.") from error


def parse_json(text: str | bytes, where: str) -> Any:
    """JSON content that can be written again: no NaN or infinity, no broken characters, nested at most 100 deep."""

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    def finite(digits: str) -> float:
        number = float(digits)
        if math.isinf(number):  # 1e999
            raise ValueError(f"{digits[:20]} is too large a number")
        return number

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        content = json.loads(text, parse_constant=refuse_constant, parse_float=finite)
        _require_writable(content)
    except (ValueError, RecursionError) as error:  # UnicodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{where} is not valid JSON: {str(error)[:120]}", "Make the file again.") from error
    return content


def _require_writable(content: Any) -> None:
    level = [content]
    for _ in range(_MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                item.encode()  # half of a surrogate pair has no UTF-8
            elif isinstance(item, list):
                deeper += item
            elif isinstance(item, dict):
                deeper += item
                deeper += item.values()
        if not deeper:
            return
        level = deeper
    raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")


def check_format(format_name: Any, version: Any, expected: str, newest: int, where: str) -> int:
    """Check `format` and `version`; a reader of version N reads all versions <= N."""
    if format_name != expected:
        found = f"format {format_name!r}"[:60] if format_name is not None else "no format name"
        raise InputError(f"{where} is not a {expected} file ({found})", "Check that the right file is named.")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InputError(f"{where} has no usable version number", "Make the file again.")
    if version > newest:
        raise InputError(
            f"{where} has version {version}; this spurcli reads {expected} up to version {newest}",
            "Update spurcli: pip install --upgrade spurcli",
        )
    return version


def read_json_artifact(path: Path, expected: str, newest: int, hint: str) -> JsonObject:
    """Read a JSON artefact and check its format and version."""
    require_file(path, f"a {expected} file", hint)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is too large for a {expected} file", "Check that the right file is named.")
    content = parse_json(path.read_bytes(), str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a {expected} file", "Check that the right file is named.")
    check_format(content.get("format"), content.get("version"), expected, newest, str(path))
    return content


def field(content: Mapping[str, object], key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`content[key]`, checked to be of `kind`."""
    value = content.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float, (int, float))):
        raise InputError(f"{where}: {key!r} is missing or of the wrong kind", "See docs/formats.md for the layout.")
    return value


def optional_field(content: Mapping[str, object], key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`content[key]`, checked to be of `kind`; None if it is absent or null."""
    return None if content.get(key) is None else field(content, key, kind, where)
