"""The lines of keep.txt and similar files: one index each, written and read in blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import InputError

HINT = "Make one with: spurcli prune scores.h5 --fraction 0.1 --per-class"
_CHARACTERS = 1 << 21
_MOST_DIGITS = 18  # any number of so many fits int64


def lines_of(ascending: NDArray[np.integer[Any]]) -> bytes:
    """A line for each of some ascending positions: three times as fast as `str` of each."""
    found, begin = [], 0
    ends = np.searchsorted(ascending, [10**width for width in range(1, 19)]).tolist()
    for width, end in enumerate([*ends, len(ascending)], 1):
        if end > begin:
            rest: Any = ascending[begin:end].astype(np.uint32 if width < 10 else np.uint64)
            text = np.full((end - begin, width + 1), ord("\n"), dtype=np.uint8)
            for column in reversed(range(width)):
                tenth = rest // 10
                text[:, column] = rest - tenth * 10 + ord("0")
                rest = tenth
            found.append(text.tobytes())
        begin = max(begin, end)
    return b"".join(found)


def read_blocks(stream: TextIO, path: Path, first_line: int) -> Iterator[tuple[NDArray[np.int64], bool]]:
    """The integers of the stream, a block of lines at a time, each with whether its last line is complete.

    Raises InputError for a line that is neither an integer nor empty nor a comment, with the number of the line.
    """
    number = first_line
    while text := stream.read(_CHARACTERS):
        if not text.endswith("\n"):
            text += stream.readline()
        is_complete = text.endswith("\n")
        if not is_complete:
            text += "\n"
        values = _plain(text)
        yield values if values is not None else _of_any_lines(text, path, number), is_complete
        number += text.count("\n")


def _plain(text: str) -> NDArray[np.int64] | None:
    """The integers of lines that contain only digits, ten times as fast as int() of each; None for any other text."""
    content = text.encode()
    if content.translate(None, b"0123456789\n"):
        return None
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    widths = ends - starts
    if widths.min() < 1 or widths.max() > _MOST_DIGITS:
        return None
    values = np.zeros(len(ends), dtype=np.int64)
    for column in range(int(widths.max())):
        rows = slice(None) if column < widths.min() else np.flatnonzero(widths > column)
        values[rows] = values[rows] * 10 + (characters[starts[rows] + column] - ord("0"))
    return values


def _of_any_lines(text: str, path: Path, number: int) -> NDArray[np.int64]:
    """The integers of lines with spaces, signs, comments and empty ones among them; the first line is line `number`."""
    lines = [f"{line}\n" for line in text[:-1].split("\n")]
    wanted = [line for line in lines if line[0] != "#" and line != "\n"]
    try:
        joined = "".join(wanted)
        if "_" in joined or not joined.isascii():  # int() takes 1_000 and the digits of other scripts
            raise ValueError
        return np.array(list(map(int, wanted)), dtype=np.int64)
    except (ValueError, OverflowError):
        bad = next(i for i, line in enumerate(lines) if line[0] != "#" and line != "\n" and not _is_index(line))
        raise InputError(
            f"{path}, line {number + bad}: {lines[bad].strip()[:40]!r} is not an index", _advice(lines[bad].strip())
        ) from None


def _advice(text: str) -> str:
    """Advice for a line that is not an index, by its form."""
    if re.fullmatch(r"[+-]?[0-9]+\.0*(e[+-]?[0-9]+)?", text, re.ASCII | re.IGNORECASE):
        return "Write integers: np.savetxt(path, indices, fmt='%d')."
    if text.lower() in ("true", "false"):
        return "For a mask, write the positions: np.savetxt(path, np.flatnonzero(mask), fmt='%d')."
    if text[:1] in "[{":
        return "Write one index per line, without brackets."
    if any(separator in text for separator in ",;\t") or re.fullmatch(r"\"?[A-Za-z_][\w ]*\"?", text):
        return "For a table, write one column without its header: df['index'].to_csv(path, index=False, header=False)."
    if re.search(r"[A-Za-z]", text):
        return "Write positions in the training split, from 0, not ids or file names."
    return HINT


def _is_index(line: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", line, re.ASCII) is not None and -(2**63) <= int(line) < 2**63
