"""Scores of a sample among all others, from the embeddings h [n, features] of the whole split. Taken only when asked.

All are called alike, with labels and progress. They hold all embeddings in memory, 4 · n · features bytes; k_centre takes time n² · features besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from spurcli.progress import Progress, Silent
from spurcli.words import counted

Tensor = torch.Tensor
# (embedding float32 [n, features], label int64 [n], progress) → float32 [n]
SplitFormula = Callable[[Tensor, Tensor, Progress], Tensor]

_MANY = 50_000  # samples from which on k_centre says first what it costs
_ROWS = 4096  # rows that are float64 at a time
_AHEAD = 256  # candidates of which k_centre takes those that must come next, so that many rows share a product
# Squared distances below this part of the squared norm are rounding: the same input in another batch.
_SAME = 1e-12


def prototype(embedding: Tensor, label: Tensor, progress: Progress | None = None) -> Tensor:  # noqa: ARG001
    """1 − cosine similarity of each h to the mean h of its class, float32 [n] (Sorscher et al. 2022, with supervision).

    As ½‖u − v‖² of the unit vectors, which does not cancel for the most prototypical. A vector of zeros has no
    direction and gets 1.
    """
    total = torch.zeros((int(label.max()) + 1, embedding.shape[1]), dtype=torch.float64, device=embedding.device)
    for block in _blocks(len(label)):
        total.index_add_(0, label[block], embedding[block].double())
    centre, distance = _unit(total), torch.empty(len(label), device=embedding.device)  # the sum points as the mean does
    for block in _blocks(len(label)):
        h, own = _unit(embedding[block].double()), centre[label[block]]
        has_direction = h.any(1) & own.any(1)
        distance[block] = torch.where(has_direction, (h - own).square().sum(1) / 2, 1.0).float()
    return distance


def k_centre(embedding: Tensor, label: Tensor | None = None, progress: Progress | None = None) -> Tensor:  # noqa: ARG001
    """When greedy k-centre picks each sample, 0 … n − 1, float32 [n] (Sener and Savarese 2018, Algorithm 1).

    Over the whole split and without labels, as in the paper: the k picked first are its coreset of size k. The first
    centre is the sample nearest to the mean embedding, then always the one farthest from its nearest centre, of ties the
    lower index. Distances are Euclidean, in float64.
    """
    num_samples, report = len(embedding), progress or Silent()
    if num_samples > _MANY:
        report.say(
            f"k-centre compares all pairs of {counted(num_samples, 'sample')}; the time grows with the square of their number"
        )
    report.start("k-centre", num_samples)
    mean = torch.stack([embedding[block].double().sum(0) for block in _blocks(num_samples)]).sum(0) / num_samples
    norm = torch.cat([(embedding[block].double() - mean).square().sum(1) for block in _blocks(num_samples)])
    nearest = torch.full_like(norm, torch.inf)  # squared distance to the nearest centre; −1 for a centre
    order: list[int] = []
    pick = int(norm.argmin())
    while nearest[pick] > 0:
        candidates = nearest.topk(min(_AHEAD, num_samples)).indices
        candidates[-1] = torch.where((candidates == pick).any(), candidates[-1], pick)
        candidates = candidates.sort().values  # so that of ties the first is the lower index
        h, squares = embedding[candidates].double() - mean, norm[candidates]
        between = torch.addmm(squares[:, None] + squares, h, h.T, alpha=-2)
        between[between < _SAME * squares] = 0
        first = int((candidates < pick).sum())
        picked = candidates[_picked(nearest[candidates].cpu(), between.cpu(), first)]
        centres, squares = embedding[picked].double() - mean, norm[picked, None]
        for block in _blocks(num_samples):
            h = embedding[block].double() - mean
            new = torch.addmm(squares, centres, h.T, alpha=-2).amin(0) + norm[block]
            new[new < _SAME * norm[block]] = 0
            nearest[block] = torch.minimum(nearest[block], new)
        nearest[picked] = -1
        order += picked.tolist()
        report.advance(len(picked))
        pick = int(nearest.argmax())
    rest = torch.nonzero(nearest == 0)[:, 0].tolist()  # copies of centres
    rank = torch.empty(num_samples)
    rank[torch.tensor(order + rest)] = torch.arange(num_samples, dtype=rank.dtype)
    report.advance(len(rest))
    return rank


def _picked(nearest: Tensor, between: Tensor, first: int) -> list[int]:
    """Which of the m candidates greedy k-centre picks, in order, before one of the other samples could be meant.

    `nearest` [m] is the squared distance to the nearest centre so far, `between` [m, m] that of candidates. The others
    are at most as far as the nearest candidate was, and can only come nearer. `first` is the one to begin with.
    """
    farthest_other, picked = nearest.min(), [first]
    while True:
        nearest = torch.minimum(nearest, between[picked[-1]])
        nearest[picked] = -1
        best = int(nearest.argmax())
        if not nearest[best] > farthest_other:
            return picked
        picked.append(best)


def _unit(vectors: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays."""
    length = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1.0)


def _blocks(num_samples: int) -> Iterator[slice]:
    for start in range(0, num_samples, _ROWS):
        yield slice(start, min(start + _ROWS, num_samples))
