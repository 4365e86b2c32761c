"""What all artefacts share: `format`, `version`, and reading JSON that may be hostile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spurcli.errors import InputError

MAX_JSON_BYTES = 256 << 20


def canonical_json(content: Any) -> str:
    """Sorted, compact JSON: equal content gives equal text, hence equal hashes."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_of_json(content: Any) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def sha256_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_file(path: Path, what: str, hint: str) -> None:
    """Raise `InputError` unless `path` is a readable, non-empty file."""
    if path.is_dir():
        raise InputError(f"{path} is a folder, not {what}", hint)
    if not path.exists():
        raise InputError(f"No such file: {path} ({what})", hint)
    try:
        with path.open("rb") as stream:
            if not stream.read(1):
                raise InputError(
                    f"{path} is empty",
                    f"It should be {what}; the command that writes it may have failed. {hint}",
                )
    except PermissionError as error:
        raise InputError(f"Not allowed to read {path}", "Check its permissions.") from error


def parse_json(text: str | bytes, where: str) -> Any:
    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise InputError(f"{where} is not valid JSON: {str(error)[:120]}", "Make the file again.") from error


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


def read_json_artifact(path: Path, expected: str, newest: int, hint: str) -> dict[str, Any]:
    """Read a JSON artefact and check its format and version."""
    require_file(path, f"a {expected} file", hint)
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than any {expected} file should be", "Check that the right file is named.")
    content = parse_json(path.read_bytes(), str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a {expected} file", "Check that the right file is named.")
    check_format(content.get("format"), content.get("version"), expected, newest, str(path))
    return content


def field(content: Mapping[str, Any], key: str, kind: type | tuple[type, ...], where: str) -> Any:
    """`content[key]`, checked to be of `kind`."""
    value = content.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float, (int, float))):
        raise InputError(f"{where}: {key!r} is missing or of the wrong kind", "See docs/formats.md for the layout.")
    return value
