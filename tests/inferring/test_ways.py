"""Each way of inferring against a slow version of its own, on outputs that are made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.errors import InputError
from spurcli.inferring.clusters import clusters
from spurcli.inferring.cross_mistakes import cross_mistakes
from spurcli.inferring.evidence import Evidence, Ranks, Twins
from spurcli.inferring.mistakes import mistakes
from spurcli.inferring.predictions import predictions
from spurcli.inferring.sources import random_halves
from spurcli.registries import WAYS

CLASSES = ("a", "b", "c")


class Given:
    """A source that holds what it is asked for, and nothing else."""

    def __init__(self, **outputs):
        self.outputs = {name: np.asarray(values, dtype=np.float32) for name, values in outputs.items()}

    def logits(self, split="train"):
        return self.outputs["logits"]

    def embedding(self, split="train"):
        return self.outputs["embedding"]

    def twins(self, num_tries):
        del num_tries
        both = self.outputs["logits"], self.outputs["held_out"]
        return [Twins({"train": both}, np.ones(len(both[0]), dtype=bool), 0.5, 0.1)]

    def ranks(self):
        return Ranks({"train": np.arange(len(self.outputs["logits"])) % 5}, 5)

    def held_out_logits(self, split="train"):
        return self.outputs["held_out"]


def evidence_of(label, seed=0, **outputs) -> Evidence:
    return Evidence(np.asarray(label, dtype=np.int64), CLASSES, seed, Given(**outputs))


def largest(row) -> int:
    """The first of the largest."""
    best = 0
    for place, value in enumerate(row):
        if value > row[best]:
            best = place
    return best


ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(-3, 3), min_size=3, max_size=3)), min_size=1, max_size=20
)


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_mistakes_and_predictions(rows):
    label, logits = [y for y, _ in rows], [row for _, row in rows]
    wrong = [largest(row) != y for y, row in rows]
    for way, name in ((mistakes, "logits"), (cross_mistakes, "held_out")):  # neither looks at what the other does
        evidence = evidence_of(label, **{name: logits})
        if not any(wrong):
            with pytest.raises(InputError, match="classifies every training sample correctly"):
                way(evidence)
            continue
        found = way(evidence)
        assert [found.names[value] for value in found.value] == ["wrong" if each else "right" for each in wrong]
        assert found.within_class
    if any(wrong):
        found = predictions(evidence_of(label, logits=logits))
        assert [found.names[value] for value in found.value] == [CLASSES[largest(row)] for row in logits]
        assert not found.within_class
    else:
        with pytest.raises(InputError, match="no mistakes to use"):
            predictions(evidence_of(label, logits=logits))


def best_split(points):
    """The two clusters of the smallest sum of squares, by trying every partition: sets of positions."""

    def cost(members):
        centre = sum(points[i] for i in members) / len(members)
        return sum(float(((points[i] - centre) ** 2).sum()) for i in members)

    places = range(len(points))
    splits = [
        (set(part), set(places) - set(part))
        for size in range(1, len(points))
        for part in itertools.combinations(places, size)
    ]
    return min(splits, key=lambda pair: cost(pair[0]) + cost(pair[1]))


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_the_best_split_of_each_class_named_by_size(seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(3, size=24)
    embedding = rng.normal(size=(24, 2)) + 3 * rng.integers(2, size=(24, 1)) + 10 * label[:, None]
    found = clusters(evidence_of(label, seed, embedding=embedding))
    assert found.names == ("c0", "c1")
    for y in range(3):
        members = np.flatnonzero(label == y)
        pair = best_split(embedding[members].astype(np.float32).astype(np.float64))
        large, small = sorted(pair, key=lambda part: (-len(part), min(part)))
        assert set(np.flatnonzero(found.value[members] == 0)) == large
        assert set(np.flatnonzero(found.value[members] == 1)) == small


def test_clusters_of_equal_size_and_of_fewer_points_than_clusters():
    far = [[0.0], [9.0], [0.0], [9.0], [5.0], [5.0], [5.0]]
    found = clusters(evidence_of([0, 0, 0, 0, 2, 2, 2], embedding=far))
    assert found.value.tolist() == [0, 1, 0, 1, 0, 0, 0]
    with pytest.raises(InputError, match="'c' has 3 training samples for 4 clusters"):
        clusters(evidence_of([0, 0, 0, 0, 2, 2, 2], embedding=far), num_clusters=4)


def test_samples_of_other_splits_belong_to_the_nearest_centre_of_their_class():
    train = {"embedding": [[0], [1], [0.5], [9], [10], [4], [5], [6], [20]]}
    label = [0, 0, 0, 0, 0, 1, 1, 1, 1]
    val, val_label = np.array([[6], [4], [7.5], [16], [3]], dtype=np.float32), np.array([0, 0, 1, 1, 2])
    source = Given(**train)
    source.embedding = lambda split="train": val if split == "val" else source.outputs["embedding"]
    found = clusters(Evidence(np.array(label), CLASSES, 0, source, {"val": val_label}))
    assert found.value.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 1]
    assert found.others["val"].tolist() == [1, 0, 0, 1, 0]


def test_clusters_keep_the_scale_of_the_embedding():
    rng = np.random.default_rng(0)
    embedding = np.stack([np.repeat([0.0, 5.0], 20), rng.normal(size=40) * 0.1], axis=1)
    noise_first = embedding[:, ::-1]
    for points in (embedding, noise_first):
        found = clusters(evidence_of([1] * 40, embedding=points)).value
        assert found.tolist() == [0] * 20 + [1] * 20


@settings(max_examples=50, deadline=None)
@given(label=st.lists(st.integers(0, 4), min_size=1, max_size=40), seed=st.integers(0, 1000))
def test_halves_split_each_class_and_the_whole(label, seed):
    label = np.array(label)
    half = random_halves(label, seed)
    assert abs(int((half == 0).sum()) - int((half == 1).sum())) <= 1
    for y in set(label.tolist()):
        assert abs(int((half[label == y] == 0).sum()) - int((half[label == y] == 1).sum())) <= 1
    assert np.array_equal(half, random_halves(label, seed))


def test_halves_are_random():
    label = np.repeat([0, 1], 50)
    first, second = random_halves(label, 0), random_halves(label, 1)
    assert 20 < int((first == second).sum()) < 80
    assert len(set(np.flatnonzero(first == 0) % 2)) == 2  # not every other sample


def test_every_registered_way_is_called_with_evidence_and_gives_an_attribute():
    label = [0, 1, 2, 0, 1, 2]
    logits = np.eye(3)[[0, 1, 2, 1, 1, 2]] + 0.01 * np.arange(18).reshape(6, 3) % 0.05
    for name in WAYS.entries.keys() - {"ticks"}:  # needs a file: test_ticks.py
        evidence = evidence_of(
            label, logits=logits, held_out=np.eye(3)[[0, 2, 0, 0, 1, 2]], embedding=np.arange(12).reshape(6, 2) % 5
        )
        found = WAYS.load(name)(evidence)
        assert found.value.shape == (6,)
        assert 0 <= found.value.min() <= found.value.max() < len(found.names)
        assert found.aligned in (None, *found.names)
        can_be_matched = found.aligned is not None or not found.within_class  # by prune --group auto
        assert can_be_matched is WAYS.entries[name].facts.get("auto", True)
