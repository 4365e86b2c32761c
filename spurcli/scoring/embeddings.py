"""Scores of a sample among all others, from the embeddings h [n, d] of the whole split. Computed only on request.

All have the same arguments, labels and progress included. They hold all embeddings in memory, 4 · n · d bytes; k_centre also takes time n² · d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from spurcli.progress import Progress, Silent
from spurcli.randomness import generator
from spurcli.words import counted

Tensor = torch.Tensor
# (embedding float32 [n, d], label int64 [n], progress) → float32 [n]
SplitFormula = Callable[[Tensor, Tensor, Progress], Tensor]

PART_SIZE = 20_000  # samples that k_centre_parts compares with each other
_MANY = 50_000  # from this number of samples on, k_centre first says what it costs
_ROWS = 4096  # rows that are converted to float64 at a time
_AHEAD = (
    256  # number of candidates; k_centre takes those that must come next, so that one matrix product serves many rows
)
# Squared distances below this part of the squared norm are rounding errors: the same input in another batch.
_SAME = 1e-12


def prototype(embedding: Tensor, label: Tensor, progress: Progress | None = None) -> Tensor:  # noqa: ARG001
    """1 − cosine similarity of each h to the mean h of its class, float32 [n] (Sorscher et al. 2022, with supervision).

    As ½‖u − v‖² of the unit vectors, which does not cancel for the most prototypical. A vector of zeros has no
    direction and gets 1.
    """
    total = torch.zeros((int(label.max()) + 1, embedding.shape[1]), dtype=torch.float64, device=embedding.device)
    for block in _blocks(len(label)):
        total.index_add_(0, label[block], embedding[block].double())
    centre, distance = (
        _unit(total),
        torch.empty(len(label), device=embedding.device),
    )  # the sum has the direction of the mean
    for block in _blocks(len(label)):
        h, own = _unit(embedding[block].double()), centre[label[block]]
        has_direction = h.any(1) & own.any(1)
        distance[block] = torch.where(has_direction, (h - own).square().sum(1) / 2, 1.0).float()
    return distance


def k_centre(embedding: Tensor, label: Tensor | None = None, progress: Progress | None = None) -> Tensor:  # noqa: ARG001
    """When greedy k-centre picks each sample, 0 … n − 1, float32 [n] (Sener and Savarese 2018, Algorithm 1).

    Over the whole split and without labels, as in the paper: the first k picked are its coreset of size k. The first
    centre is the sample nearest to the mean embedding, then always the one farthest from its nearest centre; ties go to the
    lower index. Distances are Euclidean, in float64.
    """
    num_samples, report = len(embedding), progress or Silent()
    if num_samples > _MANY:
        report.say(
            f"k-centre compares all pairs of {counted(num_samples, 'sample')}; the time grows with the square of their "
            "number. --add-score k_centre_parts compares within parts of 20,000"
        )
    report.start("k-centre", num_samples)
    order, _ = _greedy(embedding, report)
    rank = torch.empty(num_samples)
    rank[order] = torch.arange(num_samples, dtype=rank.dtype)
    return rank


def k_centre_parts(embedding: Tensor, label: Tensor | None = None, progress: Progress | None = None) -> Tensor:
    """`k_centre` in time n · 20,000 instead of n²: it runs separately in random parts of at most 20,000 samples.

    The samples of all parts are then ordered by how far each was, when it was picked, from the centres of its part (as the distributed
    algorithm of Malkomes et al. 2015 merges them). A part does not see the centres of the others, so a coreset of the same size covers the data
    less tightly than that of `k_centre`. The parts are drawn with a fixed seed; up to 20,000 samples both are equal.
    """
    num_samples, report = len(embedding), progress or Silent()
    if num_samples <= PART_SIZE:
        return k_centre(embedding, label, report)
    shuffled = torch.from_numpy(generator("k-centre parts", 0).permutation(num_samples))
    report.start("k-centre", num_samples)
    radius, turn = torch.empty(num_samples, dtype=torch.float64), torch.empty(num_samples, dtype=torch.int64)
    for part in shuffled.tensor_split(-(-num_samples // PART_SIZE)):
        rows = part.sort().values
        order, distance = _greedy(embedding[rows.to(embedding.device)], report)
        radius[rows[order]], turn[rows[order]] = distance.cpu(), torch.arange(len(rows))
    # by the step if distances are equal: the first centres, which have none, and copies of centres
    by_turn = turn.argsort(stable=True)
    picked = by_turn[radius[by_turn].argsort(descending=True, stable=True)]
    rank = torch.empty(num_samples, device=embedding.device)
    rank[picked.to(rank.device)] = torch.arange(num_samples, dtype=rank.dtype, device=rank.device)
    return rank


def _greedy(embedding: Tensor, report: Progress) -> tuple[Tensor, Tensor]:
    """The order in which greedy k-centre picks, int64 [n], and each one's squared distance to the nearest before it, float64 [n]."""
    num_samples = len(embedding)
    mean = torch.stack([embedding[block].double().sum(0) for block in _blocks(num_samples)]).sum(0) / num_samples
    norm = torch.cat([(embedding[block].double() - mean).square().sum(1) for block in _blocks(num_samples)])
    nearest = torch.full_like(norm, torch.inf)  # squared distance to the nearest centre; −1 for a centre
    order: list[int] = []
    radius: list[float] = []
    pick = int(norm.argmin())
    while nearest[pick] > 0:
        candidates = nearest.topk(min(_AHEAD, num_samples)).indices
        candidates[-1] = torch.where((candidates == pick).any(), candidates[-1], pick)
        candidates = candidates.sort().values  # so that of ties the first is the lower index
        h, squares = embedding[candidates].double() - mean, norm[candidates]
        between = torch.addmm(squares[:, None] + squares, h, h.T, alpha=-2)
        between[between < _SAME * squares] = 0
        first = int((candidates < pick).sum())
        chosen, distances = _picked(nearest[candidates].cpu(), between.cpu(), first)
        picked = candidates[chosen]
        centres, squares = embedding[picked].double() - mean, norm[picked, None]
        for block in _blocks(num_samples):
            h = embedding[block].double() - mean
            new = torch.addmm(squares, centres, h.T, alpha=-2).amin(0) + norm[block]
            new[new < _SAME * norm[block]] = 0
            nearest[block] = torch.minimum(nearest[block], new)
        nearest[picked] = -1
        order += picked.tolist()
        radius += distances
        report.advance(len(picked))
        pick = int(nearest.argmax())
    rest = torch.nonzero(nearest == 0)[:, 0].tolist()  # copies of centres
    report.advance(len(rest))
    return torch.tensor(order + rest), torch.tensor(radius + [0.0] * len(rest), dtype=torch.float64, device=norm.device)


def _picked(nearest: Tensor, between: Tensor, first: int) -> tuple[list[int], list[float]]:
    """Which of the m candidates greedy k-centre picks, in order, until one of the other samples could be the next; and `nearest` of each then.

    `nearest` [m] is the squared distance to the nearest centre so far, `between` [m, m] that of candidates. The others
    are at most as far as the nearest candidate was, and can only come nearer. `first` is the one to begin with.
    """
    farthest_other, picked, distances = nearest.min(), [first], [float(nearest[first])]
    while True:
        nearest = torch.minimum(nearest, between[picked[-1]])
        nearest[picked] = -1
        best = int(nearest.argmax())
        if not nearest[best] > farthest_other:
            return picked, distances
        picked.append(best)
        distances.append(float(nearest[best]))


def _unit(vectors: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays."""
    length = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(length > 0, length, 1.0)


def _blocks(num_samples: int) -> Iterator[slice]:
    for start in range(0, num_samples, _ROWS):
        yield slice(start, min(start + _ROWS, num_samples))
