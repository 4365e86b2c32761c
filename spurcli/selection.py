"""Exact selection of the hardest samples of each stratum, in bounded memory.

A radix select over the bits of the scores: three passes of counting give, for every stratum at once, the score from
which on samples go; one more pass marks them. No sort, no copy of the scores. Thousands of strata take more passes
over fewer bits, so that the counters stay small.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import UsageError
from spurcli.randomness import generator
from spurcli.registry import near

# Strata: small integers, two bytes each where that is enough; negative = in none.
Codes = NDArray[np.signedinteger[Any]]

BLOCK = 1 << 20
_COUNTER_BITS = 21  # at most 2^21 counters of eight bytes in a pass


def deciding_score(known: Iterable[str], named: str | None) -> str:
    """Which of a file's scores decides: the named one, else the only one there is, else el2n, the paper's."""
    names = list(known)
    return named or (names[0] if len(names) == 1 else "el2n")


def parse_fraction(text: str) -> Fraction:
    """`0.29` as exactly 29/100; raises UsageError outside [0, 1]."""
    try:
        value = Decimal(text)
        inside = 0 <= value <= 1
    except InvalidOperation as error:  # NaN does not compare
        raise UsageError(f"--fraction {text} is not a decimal number", "Write 0.1 for a tenth.") from error
    if not inside:
        raise UsageError(f"--fraction {text} is not between 0 and 1", "Write 0.1 for a tenth.")
    return Fraction(value)


def parse_select(text: str) -> str | tuple[int, int]:
    """hardest, easiest, random, or A:B, positions in the order from easiest to hardest (B exclusive)."""
    if text in ("hardest", "easiest", "random"):
        return text
    start, colon, stop = text.partition(":")
    if colon and start.isdecimal() and stop.isdecimal() and int(start) < int(stop):
        return int(start), int(stop)
    raise UsageError(
        f"--select {text} is unknown{near(text, ('hardest', 'easiest', 'random'))}",
        "Use hardest, easiest, random, or a slice such as 0:100 (the 100 easiest).",
    )


def hardness_keys(values: NDArray[np.float32], higher_is: str) -> NDArray[np.uint32]:
    """Keys uint32 [n] in the order of difficulty (larger is harder), made in the memory of `values`.

    IEEE floats compare like integers once negative ones are flipped; −0 counts as 0. `values` is used up.
    """
    keys = values.view(np.uint32)
    for block in _blocks(len(keys)):
        part = values[block]
        part += np.float32(0)  # −0 becomes +0
        bits = keys[block]
        negative = (bits >> 31).astype(bool)
        bits ^= np.where(negative, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
        if higher_is == "easier":
            np.invert(bits, out=bits)
    return keys


def random_keys(num_samples: int, seed: int, purpose: str) -> NDArray[np.uint32]:
    """Seeded random keys uint32 [n] of one `purpose`: selecting the hardest of them is a random draw."""
    return generator(purpose, seed).integers(0, 1 << 32, size=num_samples, dtype=np.uint32)


def select_hardest(
    keys: NDArray[np.uint32], stratum: Codes, quota: NDArray[np.int64], *, invert: bool = False
) -> NDArray[np.bool_]:
    """Mark exactly `quota[s]` samples of largest key in each stratum s; of ties the lower index goes first.

    `stratum` int [n], negative = never selected; `quota` int64 [strata], at most the stratum's size. `invert`
    selects the smallest keys instead.
    """
    num_strata = len(quota)
    threshold = np.zeros(num_strata, dtype=np.uint32)  # the high bits of the last key that goes, found level by level
    wanted = quota.astype(np.int64).copy()  # of those equal to the threshold so far, how many go
    for shift, bits in _levels(num_strata):
        counts = np.zeros((num_strata, 1 << bits), dtype=np.int64)
        for _block, key, codes in _strata_blocks(keys, stratum, invert):
            if shift + bits < 32:
                alive = (key >> (shift + bits)) == (threshold[codes] >> (shift + bits))
                key, codes = key[alive], codes[alive]
            digit = (key >> shift) & ((1 << bits) - 1)
            flat = codes.astype(np.int64) << bits | digit
            counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
        above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # samples with this digit or a larger one
        # the smallest digit of which at least `wanted` samples lie at or above: there the threshold is
        digit = (above >= np.maximum(wanted, 1)[:, None]).sum(axis=1) - 1
        digit = np.maximum(digit, 0)
        rows = np.arange(num_strata)
        wanted -= above[rows, digit] - counts[rows, digit]
        threshold |= (digit << shift).astype(np.uint32)
    wanted[quota == 0] = 0
    return _mark(keys, stratum, threshold, wanted, quota, invert)


def quartiles(keys: NDArray[np.uint32], label: Codes, num_classes: int) -> NDArray[np.int8]:
    """Difficulty quartile 0 (easiest) … 3 of each sample within its class, int8 [n]."""
    sizes = count_codes(label, num_classes)
    quartile = np.zeros(len(keys), dtype=np.int8)
    for part in (1, 2, 3):
        quartile += select_hardest(keys, label, sizes * part // 4)
    return quartile


def _levels(num_strata: int) -> Iterator[tuple[int, int]]:
    """(shift, bits) of each pass, from the top of 32 bits: (21, 11), (10, 11), (0, 10) for up to 1,024 strata."""
    most = min(11, max(1, _COUNTER_BITS - (num_strata - 1).bit_length()))
    shift = 32
    while shift:
        bits = min(most, shift)
        shift -= bits
        yield shift, bits


def count_codes(codes: Codes, num_codes: int, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """How many samples (of those `chosen`, bool [n]) have each code 0 … num_codes − 1; negative codes are left out.

    A block at a time: `np.bincount` would first copy all of them to eight bytes each.
    """
    counts = np.zeros(num_codes, dtype=np.int64)
    for block in _blocks(len(codes)):
        part = codes[block] if chosen is None else codes[block][chosen[block]]
        counts += np.bincount(part[part >= 0], minlength=num_codes)
    return counts


def _mark(
    keys: NDArray[np.uint32],
    stratum: Codes,
    threshold: NDArray[np.uint32],
    wanted: NDArray[np.int64],
    quota: NDArray[np.int64],
    invert: bool,
) -> NDArray[np.bool_]:
    """Mark all above the threshold, and of those at it the first `wanted` by index."""
    selected = np.zeros(len(keys), dtype=bool)
    left = wanted.copy()
    for positions, key, codes in _strata_blocks(keys, stratum, invert):
        limit = threshold[codes]
        goes = (key > limit) & (quota[codes] > 0)
        ties = np.flatnonzero((key == limit) & (left[codes] > 0))
        if len(ties):
            order = ties[np.argsort(codes[ties], kind="stable")]
            code, first, count = np.unique(codes[order], return_index=True, return_counts=True)
            rank = np.arange(len(order)) - np.repeat(first, count)
            goes[order[rank < left[codes[order]]]] = True
            left[code] = np.maximum(left[code] - count, 0)
        selected[positions] = goes
    return selected


def _strata_blocks(
    keys: NDArray[np.uint32], stratum: Codes, invert: bool
) -> Iterator[tuple[NDArray[np.int64] | slice, NDArray[np.uint32], Codes]]:
    """Blocks of (positions, keys, strata) without the samples that no stratum holds."""
    for block in _blocks(len(keys)):
        key, codes = keys[block], stratum[block]
        positions: NDArray[np.int64] | slice = block
        if codes.min(initial=0) < 0:
            inside = np.flatnonzero(codes >= 0)
            key, codes = key[inside], codes[inside]
            positions = inside + block.start
        if len(codes):
            yield positions, np.invert(key) if invert else key, codes


def _blocks(length: int) -> Iterator[slice]:
    for start in range(0, length, BLOCK):
        yield slice(start, min(start + BLOCK, length))
