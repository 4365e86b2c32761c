"""Which tensors of a file belong to which of a model: any common prefix comes off, and what is ambiguous is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch

from spurcli.errors import InputError

Weights = Mapping[str, torch.Tensor]

_MOST_PREFIXES = 8
_EMA = re.compile(r"(^|[._])ema([._]|$)", re.IGNORECASE)
# Buffers that some versions of a library write and others do not; they hold nothing that was learned.
_COUNTS = ("num_batches_tracked", "total_ops", "total_params", "position_ids", "relative_position_index", "attn_mask")


@dataclass(frozen=True)
class Mismatch:
    """The names by which a file and a model differ."""

    missing: list[str]
    unknown: list[str]
    misshapen: list[str]

    @classmethod
    def between(cls, weights: Weights, expected: Weights) -> Mismatch:
        return cls(
            missing=[name for name in expected if name not in weights],
            unknown=[name for name in weights if name not in expected],
            misshapen=[name for name in expected if name in weights and not _fits(weights[name], expected[name])],
        )

    def __str__(self) -> str:
        """How many there are of each kind, and the first three."""
        kinds = (("missing", self.missing), ("unknown", self.unknown), ("other shape or kind", self.misshapen))
        return "; ".join(
            f"{label} {len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
            for label, names in kinds
            if names
        )


def _fits(tensor: torch.Tensor, expected: torch.Tensor) -> bool:
    same_kind = tensor.dtype == expected.dtype or (tensor.is_floating_point() and expected.is_floating_point())
    return tensor.shape == expected.shape and same_kind


def plain_name(name: str) -> str:
    """A tensor's name without what torch.compile puts into it."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


@dataclass(frozen=True)
class Match:
    """One way to read a file: the tensors below `origin` (keys, then a prefix) under the names of the model.

    `weights` also holds what is below `origin` and not in the model; `outside` names what is not below it.
    """

    origin: str
    weights: dict[str, torch.Tensor]
    mismatch: Mismatch
    outside: list[str]

    def wrong(self, head: Collection[str] = ()) -> list[str]:
        """What the model lacks or has in another shape, but for `head` and mere counts."""
        names = [name for name in self.mismatch.missing if name.rpartition(".")[2] not in _COUNTS]
        return [name for name in [*names, *self.mismatch.misshapen] if name not in head]

    def larger(self, expected: Collection[str]) -> list[str]:
        """Tensors that are part of a larger model than this one: they stand among those that the model has."""
        tops = {name.partition(".")[0] for name in expected}
        numbered = any(top.isdigit() for top in tops)
        return [
            name
            for name in self.mismatch.unknown
            if (top := name.partition(".")[0]) in tops or (numbered and top.isdigit())
            if name.rpartition(".")[2] not in _COUNTS
        ]


def best_match(
    state_dicts: Mapping[str, Weights], expected: Weights, where: str, head: Collection[str] = ()
) -> tuple[Match, list[str]]:
    """The state dict and prefix that fit the model best, and the origins of others that fit as well and were not used.

    Names as they stand come first, then weights rather than their moving averages (EMA). Raises InputError where two
    others fit, as a student and a teacher do: which one is meant is not guessed.
    """
    matches = [match for origin, weights in state_dicts.items() for match in _matches(origin, weights, expected)]
    ways = [match for match in matches if not match.wrong()] or [match for match in matches if not match.wrong(head)]
    if not ways:
        if matches:
            return min(matches, key=lambda match: len(match.wrong(head))), []
        origin, weights = max(state_dicts.items(), key=lambda item: len(item[1]))
        return Match(origin, dict(weights), Mismatch.between(weights, expected), []), []
    different = [ways[0]]
    for match in ways[1:]:
        if not any(_equal(match, other, expected) for other in different):
            different.append(match)
    plain = [match for match in different if match.origin in state_dicts] or different
    chosen = [match for match in plain if not _EMA.search(match.origin)] or plain
    if len(chosen) > 1:
        names = " and ".join(repr(match.origin) for match in chosen[:3])
        raise InputError(
            f"{where} holds several sets of weights that fit the model: {names}",
            "Save the one that is meant by itself: torch.save(model.state_dict(), FILE).",
        )
    return chosen[0], [match.origin for match in different if match is not chosen[0]]


def _matches(origin: str, weights: Weights, expected: Weights) -> Iterator[Match]:
    """The ways to take a prefix off one state dict, by how many names it makes fit."""
    plain = {plain_name(name): tensor for name, tensor in weights.items()}
    if len(plain) < len(weights):
        plain = dict(weights)
    counts: Counter[str] = Counter()
    for name in plain:
        parts = name.split(".")
        for place in range(len(parts)):
            if ".".join(parts[place:]) in expected:
                counts[".".join(parts[:place])] += 1
    for prefix, _ in counts.most_common(_MOST_PREFIXES):
        start = f"{prefix}." if prefix else ""
        below = {name[len(start) :]: tensor for name, tensor in plain.items() if name.startswith(start)}
        outside = [name for name in plain if not name.startswith(start)]
        full = ".".join(filter(None, (origin, prefix)))
        yield Match(full, below, Mismatch.between(below, expected), outside)


def _equal(first: Match, second: Match, expected: Collection[str]) -> bool:
    return all(
        name in first.weights and name in second.weights and torch.equal(first.weights[name], second.weights[name])
        for name in expected
        if name.rpartition(".")[2] not in _COUNTS
    )
