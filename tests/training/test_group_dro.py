"""Group DRO against the formulas of its paper, step by step, and its ways of going wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.training import fit
from spurcli.training.method import Annotation, Batch, TrainingSamples, build_method
from spurcli.training.state import StateFile

GROUP = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 0, 0, 2, 1, 0])  # group 3 has a name and no sample
NAMES = ("a/x", "a/y", "b/x", "b/y")
LABEL = np.where(GROUP < 2, 0, 1)


def samples(kept: np.ndarray | None = None, group: np.ndarray = GROUP) -> TrainingSamples:
    kept = np.arange(len(group)) if kept is None else kept
    return TrainingSamples(kept, np.where(group < 2, 0, 1)[kept], 2, 4, Annotation(group, "data set", NAMES))


def batch_of(index: list[int], group: np.ndarray = GROUP) -> Batch:
    return Batch(
        torch.tensor(index), torch.from_numpy(np.where(group < 2, 0, 1)[index]), len(index), Annotation(group, "")
    )


def slow_group_dro(batches, logits, sizes, step_size, size_adjustment):
    """Algorithm 1 of Sagawa et al. with plain numbers: the losses of each batch, and q after it."""
    there = [size > 0 for size in sizes]
    q = [1 / sum(there) if is_there else 0.0 for is_there in there]
    losses, weights = [], []
    for index, batch_logits in zip(batches, logits, strict=True):
        means = []
        for group in range(len(sizes)):
            mine = [
                math.log(sum(math.exp(z) for z in row)) - row[LABEL[position]]
                for position, row in zip(index, batch_logits, strict=True)
                if GROUP[position] == group
            ]
            means.append(sum(mine) / len(mine) if mine else 0.0)
        for group, size in enumerate(sizes):
            adjusted = means[group] + (size_adjustment / math.sqrt(size) if size else 0.0)
            q[group] *= math.exp(step_size * adjusted)
        total = sum(q)
        q = [weight / total for weight in q]
        losses.append(sum(weight * mean for weight, mean in zip(q, means, strict=True)))
        weights.append(list(q))
    return losses, weights


@pytest.mark.parametrize(("step_size", "size_adjustment"), [(0.01, 0.0), (0.5, 0.0), (0.3, 2.0)])
def test_losses_and_weights_over_several_updates(step_size, size_adjustment):
    rng = np.random.default_rng(0)
    batches = [[0, 6, 8, 1], [2, 3, 4, 5], [7, 9, 10, 11], [13, 14, 15, 0], [6, 6, 9, 9]]
    logits = [rng.normal(size=(4, 2)).astype(np.float32) * 2 for _ in batches]
    method = build_method("group_dro", {"step_size": step_size, "size_adjustment": size_adjustment}, samples())
    sizes = [int((group == GROUP).sum()) for group in range(4)]
    losses, weights = slow_group_dro(batches, logits, sizes, step_size, size_adjustment)
    for index, batch_logits, loss, q in zip(batches, logits, losses, weights, strict=True):
        found = method.loss(torch.from_numpy(batch_logits), batch_of(index))
        assert found.item() == pytest.approx(loss, rel=1e-6)
        assert method.state()["q"].tolist() == pytest.approx(q, rel=1e-5)


def test_the_gradient_takes_q_as_given():
    """dL/dz = q_g / n_g · (softmax(z) − onehot(y)): no gradient flows through q."""
    method = build_method("group_dro", {"step_size": 5.0}, samples())
    logits = torch.tensor([[0.3, -0.2], [1.0, 2.0], [0.0, 0.5]], requires_grad=True)
    method.loss(logits, batch_of([0, 1, 8])).backward()
    q, p = method.q, logits.detach().softmax(1)
    onehot = torch.eye(2)[torch.tensor([0, 0, 1])]
    expected = torch.stack([q[0] / 2, q[0] / 2, q[2]])[:, None] * (p - onehot)
    torch.testing.assert_close(logits.grad, expected)


def test_weight_goes_to_the_group_with_the_larger_loss_and_never_to_an_empty_one():
    method = build_method("group_dro", {"step_size": 1.0, "size_adjustment": 1.0}, samples())
    wrong_for_b = torch.tensor([[4.0, -4.0]]).repeat(3, 1)
    for _ in range(5):
        method.loss(wrong_for_b, batch_of([0, 6, 8]))
    q = method.state()["q"].tolist()
    assert q[2] > 0.99
    assert q[3] == 0.0
    assert sum(q) == pytest.approx(1.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 2**40), st.integers(0, 50))
def test_batches_draw_all_groups_that_are_there(codes, seed, epoch):
    group = np.array(codes)
    order = build_method("group_dro", {}, samples(group=group)).order(seed, epoch)
    assert len(order) == len(group)
    plain = build_method("group_dro", {"balanced": False}, samples(group=group)).order(seed, epoch)
    assert sorted(plain.tolist()) == list(range(len(group)))


def test_groups_are_drawn_equally_often():
    group = np.repeat([0, 1, 2], [9000, 50, 950])
    counts = np.bincount(group[build_method("group_dro", {}, samples(group=group)).order(0, 0)], minlength=3)
    assert all(abs(count - 10000 / 3) < 250 for count in counts)  # five standard deviations


def test_a_stopped_run_goes_on_to_the_same_bits(build_trainer, tmp_path):
    """q is part of the state: without it the second half would start from equal weights."""

    def trainer(**more):
        plain = build_trainer(save_seconds=0.0, **more)
        group = (np.arange(53) % 5 == 0) + 2 * (plain.label.numpy() > 0)
        names = ("0/x", "0/y", "1/x", "1/y")
        kept = plain.method.samples.kept
        known = TrainingSamples(kept, plain.label.numpy()[kept], 3, 10, Annotation(group, "data set", names))
        plain.method, plain.groups = build_method("group_dro", {"step_size": 1.0}, known), known.groups
        return plain

    whole = fit(trainer(), until_epoch=3)
    state = StateFile(tmp_path / "state", {})
    first = trainer(state_file=state)
    fit(first, until_epoch=1)
    second = trainer(state_file=state)
    found = fit(second, until_epoch=3)
    assert all(torch.equal(value, found.chosen.weights[name]) for name, value in whole.chosen.weights.items())
    assert second.method.q.max() > 0.5 / 4 + 0.05
