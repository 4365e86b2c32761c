"""Exact selection of the hardest samples of each stratum, in bounded memory.

A radix select over the bits of the scores: counting gives, for every stratum and several quotas at once, the score from
which samples are removed; one more pass marks them. There is no sort, and only samples whose first bits equal those of a
threshold are copied. Thousands of strata take more passes over fewer bits, so that the counters stay small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spurcli.errors import UsageError
from spurcli.randomness import generator
from spurcli.registry import near

# Strata: small integers, two bytes each where that is enough; negative = in none.
Codes = NDArray[np.signedinteger[Any]]

Block: TypeAlias = tuple[NDArray[np.int64] | slice, NDArray[np.uint32], Codes]  # positions, keys and strata of samples
Blocks: TypeAlias = Callable[[], Iterator[Block]]

BLOCK = 1 << 20
_COUNTER_BITS = 21  # at most 2^21 counters of eight bytes in a pass


def deciding_score(known: Iterable[str], named: str | None) -> str:
    """The score of a file that ranks the samples: the named one, else the only one, else el2n (the paper's)."""
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

    IEEE floats compare like integers once negative ones are flipped; −0 counts as 0. `values` is overwritten.
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
    """Mark exactly `quota[s]` samples of largest key in each stratum s; in a tie the lower index is marked first.

    `stratum` int [n], negative = never selected; `quota` int64 [strata], at most the stratum's size. `invert`
    selects the smallest keys instead.
    """
    return _num_selections(keys, stratum, quota[None], invert).astype(np.bool_)


def quartiles(keys: NDArray[np.uint32], label: Codes, num_classes: int) -> NDArray[np.int8]:
    """Difficulty quartile 0 (easiest) … 3 of each sample within its class, int8 [n]."""
    sizes = count_codes(label, num_classes)
    return _num_selections(keys, label, np.array([sizes * part // 4 for part in (1, 2, 3)]), invert=False)


def _num_selections(
    keys: NDArray[np.uint32], stratum: Codes, quotas: NDArray[np.int64], invert: bool
) -> NDArray[np.int8]:
    """Under how many of `quotas` int64 [k, strata] each sample is selected, int8 [n]."""
    num_strata = quotas.shape[1]
    threshold = np.zeros(quotas.shape, dtype=np.uint32)  # the high bits of the last marked key, found level by level
    wanted = quotas.astype(np.int64).copy()  # how many of the keys equal to the threshold so far are marked
    rows = np.arange(len(quotas))[:, None], np.arange(num_strata)
    blocks: Blocks = partial(_strata_blocks, keys, stratum, invert)
    for shift, bits in _levels(num_strata):
        is_first = shift + bits == 32  # no quota has a threshold yet: all count alike
        counts = np.zeros((1 if is_first else len(quotas), num_strata, 1 << bits), dtype=np.int64)
        for _positions, key, codes in blocks():
            for of_quota, limit in zip(counts, threshold, strict=False):
                chosen = slice(None) if is_first else _starts_as(key, codes, limit, shift + bits)
                digit = (key[chosen] >> shift) & ((1 << bits) - 1)
                flat = codes[chosen].astype(np.int64) << bits | digit
                of_quota += np.bincount(flat, minlength=of_quota.size).reshape(of_quota.shape)
        counts = np.broadcast_to(counts, (len(quotas), *counts.shape[1:]))
        above = counts[..., ::-1].cumsum(axis=2)[..., ::-1]  # samples with this digit or a larger one
        # the smallest digit of which at least `wanted` samples lie at or above: there the threshold is
        digit = (above >= np.maximum(wanted, 1)[..., None]).sum(axis=2) - 1
        digit = np.maximum(digit, 0)
        wanted -= above[(*rows, digit)] - counts[(*rows, digit)]
        threshold |= (digit << shift).astype(np.uint32)
        if is_first:
            blocks = _near(blocks, threshold, shift, len(keys) // 2)
    wanted[quotas == 0] = 0
    return _mark(keys, stratum, threshold, wanted, quotas, invert)


def _starts_as(key: NDArray[np.uint32], codes: Codes, limit: NDArray[np.uint32], shift: int) -> NDArray[np.bool_]:
    """Whether each key has the high bits of its stratum's limit."""
    found: NDArray[np.bool_] = (key >> shift) == (limit >> shift)[codes]
    return found


def _near(blocks: Blocks, threshold: NDArray[np.uint32], shift: int, most: int) -> Blocks:
    """The samples that have the high bits of a threshold, in memory, so that later levels read only these; all samples if these are more than `most`."""
    held: list[tuple[NDArray[np.uint32], Codes]] = []
    size = 0
    for _positions, key, codes in blocks():
        near = np.logical_or.reduce([_starts_as(key, codes, limit, shift) for limit in threshold])
        held.append((key[near], codes[near]))
        size += len(held[-1][0])
        if size > most:
            return blocks
    if not size:
        return blocks
    key = np.concatenate([each for each, _codes in held])
    codes = np.concatenate([each for _key, each in held])
    return lambda: ((block, key[block], codes[block]) for block in _blocks(len(key)))


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
    quotas: NDArray[np.int64],
    invert: bool,
) -> NDArray[np.int8]:
    """For each quota, mark all keys above its threshold, and the first `wanted` by index of those equal to it."""
    threshold[quotas == 0] = np.iinfo(np.uint32).max  # no key is above it
    selections = np.zeros(len(keys), dtype=np.int8)
    left = wanted.copy()
    for positions, key, codes in _strata_blocks(keys, stratum, invert):
        for limits, rest in zip(threshold, left, strict=True):
            limit = limits[codes]
            goes = key > limit
            ties = np.flatnonzero(key == limit)
            ties = ties[rest[codes[ties]] > 0]
            if len(ties):
                order = ties[np.argsort(codes[ties], kind="stable")]
                code, first, count = np.unique(codes[order], return_index=True, return_counts=True)
                rank = np.arange(len(order)) - np.repeat(first, count)
                goes[order[rank < rest[codes[order]]]] = True
                rest[code] = np.maximum(rest[code] - count, 0)
            selections[positions] += goes
    return selections


def _strata_blocks(keys: NDArray[np.uint32], stratum: Codes, invert: bool) -> Iterator[Block]:
    """Blocks of (positions, keys, strata) without the samples that are in no stratum."""
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
