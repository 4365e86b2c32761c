"""Files changed at random: bytes, and where a format is nested, its fields."""

from __future__ import annotations

import json
import random
from typing import Any

WORDS = [
    *(b"true", b"null", b"[]", b"{}", b'"x"', b"-1", b"1e999", b"NaN", b"9" * 30, b"\\ud800", b"../", b"/", b"\x1b[31m"),
    *(b"\0", b"\xff", b'"', b",", b"\n", b"\r", b"\t", b"\xef\xbb\xbf", b"[/red]", b"<script>", b"file.py:attr", b"[" * 2000),
]  # fmt: skip
VALUES = [None, True, -1, 0, 2**63, 1e999, "", "x", "../x", "own.py:attr", [], {}, [[]], [None], {"": 1}, "a" * 10_000]


def mutate(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change a field of a file that is JSON, or one to four times bytes of any."""
    if content[:1] == b"{" and rng.random() < 0.4:
        try:
            return json.dumps(_other_field(json.loads(content), rng)).encode()
        except ValueError:  # JSON lines
            pass
    for _ in range(rng.randint(1, 4)):
        content = _other_bytes(content, others, rng)
    return content


def _other_bytes(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """A flipped bit, another byte, a cut, a piece doubled, removed, taken from another file, or a word."""
    start = rng.randrange(max(1, len(content)))
    stop = min(len(content), start + rng.choice([1, 2, 8, 64]))
    before, piece, after = content[:start], content[start:stop], content[stop:]
    choice = rng.randrange(8)
    if choice == 0:
        flipped = content[start : start + 1] or b"\0"
        return before + bytes([flipped[0] ^ (1 << rng.randrange(8))]) + content[start + 1 :]
    if choice == 1:
        return before + rng.randbytes(1) + content[start + 1 :]
    if choice == 2:
        return before
    if choice == 3:
        return before + piece * rng.choice([2, 3, 100]) + after
    if choice == 4:
        return before + after
    if choice == 5:
        other = rng.choice(others)
        begin = rng.randrange(max(1, len(other)))
        return before + other[begin : begin + 64] + after
    if choice == 6:  # a number of eight bytes: lengths, offsets
        return (
            before
            + rng.choice([0, 1, 255, 2**31 - 1, 2**32, 2**63 - 1, 2**64 - 1]).to_bytes(8, "little")
            + content[start + 8 :]
        )
    return before + rng.choice(WORDS) + after


def _other_field(content: Any, rng: random.Random) -> Any:
    """The same with one value, at any depth, replaced, removed or doubled."""
    if isinstance(content, dict) and content and rng.random() < 0.85:
        key = rng.choice(list(content))
        if rng.random() < 0.15:
            return {name: value for name, value in content.items() if name != key}
        return {**content, key: _other_field(content[key], rng)}
    if isinstance(content, list) and content and rng.random() < 0.85:
        place = rng.randrange(len(content))
        return [*content[:place], _other_field(content[place], rng), *content[place:][rng.randrange(2) :]]
    return rng.choice(VALUES)
