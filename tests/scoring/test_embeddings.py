"""prototype and k_centre: scores of a sample among all others, against slow loops from the papers' definitions."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.scores import open_scores
from spurcli.errors import InputError, UsageError
from spurcli.randomness import generator
from spurcli.runtime.context import RunContext
from spurcli.scoring import embeddings
from spurcli.stages.prune import prune
from spurcli.stages.score import score
from spurcli.stages.train import train

ASKED = ["prototype", "k_centre", "k_centre_parts"]


def slow_prototype(h, label):
    """1 − cos(h_i, mean of the h of the same class), in plain floats."""
    found = []
    for i, y in enumerate(label):
        mine = [h[j] for j in range(len(h)) if label[j] == y]
        mean = [sum(float(row[f]) for row in mine) / len(mine) for f in range(len(h[0]))]
        product = sum(float(a) * b for a, b in zip(h[i], mean, strict=True))
        lengths = math.hypot(*map(float, h[i])) * math.hypot(*mean)
        found.append(1 - product / lengths if lengths else 1.0)
    return found


def slow_k_centre(h):
    """s ← s ∪ {argmax_i min_{j ∈ s} ‖h_i − h_j‖} until all are in s, exact for whole numbers; ties: the lower index."""
    points = [[float(value) for value in row] for row in h]
    size = len(points)
    mean = [sum(row[f] for row in points) / size for f in range(len(points[0]))]

    def squared(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    chosen = [min(range(size), key=lambda i: (squared(points[i], mean), i))]
    while len(chosen) < size:
        rest = [i for i in range(size) if i not in chosen]
        chosen.append(max(rest, key=lambda i: (min(squared(points[i], points[j]) for j in chosen), -i)))
    return [chosen.index(i) for i in range(size)]


def test_prototype_against_the_formula():
    rng = np.random.default_rng(0)
    h, label = rng.random((60, 5), dtype=np.float32), rng.integers(3, size=60)
    h[7] = 0  # no direction
    h[8:10] = h[10]
    found = embeddings.prototype(torch.from_numpy(h), torch.from_numpy(label)).numpy()
    np.testing.assert_allclose(found, slow_prototype(h, label), rtol=1e-5, atol=1e-7)
    assert found[7] == 1


def test_prototype_does_not_cancel_for_the_most_prototypical():
    """In float32 1 − cos of all of these is 0 or noise; their order is that of the angle."""
    angle = np.array([1e-4, 2e-4, 3e-4, 4e-4, -1e-3])
    h = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
    found = embeddings.prototype(h, torch.zeros(5, dtype=torch.int64)).numpy()
    np.testing.assert_allclose(found, angle**2 / 2, rtol=1e-2)


@pytest.mark.parametrize(("size", "features", "ahead", "rows"), [(1, 3, 256, 4096), (90, 4, 256, 7), (120, 2, 5, 4096)])
def test_k_centre_against_the_greedy_loop(monkeypatch, size, features, ahead, rows):
    monkeypatch.setattr(embeddings, "_AHEAD", ahead)
    monkeypatch.setattr(embeddings, "_ROWS", rows)
    h = np.random.default_rng(size).normal(size=(size, features)).astype(np.float32)
    assert embeddings.k_centre(torch.from_numpy(h)).tolist() == slow_k_centre(h)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=24), st.integers(1, 9))
def test_k_centre_of_ties_and_copies_takes_the_lower_index(points, ahead):
    """A grid of whole numbers that sum to 0 is full of ties, and every distance on it is exact."""
    points += [(-x, -y) for x, y in points]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "_AHEAD", ahead)
        found = embeddings.k_centre(torch.tensor(points, dtype=torch.float32))
    assert found.tolist() == slow_k_centre(points)


def test_k_centre_covers_what_it_has_not_picked():
    """Each prefix is within twice the best radius (Gonzalez 1985): three far clusters are hit by the first three."""
    rng = np.random.default_rng(1)
    cluster = rng.integers(3, size=600)
    h = (100 * np.eye(3)[cluster] + rng.normal(size=(600, 3))).astype(np.float32)
    rank = embeddings.k_centre(torch.from_numpy(h)).numpy()
    assert sorted(rank) == list(range(600))
    assert set(cluster[rank < 3]) == {0, 1, 2}


def test_k_centre_in_parts_orders_by_the_distance_at_which_each_part_picks(monkeypatch):
    h = np.random.default_rng(3).normal(size=(90, 4)).astype(np.float32)
    tensor = torch.from_numpy(h)
    assert torch.equal(embeddings.k_centre_parts(tensor), embeddings.k_centre(tensor))
    monkeypatch.setattr(embeddings, "PART_SIZE", 30)
    found = embeddings.k_centre_parts(tensor).tolist()
    assert sorted(found) == list(range(90))
    distance = {}
    for part in np.split(generator("k-centre parts", 0).permutation(90), 3):
        part = np.sort(part)
        ranks = slow_k_centre(h[part])
        centres = [part[ranks.index(turn)] for turn in range(30)]
        for turn, centre in enumerate(centres):
            before = [np.linalg.norm(h[centre].astype(float) - h[other]) for other in centres[:turn]]
            distance[centre] = min(before, default=np.inf)
    order = np.argsort(found)
    assert {distance[index] for index in order[:3]} == {np.inf}
    later = [distance[index] for index in order[3:]]
    assert later == sorted(later, reverse=True)
    assert found == embeddings.k_centre_parts(tensor).tolist()


@pytest.fixture
def checkpoint(configured, tmp_path):
    train(configured(), output=tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def read(path, name):
    with open_scores(path) as reader:
        info = reader.scores[name]
        return np.stack([reader.values(name, run) for run in range(info.num_runs)]), info


def test_they_are_of_the_input_of_the_last_layer_in_eval_mode(configured, checkpoint, tmp_path):
    model_settings = configured()
    score(model_settings, checkpoint=checkpoint, further_scores=ASKED, output=tmp_path / "scores.h5")
    context = RunContext.open(model_settings)
    model = context.model(0)
    model.load_state_dict(safetensors.torch.load_file(checkpoint))
    split = context.dataset.splits["train"]
    inputs = torch.from_numpy(split.inputs.pixels[:]).permute(0, 3, 1, 2).float() / 255
    mean, std = model_settings.preprocessing.mean[0], model_settings.preprocessing.std[0]
    with torch.no_grad():
        h = model.eval()[:-1]((inputs - mean) / std).numpy()
    values, info = read(tmp_path / "scores.h5", "prototype")
    np.testing.assert_allclose(values[0], slow_prototype(h, split.label), rtol=1e-3, atol=1e-6)
    assert (info.higher_is, info.source) == ("harder", "Sorscher et al., NeurIPS 2022")
    ranks, info = read(tmp_path / "scores.h5", "k_centre")
    assert ranks[0].tolist() == slow_k_centre(h)
    assert (info.higher_is, info.epoch, len(info.weights_sha256)) == ("harder", 3, 1)


def test_runs_early_training_and_the_rest_of_the_file(configured, tmp_path):
    """Each run has its own; what is always taken stays to the bit; batches do not show."""
    score(configured(), num_runs=2, output=tmp_path / "plain.h5")
    score(configured(), num_runs=2, further_scores=ASKED, output=tmp_path / "more.h5")
    other = configured({"scoring.batch_size": 7})
    score(other, num_runs=2, further_scores=["k_centre"], output=tmp_path / "batches.h5")
    with h5py.File(tmp_path / "plain.h5") as plain, h5py.File(tmp_path / "more.h5") as more:
        assert set(more["scores"]) == {*plain["scores"], *ASKED}
        for name in plain["scores"]:
            assert np.array_equal(plain[f"scores/{name}/values"], more[f"scores/{name}/values"])
    ranks, _ = read(tmp_path / "more.h5", "k_centre")
    assert [sorted(run) for run in ranks.tolist()] == [list(range(83))] * 2
    assert not np.array_equal(*ranks)
    assert np.array_equal(read(tmp_path / "batches.h5", "k_centre")[0], ranks)


def test_prune_keeps_the_coreset_and_the_prototypes(configured, checkpoint, tmp_path):
    scores = tmp_path / "scores.h5"
    score(configured(), checkpoint=checkpoint, further_scores=ASKED, output=scores)
    for name in ASKED:
        values = read(scores, name)[0][0]
        prune([scores], score=name, fraction="0.7", output=tmp_path / "keep.txt")
        kept = read_indices(tmp_path / "keep.txt").indices
        assert set(kept) == set(np.argsort(values, kind="stable")[: 83 - 58])


def test_what_cannot_be_scored_is_said_before_the_training(configured, parts, tmp_path, monkeypatch):
    from spurcli.training import early_training

    parts.write_text(
        parts.read_text()
        + """
def headless(*, num_classes):
    return nn.Sequential(nn.Conv2d(1, num_classes, 4), nn.Flatten())
"""
    )
    monkeypatch.setattr(early_training, "train_early", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match="no last linear layer"):
        score(configured(model="headless"), further_scores=["prototype"], output=tmp_path / "none.h5")
    np.save(tmp_path / "z.npy", np.zeros((4, 2), dtype=np.float32))
    np.save(tmp_path / "y.npy", np.array([0, 1, 0, 1]))
    files = {"logits": tmp_path / "z.npy", "labels": tmp_path / "y.npy", "output": tmp_path / "none.h5"}
    for more, says in (
        ({**files, "further_scores": ["k_centre"]}, "k_centre requires embeddings, and logits do not include them"),
        ({"further_scores": ["prototype", "prototype"]}, "named twice"),
        ({"further_scores": ["el2n"]}, "always computed"),
        ({"further_scores": ["prototpye"]}, "did you mean prototype"),
    ):
        with pytest.raises(UsageError, match=says):
            score(None if "logits" in more else configured(), **{"output": tmp_path / "none.h5", **more})
    assert not (tmp_path / "none.h5").exists()
