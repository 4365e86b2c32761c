"""The tick sheet: a random sample of training samples on a page of its own, on which a person says yes, no or unsure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spurcli.auditing.page.samples import Shown, show
from spurcli.auditing.page.template import render, script_hash, source
from spurcli.datasets import Inputs
from spurcli.inferring.tick_file import COLUMNS
from spurcli.randomness import generator

NUM_TICKS = 120
_SHARES = (
    0.375,
    0.125,
    0.125,
    0.375,
)  # of a class's ticks by quarter: strong or weak is determined by the first and the last
_NUM_REPEATED = 5
_APART = 10  # a sample is shown again after at least so many others
_NUM_TOP = 20  # the most probable carriers of a suspect that are all shown


@dataclass(frozen=True)
class Item:
    """One line of the sheet: training sample `index`, its quarter (0 the easiest, −1 unknown) and stratum, with its size."""

    index: int
    quartile: int
    stratum: str
    stratum_size: int


def draw(
    label: NDArray[np.int64],
    class_names: Sequence[str],
    difficulty: NDArray[np.float32] | None,
    *,
    classes: Sequence[int],
    num: int = NUM_TICKS,
    presence: NDArray[np.float32] | None = None,
    seed: int = 0,
) -> list[Item]:
    """`num` different samples of `classes`, by class and quarter of `difficulty`, shuffled, and a few of them twice.

    With the `presence` of a suspect its most probable carriers are strata whose samples are all shown. The rest is a simple
    random sample of each stratum, more of the easiest and the hardest quarter, because these distinguish strong from weak.
    """
    numbers = generator("ticks", seed)
    drawn: list[Item] = []
    for place, y in enumerate(classes):
        members = np.flatnonzero(label == y)
        wanted = num // len(classes) + (place < num % len(classes))
        top = _top(members, presence, min(_NUM_TOP, wanted // 5))
        quarter = _quarters(members, difficulty)
        codes = np.unique(quarter).tolist()
        rests = [members[(quarter == code) & ~np.isin(members, top)] for code in codes]
        counts = _allotted([len(rest) for rest in rests], [_SHARES[code] for code in codes], wanted - len(top))
        for code, rest, count in zip(codes, rests, counts, strict=True):
            name = class_names[y] if code < 0 else f"{class_names[y]}, quarter {code + 1}"
            first = members[(quarter == code) & np.isin(members, top)]
            drawn += [Item(index, code, f"{name}, suspected", len(first)) for index in first.tolist()]
            drawn += [Item(index, code, name, len(rest)) for index in numbers.permutation(rest)[:count].tolist()]
    shuffled = [drawn[place] for place in numbers.permutation(len(drawn)).tolist()]
    return _with_repeats(shuffled, numbers)


def _allotted(sizes: Sequence[int], shares: Sequence[float], num: int) -> list[int]:
    """How many of `num` each stratum gets: each next one goes to the stratum that is furthest below its share and not exhausted."""
    counts = [0] * len(sizes)
    for _ in range(min(num, sum(sizes))):
        open_ones = [place for place, size in enumerate(sizes) if counts[place] < size]
        counts[min(open_ones, key=lambda place: counts[place] / shares[place])] += 1
    return counts


def _top(members: NDArray[np.int64], presence: NDArray[np.float32] | None, most: int) -> NDArray[np.int64]:
    """The most probable carriers among the members, at most `most`, with a known probability above 0."""
    if presence is None:
        return members[:0]
    known = members[~np.isnan(presence[members])]
    order = known[np.lexsort((known, -presence[known]))]
    return order[presence[order] > 0][:most]


def _quarters(members: NDArray[np.int64], difficulty: NDArray[np.float32] | None) -> NDArray[np.int64]:
    """The quarter of each member by difficulty, 0 the easiest; −1 if no difficulty is known. Ties are broken by position."""
    if difficulty is None:
        return np.full(len(members), -1, dtype=np.int64)
    quarter = np.empty(len(members), dtype=np.int64)
    quarter[np.lexsort((members, difficulty[members]))] = np.arange(len(members)) * 4 // max(1, len(members))
    return quarter


def _with_repeats(items: list[Item], numbers: np.random.Generator) -> list[Item]:
    """The items with a few repeated, at least _APART items later."""
    if len(items) < 3 * _APART:
        return items
    early = numbers.permutation(len(items) - _APART)[:_NUM_REPEATED]
    places = sorted(((int(numbers.integers(at + _APART, len(items) + 1)), int(at)) for at in early), reverse=True)
    found = list(items)
    for place, at in places:
        found.insert(place, items[at])
    return found


def sheet_page(
    inputs: Inputs,
    items: Sequence[Item],
    label: NDArray[np.int64],
    class_names: Sequence[str],
    sample_id: Sequence[str] | None,
    *,
    title: str,
    command: str,
    feature: str = "",
) -> str:
    """The sheet as text: one file with everything in it. Scores and classes are not shown, only saved."""
    different = np.unique(np.array([item.index for item in items], dtype=np.int64))
    pictures = dict(zip(different.tolist(), show(inputs, different, max_side=384), strict=True))
    code = source("ticks.js")
    data = {
        "columns": list(COLUMNS),
        "feature": feature,
        "samples": [_json(pictures[index]) for index in different.tolist()],
        "items": [
            {
                "sample": int(np.searchsorted(different, item.index)),
                "id": sample_id[item.index] if sample_id is not None else str(item.index),
                "class": class_names[label[item.index]],
                "quartile": str(item.quartile + 1) if item.quartile >= 0 else "",
                "stratum": item.stratum,
                "stratum_size": str(item.stratum_size),
            }
            for item in items
        ],
    }
    data["key"] = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
    return render(
        "ticks.html.j2",
        title=title,
        feature=feature,
        command=command,
        num=len(items),
        is_text=not pictures[int(different[0])].uri,
        json=_script_json(data),
        code=code,
        code_hash=script_hash(code),
    )


def _json(shown: Shown) -> object:
    if shown.uri:
        return {"uri": shown.uri, "small": shown.is_small}
    return {"texts": ["".join(piece for piece, _ in pieces) for pieces in shown.texts]}


def _script_json(data: object) -> str:
    """JSON for a script element, with < escaped so that no text can end the element."""
    return json.dumps(data, ensure_ascii=True).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
