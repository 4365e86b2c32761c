"""Which tensors of a file belong to which of a model: a common prefix is removed, and ambiguous files are rejected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import torch

from spurcli.errors import InputError

Weights = Mapping[str, torch.Tensor]

_MOST_PREFIXES = 8
_EMA = re.compile(r"(^|[._])(ema|swa|averaged)([._]|$)", re.IGNORECASE)
# What programs add to the names of a wrapped module's tensors.
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
# Buffers that some versions of a library write and others do not; they contain nothing learned.
_COUNTS = (
    "num_batches_tracked",
    "n_averaged",
    "total_ops",
    "total_params",
    "position_ids",
    "relative_position_index",
    "attn_mask",
)


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


def _feeds(layer: Weights, head: Weights) -> bool:
    """Whether a layer has as many outputs as `head` has inputs."""
    weight = layer.get("weight")
    return weight is not None and weight.ndim > 1 and len(weight) == head["weight"].shape[1]


def plain_name(name: str) -> str:
    """A tensor's name without the additions of torch.compile, FSDP and activation checkpointing."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


@dataclass(frozen=True)
class Match:
    """One way to read a file: the tensors below `origin` (keys, then a prefix) under the names of the model.

    `weights` also holds what is below `origin` and not in the model; `outside` what is not below it, by its full names.
    """

    origin: str
    weights: dict[str, torch.Tensor]
    mismatch: Mismatch
    outside: dict[str, torch.Tensor]

    def wrong(self, head: Collection[str] = ()) -> list[str]:
        """Tensors that the file lacks or has in another shape, except `head` and counters."""
        names = [name for name in self.mismatch.missing if name.rpartition(".")[2] not in _COUNTS]
        return [name for name in [*names, *self.mismatch.misshapen] if name not in head]

    def unused(self) -> list[str]:
        """Tensors of the file that the model lacks, except counters."""
        names = [*self.mismatch.unknown, *self.outside]
        return [name for name in names if name.rpartition(".")[2] not in _COUNTS]

    def with_head(self, head: str, expected: Weights) -> tuple[Match, str]:
        """This match with the file's last layer under the name `head` of the model's, and what the file calls it.

        Nothing changes (the name is empty) unless only `head` is missing, and one layer beyond the model has its shapes:
        a `1` behind a backbone, or an `fc.1` behind a dropout. No layer may be between it and the model's embedding.
        """
        wanted = {name.rpartition(".")[2]: expected[name] for name in expected if name.rpartition(".")[0] == head}
        if (
            "weight" not in wanted
            or self.mismatch.misshapen
            or {f"{head}.{part}" for part in wanted} != set(self.wrong())
        ):
            return self, ""
        tensors = {name: tensor for name, tensor in {**self.outside, **self.weights}.items() if name not in expected}
        layers: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            layers.setdefault(name.rpartition(".")[0], {})[name.rpartition(".")[2]] = tensor
        fits = [
            layer
            for layer, parts in layers.items()
            if set(parts) == set(wanted) and all(_fits(parts[part], wanted[part]) for part in wanted)
        ]
        if len(fits) != 1 or any(_feeds(parts, wanted) for layer, parts in layers.items() if layer != fits[0]):
            return self, ""
        taken = {f"{fits[0]}.{part}" for part in wanted}
        moved = {f"{head}.{part}": tensor for part, tensor in layers[fits[0]].items()}
        weights = {name: tensor for name, tensor in self.weights.items() if name not in taken} | moved
        outside = {name: tensor for name, tensor in self.outside.items() if name not in taken}
        return Match(self.origin, weights, Mismatch.between(weights, expected), outside), fits[0]

    def larger(self, expected: Collection[str]) -> list[str]:
        """Tensors of a model larger than this one: their names are among those of the model."""
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

    Weights come before their moving averages (EMA), then unchanged names. Raises InputError where two
    others fit, as a student and a teacher do: there is no guess which one is intended.
    """
    matches = [match for origin, weights in state_dicts.items() for match in _matches(origin, weights, expected)]
    ways = [match for match in matches if not match.wrong()] or [match for match in matches if not match.wrong(head)]
    if not ways:
        if matches:
            return min(matches, key=lambda match: len(match.wrong(head))), []
        origin, weights = max(state_dicts.items(), key=lambda item: len(item[1]))
        return Match(origin, dict(weights), Mismatch.between(weights, expected), {}), []
    different = [ways[0]]
    for match in ways[1:]:
        if not any(_equal(match, other, expected) for other in different):
            different.append(match)
    chosen = [match for match in different if not _EMA.search(match.origin)] or different
    chosen = [match for match in chosen if match.origin in state_dicts] or chosen
    if len(chosen) > 1:
        names = " and ".join(repr(match.origin) for match in chosen[:3])
        raise InputError(
            f"{where} holds several sets of weights that fit the model: {names}",
            "Save the intended set in its own file: torch.save(model.state_dict(), FILE).",
        )
    return chosen[0], [match.origin for match in different if match is not chosen[0]]


def _matches(origin: str, weights: Weights, expected: Weights) -> Iterator[Match]:
    """The ways to remove a prefix from one state dict, by the number of names that then fit."""
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
        outside = {name: tensor for name, tensor in plain.items() if not name.startswith(start)}
        full = ".".join(filter(None, (origin, prefix)))
        yield Match(full, below, Mismatch.between(below, expected), outside)


def _equal(first: Match, second: Match, expected: Collection[str]) -> bool:
    return all(
        name in first.weights and name in second.weights and torch.equal(first.weights[name], second.weights[name])
        for name in expected
        if name.rpartition(".")[2] not in _COUNTS
    )
