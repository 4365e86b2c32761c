"""One contract that every registered method keeps, and the user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import InputError, UsageError
from spurcli.registries import METHODS
from spurcli.training.method import Annotation, Batch, LastLayerMethod, Phase, Phased, TrainingSamples, build_method

NUM_ALL = 400
# three classes with two attributes each; the conflict groups are rare, and an earlier model got some of them wrong
LABEL = np.arange(NUM_ALL) % 3
GROUP = 2 * LABEL + (np.arange(NUM_ALL) % 7 == 0)
ERRORS = np.flatnonzero(np.arange(NUM_ALL) % 14 == 0)
NAMES = [name for name, entry in METHODS.entries.items() if "checkpoint" not in entry.facts.get("needs", "")]
OWN = [f"{Path(__file__).parents[2] / 'examples' / 'own_method.py'}:Focal"]


def samples(kept: np.ndarray) -> TrainingSamples:
    names = tuple(f"{label}/{attribute}" for label in "abc" for attribute in ("no", "yes"))
    return TrainingSamples(kept, LABEL[kept], 3, 68, Annotation(GROUP, "data set", names), Annotation(ERRORS, "file"))


def batch(index: torch.Tensor, embedding: torch.Tensor | None = None, total=None, global_size=None) -> Batch:
    return Batch(
        index,
        torch.from_numpy(LABEL)[index],
        global_size or len(index),
        Annotation(GROUP, "data set"),
        embedding,
        total or (lambda amounts: amounts),
    )


@pytest.mark.parametrize("name", [*NAMES, *OWN])
@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, NUM_ALL - 1), max_size=60), st.integers(0, 2**40), st.integers(0, 300))
def test_order_visits_kept_positions_by_seed_and_epoch_alone(name, left_out, seed, epoch):
    kept = np.setdiff1d(np.arange(NUM_ALL), list(left_out)).astype(np.int64)
    method = build_method(name, {}, samples(kept))
    order = method.order(seed, epoch)
    assert order.dtype == np.int64
    assert len(order)
    assert set(order.tolist()) <= set(kept.tolist())
    method.order(seed + 1, epoch)
    assert method.order(seed, epoch).tolist() == order.tolist()
    assert build_method(name, {}, samples(kept)).order(seed, epoch).tolist() == order.tolist()


@pytest.mark.parametrize("name", [*NAMES, *OWN])
def test_order_changes_with_seed_and_epoch(name):
    method = build_method(name, {}, samples(np.arange(NUM_ALL)))
    orders = {tuple(method.order(seed, epoch).tolist()) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@pytest.mark.parametrize("name", [name for name in [*NAMES, *OWN] if name != "cnc"])
def test_shares_of_a_batch_add_up_to_its_loss(name):
    """Each device gives its share; what a method must know of the whole batch it asks `total` for."""
    torch.manual_seed(0)
    logits, index = torch.randn(12, 3), torch.arange(12) * 7 % 40
    whole = build_method(name, {}, samples(np.arange(NUM_ALL))).loss(logits, batch(index))
    assert whole.shape == ()
    parts = [slice(0, 7), slice(7, 12)]
    asked: list[list[torch.Tensor]] = [[], []]
    for number, part in enumerate(parts):  # first only to learn what each device would add to a total

        def note(amounts, number=number):
            asked[number].append(amounts.clone())
            return amounts.clone() + 1

        build_method(name, {}, samples(np.arange(NUM_ALL))).loss(logits[part], batch(index[part], None, note, 12))
    totals = [first + second for first, second in zip(*asked, strict=True)]
    shares = []
    for part in parts:
        given = iter(totals)
        method = build_method(name, {}, samples(np.arange(NUM_ALL)))
        shares.append(method.loss(logits[part], batch(index[part], None, lambda amounts, given=given: next(given), 12)))
    torch.testing.assert_close(sum(shares), whole)


@pytest.mark.parametrize("name", [*NAMES, *OWN])
def test_state_makes_a_round_trip_and_goes_on_alike(name):
    torch.manual_seed(1)
    method = build_method(name, {}, samples(np.arange(NUM_ALL)))
    index = torch.from_numpy(method.order(0, 0)[:68])
    logits, h = torch.randn(len(index), 3), torch.randn(len(index), 5)
    method.loss(logits, batch(index, h))
    state = {key: value.clone() for key, value in method.state().items()}
    again = build_method(name, {}, samples(np.arange(NUM_ALL)))
    again.load_state(state)
    assert set(again.state()) == set(state)
    assert all(torch.equal(again.state()[key], value) for key, value in state.items())
    assert torch.equal(again.loss(logits, batch(index, h)), method.loss(logits, batch(index, h)))


@pytest.mark.parametrize("name", METHODS.entries)
def test_what_a_method_needs_is_asked_for_and_said(name):
    """It reads what its entry says and nothing else; without it the error names what to do, and who needs nothing."""
    needs = METHODS.entries[name].facts.get("needs", "")
    known = samples(np.arange(NUM_ALL))
    method = build_method(name, {}, known)
    if not isinstance(method, LastLayerMethod):
        assert known.groups.was_read == ("groups" in needs)
        bare = TrainingSamples(known.kept, known.label, 3, 68)
        if "groups" in needs:
            with pytest.raises(InputError, match="needs groups, and none are known") as caught:
                build_method(name, {}, bare)
            assert "needs none: erm, jtt, suby, rwy" in caught.value.hint
        elif "errors" in needs:
            with pytest.raises(InputError, match="requires the errors") as caught:
                build_method(name, {}, bare)
            assert "spurcli infer --by mistakes" in caught.value.hint
        else:
            build_method(name, {}, bare)
    assert known.error_set.was_read == ("errors" in needs)


@pytest.mark.parametrize("name", NAMES)
def test_phases_are_rates_above_zero(name):
    method = build_method(name, {}, samples(np.arange(NUM_ALL)))
    phases = [method.phase(epoch) for epoch in range(300)] if isinstance(method, Phased) else [Phase()]
    assert all(0 < phase.rate <= 1 for phase in phases)
    assert not phases[0].restart


def test_erm_is_the_mean_cross_entropy():
    logits, label = [[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]], [0, 2]
    method = build_method("erm", {}, samples(np.arange(2)))
    found = method.loss(torch.tensor(logits), Batch(torch.arange(2), torch.tensor(label), 2))
    expected = -np.mean([np.log(np.exp(z[y]) / np.exp(z).sum()) for z, y in zip(logits, label, strict=True)])
    assert found.item() == pytest.approx(expected)


OWN_CODE = """
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
    path.write_text(OWN_CODE)
    method = build_method(f"{path}:Focal", {"gamma": 0.0}, samples(np.arange(4)))
    batch = Batch(torch.arange(4), torch.tensor([0, 1, 2, 0]), 4)
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
