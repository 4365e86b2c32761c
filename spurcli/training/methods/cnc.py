"""Correct-n-contrast (Zhang et al., ICML 2022), its second stage: contrastive learning on an earlier model's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spurcli.errors import InputError, UsageError
from spurcli.groups import spurious_attributes
from spurcli.randomness import generator
from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.methods.erm import ERM
from spurcli.training.traits import Traits

_HINT = (
    "If the groups are predictions, take those of an earlier or more strongly regularised model: "
    "it must get samples of at least two classes wrong."
)


class CnC(ERM):
    """λ · contrastive loss + (1 − λ) · cross-entropy, on batches of contrastive sets; λ is `contrastive_weight`.

    The groups are class/attribute. Stage 1, `spurcli infer --by predictions`, gives the predicted class as attribute; the
    true attribute may be used instead. A set (two-sided sampling) is, in this order,

    - anchors: samples of a class y with its spurious feature a (if a is predicted, y itself; else argmax P(a|y) / P(a)),
    - positives: of the same class, with another attribute,
    - negatives: of other classes, with the first anchor's attribute,
    - as many negatives of the first positive: of other classes than y, with its attribute.

    The first anchor is contrasted with all positives and the negatives, and the first positive with all anchors and its
    own negatives: −mean_p log(exp(s_p) / (Σ_p exp(s_p) + Σ_n exp(s_n))), s being cosine similarities / `temperature` of
    the last layer's inputs; what is contrasted is not among its own terms. The two sides are added up, and averaged over
    the sets. The cross-entropy is the mean over all samples of the batch.

    A batch is one or more sets (the authors' has 32: batch_size 2176). An epoch has classes · round(`anchor_fraction` · m)
    sets, where m is the smallest number of anchors of a class; each class uses that many anchors once, and the classes take turns.
    The other samples of a set are drawn from all candidates, without repeats while possible.

    With more than two classes (published for coloured MNIST with five) nothing changes: other classes are
    drawn from together. Positives whose attribute no other class has are left out because they have no negatives. Classes that cannot have
    anchors are used as negatives; InputError if a class could not be used at all.

    Unlike here, the authors' code keeps batch normalisation in eval mode, and falls back to sets that contrast nothing
    where a class has no positives or no negatives.
    """

    def __init__(
        self,
        samples: TrainingSamples,
        temperature: float = 0.1,
        contrastive_weight: float = 0.75,
        num_anchors: int = 17,
        num_positives: int = 17,
        num_negatives: int = 17,
        anchor_fraction: float = 1.0,
    ) -> None:
        super().__init__(samples)
        for name, value, is_right, wanted in (
            ("temperature", temperature, temperature > 0, "above 0"),
            ("contrastive_weight", contrastive_weight, 0 <= contrastive_weight <= 1, "within 0..1"),
            ("num_anchors", num_anchors, num_anchors >= 1, "at least 1"),
            ("num_positives", num_positives, num_positives >= 1, "at least 1"),
            ("num_negatives", num_negatives, num_negatives >= 1, "at least 1"),
            ("anchor_fraction", anchor_fraction, 0 < anchor_fraction <= 1, "above 0 and at most 1"),
        ):
            if not is_right:
                raise UsageError(f"method.options.{name} = {value} is not {wanted}", "Change it.")
        self.temperature, self.contrastive_weight = temperature, contrastive_weight
        self.sizes = [num_anchors, num_positives, num_negatives, num_negatives]
        self.set_size = sum(self.sizes)
        self.traits = Traits(needs_embedding=True, fixed_order=True, set_size=self.set_size)
        if samples.batch_size % self.set_size:
            near = max(1, round(samples.batch_size / self.set_size)) * self.set_size
            raise UsageError(
                f"training.batch_size = {samples.batch_size} is not a multiple of the {self.set_size} samples of a "
                f"contrastive set ({num_anchors} anchors, {num_positives} positives, 2 × {num_negatives} negatives)",
                f"Use --set training.batch_size={near}",
            )
        self.attribute, features = _attributes(samples)
        self.pools = _pools(samples, self.attribute, features)
        self.num_sets = max(1, round(anchor_fraction * min(len(pools.anchors) for pools in self.pools)))

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Whole sets, one after the other."""
        rng = generator("contrastive sets", seed, epoch)
        num_anchors, num_positives, num_negatives, _ = self.sizes
        turns = []
        for pools in self.pools:
            first = rng.permutation(pools.anchors)[: self.num_sets, None]
            others = _draw(rng, pools.anchors, self.num_sets, num_anchors - 1)
            positives = _draw(rng, pools.positives, self.num_sets, num_positives)
            negatives = _draw(rng, pools.negatives, self.num_sets, num_negatives)
            opposites = np.empty_like(negatives)
            for attribute, pool in pools.opposites.items():
                rows = np.flatnonzero(self.attribute[positives[:, 0]] == attribute)
                opposites[rows] = _draw(rng, pool, len(rows), num_negatives)
            turns.append(np.hstack([first, others, positives, negatives, opposites]))
        return np.asarray(self.samples.kept[np.stack(turns, axis=1).reshape(-1)])

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """This device's share, which must be whole sets: sums over its sets and samples / those of the global batch."""
        if batch.embedding is None:
            raise InputError("CnC needs the input of the last linear layer; the model has none", "Use another model.")
        sets = batch.embedding.reshape(-1, self.set_size, batch.embedding.shape[1])
        anchors, positives, negatives, opposites = torch.split(sets, self.sizes, dim=1)
        contrast = self._contrast(anchors[:, 0], positives, negatives)
        contrast = contrast + self._contrast(positives[:, 0], anchors, opposites)
        contrastive = contrast.sum() / (batch.global_size / self.set_size)
        return self.contrastive_weight * contrastive + (1 - self.contrastive_weight) * super().loss(logits, batch)

    def _contrast(self, h: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
        """Loss [sets] of h [sets, d] against positives [sets, M, d] and negatives [sets, N, d]."""
        near = functional.cosine_similarity(h[:, None], positives, dim=2) / self.temperature
        far = functional.cosine_similarity(h[:, None], negatives, dim=2) / self.temperature
        return torch.cat([near, far], dim=1).logsumexp(dim=1) - near.mean(dim=1)


@dataclass(frozen=True)
class _Pools:
    """What the sets of one class are drawn from, as places among the kept samples; `opposites` by attribute."""

    anchors: NDArray[np.int64]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    opposites: Mapping[int, NDArray[np.int64]]


def _attributes(samples: TrainingSamples) -> tuple[NDArray[np.int64], list[int]]:
    """Attribute of each kept sample, int64 [num_kept], and the spurious feature of each class (−1: it has no samples).

    Names are class/attribute. An attribute with the name of the class counts as its feature: these samples were predicted correctly.
    """
    group, label = samples.group, samples.label
    assert samples.groups
    classes, _, attributes = zip(*(name.rpartition("/") for name in samples.group_names), strict=True)
    codes = {name: code for code, name in enumerate(sorted(set(attributes)))}
    attribute = np.array([codes[name] for name in attributes], dtype=np.int64)[group]
    crossed = len(np.unique(label * len(codes) + attribute))
    is_crossed = crossed == len(np.unique(group)) == len(np.unique(group * samples.num_classes + label))
    if samples.groups.within_class or not is_crossed:
        raise InputError(
            "CnC needs groups class/attribute with attributes that have the same meaning in every class, which is not the case here",
            "Make some: spurcli infer --by predictions",
        )
    counts = np.bincount(label * len(codes) + attribute, minlength=samples.num_classes * len(codes))
    feature = spurious_attributes(counts, samples.num_classes).tolist()
    own = {int(y): codes.get(classes[g], -1) for y, g in zip(label, group, strict=True)}
    if min(own.values()) >= 0:
        feature = [own.get(y, -1) for y in range(samples.num_classes)]
    return attribute, feature


def _pools(samples: TrainingSamples, attribute: NDArray[np.int64], features: list[int]) -> list[_Pools]:
    """The pools of each class that can have contrastive sets; InputError if these would never hold some class."""
    label, found = samples.label, []
    for y, feature in enumerate(features):
        opposites = {int(a): np.flatnonzero((label != y) & (attribute == a)) for a in np.unique(attribute[label == y])}
        opposites = {a: pool for a, pool in opposites.items() if len(pool)}
        negatives = opposites.pop(feature, np.empty(0, dtype=np.int64))
        anchors = np.flatnonzero((label == y) & (attribute == feature))
        positives = np.flatnonzero((label == y) & np.isin(attribute, list(opposites)))
        if len(positives) and len(negatives):
            found.append(_Pools(anchors, positives, negatives, opposites))
    if not found:
        raise InputError(
            "No contrastive batch can be made: no class has samples with and without its spurious feature, "
            "each with a counterpart in another class",
            _HINT,
        )
    pools = [pool for of in found for pool in (of.anchors, of.positives, of.negatives, *of.opposites.values())]
    never = np.flatnonzero(~np.isin(label, label[np.concatenate(pools)]))
    if len(never):
        name = samples.group_names[samples.group[never[0]]].rpartition("/")[0]
        raise InputError(f"No contrastive batch can hold a sample of class {name!r}", _HINT)
    return found


def _draw(rng: np.random.Generator, pool: NDArray[np.int64], num_rows: int, count: int) -> NDArray[np.int64]:
    """Samples of `pool`, int64 [num_rows, count]: none twice in a row, unless the pool has too few for that.

    Floyd's algorithm (Bentley and Floyd, CACM 1987) for all rows at once, then each row shuffled.
    """
    size = len(pool)
    if count > size:
        return np.asarray(pool[rng.integers(0, size, (num_rows, count))])
    drawn = np.full((num_rows, count), -1, dtype=np.int64)
    for column, top in enumerate(range(size - count, size)):
        chosen = rng.integers(0, top, num_rows, endpoint=True)
        is_taken = (drawn == chosen[:, None]).any(axis=1)
        drawn[:, column] = np.where(is_taken, top, chosen)
    return np.asarray(pool[rng.permuted(drawn, axis=1)])
