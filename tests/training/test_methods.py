"""One contract that every registered method keeps, and the user's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import InputError, UsageError
from spurcli.parts import METHODS
from spurcli.training.method import Batch, TrainingSamples, build_method

NAMES = list(METHODS.entries)


def samples(kept: np.ndarray) -> TrainingSamples:
    return TrainingSamples(kept, kept % 3, 3, kept % 2, ("no", "yes"))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 10**6), min_size=1, max_size=60), st.integers(0, 2**40), st.integers(0, 300))
def test_order_is_a_permutation_of_what_is_kept_by_seed_and_epoch_alone(name, kept, seed, epoch):
    kept = np.array(sorted(kept), dtype=np.int64)
    method = build_method(name, {}, samples(kept))
    order = method.order(seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == kept.tolist()
    method.order(seed + 1, epoch)
    assert method.order(seed, epoch).tolist() == order.tolist()
    assert build_method(name, {}, samples(kept)).order(seed, epoch).tolist() == order.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_order_changes_with_seed_and_epoch(name):
    method = build_method(name, {}, samples(np.arange(50)))
    orders = {tuple(method.order(seed, epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("name", NAMES)
def test_shares_of_a_batch_add_up_to_its_loss(name):
    """Each device gives per-sample sums over the global size; also when the last share is smaller."""
    torch.manual_seed(0)
    logits, index = torch.randn(7, 3), torch.arange(7)
    label, group = index % 3, index % 2
    method = build_method(name, {}, samples(np.arange(7)))
    whole = method.loss(logits, Batch(index, label, group, 7))
    parts = [slice(0, 4), slice(4, 7)]
    shares = [method.loss(logits[part], Batch(index[part], label[part], group[part], 7)) for part in parts]
    torch.testing.assert_close(sum(shares), whole)
    assert whole.shape == ()


@pytest.mark.parametrize("name", NAMES)
def test_state_makes_a_round_trip(name):
    method = build_method(name, {}, samples(np.arange(7)))
    method.loss(torch.randn(2, 3), Batch(torch.arange(2), torch.arange(2), torch.arange(2), 2))
    state = {key: value.clone() for key, value in method.state().items()}
    again = build_method(name, {}, samples(np.arange(7)))
    again.load_state(state)
    assert set(again.state()) == set(state)
    assert all(torch.equal(again.state()[key], value) for key, value in state.items())


def test_erm_is_the_mean_cross_entropy():
    logits, label = [[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]], [0, 2]
    method = build_method("erm", {}, samples(np.arange(2)))
    found = method.loss(torch.tensor(logits), Batch(torch.arange(2), torch.tensor(label), None, 2))
    expected = -np.mean([np.log(np.exp(z[y]) / np.exp(z).sum()) for z, y in zip(logits, label, strict=True)])
    assert found.item() == pytest.approx(expected)


OWN = """
import torch
from spurcli.training.methods.erm import ERM

class Focal(ERM):
    def __init__(self, samples, gamma=2.0):
        super().__init__(samples)
        self.gamma = gamma

    def loss(self, logits, batch):
        log_p = logits.log_softmax(1).gather(1, batch.label[:, None])[:, 0]
        return -((1 - log_p.exp()) ** self.gamma * log_p).sum() / batch.global_size

class Half:
    def __init__(self, samples):
        pass
    def order(self, seed, epoch):
        return []
"""


def test_a_users_own_method(tmp_path, spurcli, tiny_flags):
    path = tmp_path / "focal.py"
    path.write_text(OWN)
    method = build_method(f"{path}:Focal", {"gamma": 0.0}, samples(np.arange(4)))
    batch = Batch(torch.arange(4), torch.tensor([0, 1, 2, 0]), None, 4)
    erm, logits = build_method("erm", {}, samples(np.arange(4))), torch.randn(4, 3)
    torch.testing.assert_close(method.loss(logits, batch), erm.loss(logits, batch))
    with pytest.raises(UsageError, match=r"could not be built.*gama"):
        build_method(f"{path}:Focal", {"gama": 1.0}, samples(np.arange(4)))
    with pytest.raises(InputError, match=r"has no loss\(\)"):
        build_method(f"{path}:Half", {}, samples(np.arange(4)))
    losses = []
    for output, words in (("erm", []), ("focal", ["--method", f"{path}:Focal"])):
        result = spurcli(
            "train", "--dataset", "demo", "--keep", "all", *tiny_flags, *words, "--json", "-o", f"{output}.safetensors"
        )
        assert result.code == 0, result.err
        losses.append(result.json["last"]["loss"])
    assert losses[1] < 0.9 * losses[0]
