"""XRM, Sebra and SPARE against slow versions of their own, written from the papers' algorithm boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.nn import functional

from spurcli.errors import InputError
from spurcli.inferring.bias_ranking import BiasRanking
from spurcli.inferring.evidence import Evidence, Ranks, Twins
from spurcli.inferring.own_trainings import rank_by_bias, train_twins
from spurcli.inferring.sebra import sebra, tightest_cut
from spurcli.inferring.spare import spare
from spurcli.inferring.twin_training import CrossRisk, coins, draws
from spurcli.inferring.xrm import environments, xrm
from spurcli.runtime.context import RunContext
from spurcli.training.method import Batch, TrainingSamples
from spurcli.training.sampling import shuffled

PLAIN = {
    "training.optimizer": "sgd",
    "training.momentum": 0.0,
    "training.learning_rate": 0.5,
    "training.epochs": 4,
    "scoring.epoch": 4,
}


@pytest.fixture
def opened(configured):
    """An open data set, its feeds, its labels, and all its pixels as the model takes them."""

    def open_it(data="load", **overrides):
        context = RunContext.open(configured({**PLAIN, **overrides}, model="flat", data=data))
        splits = context.dataset.splits
        feeds = {name: context.feed(split.inputs) for name, split in splits.items()}
        mean, std = context.settings.preprocessing.mean[0], context.settings.preprocessing.std[0]
        inputs = {
            name: (torch.from_numpy(split.inputs.read(np.arange(len(split)))).float().permute(0, 3, 1, 2) / 255 - mean)
            / std
            for name, split in splits.items()
        }
        return context, feeds, {name: split.label for name, split in splits.items()}, inputs

    return open_it


def test_xrm_is_what_its_algorithm_says(opened, tmp_path):
    context, feeds, labels, inputs = opened()
    (found,) = train_twins(context, feeds, 1, tmp_path, replace_other=False)
    seed, label, x, num_classes = context.settings.seed, labels["train"], inputs["train"], 3
    twins = [context.model(seed), context.model(seed + 1)]
    current, learns_first, rate = label.copy(), coins(len(label), seed), context.settings.training.learning_rate
    for epoch in range(4):
        order, luck = shuffled(np.arange(len(label)), seed, epoch), draws(len(label), seed, epoch)
        for start in range(0, len(order), 16):
            batch = [int(i) for i in order[start : start + 16]]
            logits = [twin(x[batch]) for twin in twins]
            by_class: dict[int, list[torch.Tensor]] = {}
            for place, i in enumerate(batch):
                own = logits[0 if learns_first[i] else 1][place]
                by_class.setdefault(int(current[i]), []).append(-functional.log_softmax(own, 0)[int(current[i])])
            loss = sum(sum(losses) / len(losses) for losses in by_class.values()) / len(by_class)
            for twin in twins:
                twin.zero_grad()
            loss.backward()
            for place, i in enumerate(batch):
                p = functional.softmax(logits[1 if learns_first[i] else 0][place].detach(), 0)
                if luck[i] < (float(p.max()) - 1 / num_classes) * num_classes / (num_classes - 1):
                    current[i] = int(p.argmax())
            with torch.no_grad():
                for twin in twins:
                    for weight in twin.parameters():
                        weight -= rate * weight.grad
    assert found.flip_rate == pytest.approx((current != label).mean())
    assert found.flip_rate > 0.05
    for split in ("train", "test"):
        for mine, twin in zip(found.logits[split], twins, strict=True):
            assert np.allclose(mine, twin(inputs[split]).detach().numpy(), atol=1e-4)
    # environments are mistakes of either twin on the original labels, not on the flipped ones
    wrong = [any(int(twin(x[i : i + 1]).argmax()) != label[i] for twin in twins) for i in range(len(label))]
    assert environments(*found.logits["train"], label).tolist() == wrong


def test_two_processes_flip_what_one_does():
    """Each sees a share of the batch, is told the counts of all of it, and learns of the other's flips."""
    label = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    samples = TrainingSamples(np.arange(7), label.numpy(), 3, 7)
    logits, index = 3 * torch.randn((7, 6), generator=torch.Generator().manual_seed(0)), torch.arange(7)
    alone = CrossRisk(samples, 0)
    alone.order(0, 0)
    loss = alone.loss(logits, Batch(index, label, 7))
    counts, shares, first = torch.bincount(label, minlength=3), [slice(0, 4), slice(4, 7)], []
    for share in shares:  # what each adds up
        method = CrossRisk(samples, 0, is_alone=False)
        method.order(0, 0)
        told = []
        method.loss(logits[share], Batch(index[share], label[share], 7, total=lambda t, told=told: told.append(t) or t))
        first.append(told)
    losses = []
    for share in shares:
        method = CrossRisk(samples, 0, is_alone=False)
        method.order(0, 0)
        sums = iter([counts, first[0][1] + first[1][1]])
        losses.append(
            method.loss(logits[share], Batch(index[share], label[share], 7, total=lambda _, sums=sums: next(sums)))
        )
        assert torch.equal(method.current, alone.current)
    assert float(sum(losses)) == pytest.approx(float(loss))
    assert int((alone.current != label).sum()) > 0


def given(labels, twins=(), ranks=None, logits=None) -> Evidence:
    class Given:
        def twins(self, num_tries):
            return list(twins)[:num_tries]

        def ranks(self):
            return ranks

        def logits(self, split="train"):
            return np.asarray(logits[split], dtype=np.float32)

    others = {split: label for split, label in labels.items() if split != "train"}
    return Evidence(labels["train"], ("low", "mid", "high"), 0, Given(), others)


def twins_that_predict(train, val, flip_rate, rate=1.0) -> Twins:
    eye = np.eye(2, dtype=np.float32)
    logits = {split: (eye[np.array(a)], eye[np.array(b)]) for split, (a, b) in {"train": train, "val": val}.items()}
    return Twins(logits, np.ones(4, dtype=bool), flip_rate, rate)


def test_xrm_takes_the_highest_flip_rate_among_those_that_split_every_class_of_train_and_val():
    labels = {"train": np.array([0, 0, 1, 1]), "val": np.array([0, 0, 1, 1])}
    split, not_val = ([0, 0, 1, 1], [0, 1, 1, 0]), ([0, 0, 1, 1], [0, 0, 1, 1])
    good = twins_that_predict(split, split, 0.2, 0.1)
    empty = twins_that_predict(split, not_val, 0.9, 0.2)
    worse = twins_that_predict(split, split, 0.1, 0.3)
    evidence = given(labels, twins=[worse, empty, good])
    found = xrm(evidence)
    assert evidence.chosen == {"learning_rate": 0.1, "flip_rate": 0.2}
    assert (found.value.tolist(), found.others["val"].tolist()) == ([0, 1, 0, 1], [0, 1, 0, 1])
    with pytest.raises(InputError, match="no sample of class 'low' in val is wrong"):
        xrm(given(labels, twins=[empty]))


def test_sebra_ranks_by_the_epoch_in_which_a_sample_is_learned(opened, tmp_path):
    context, feeds, labels, inputs = opened(**{"training.learning_rate": 1.0})
    found = rank_by_bias(context, feeds, labels, tmp_path, replace_other=False)
    seed, rate = context.settings.seed, context.settings.training.learning_rate
    model, label = context.model(seed), labels["train"]
    rank = {split: [0] * len(labels[split]) for split in labels}
    for epoch in range(1, 5):
        active = np.array([i for i in range(len(label)) if rank["train"][i] == 0])
        order = shuffled(active, seed, epoch - 1)
        for start in range(0, len(order), 16):
            batch = order[start : start + 16]
            losses = []
            for i in batch:
                p = functional.softmax(model(inputs["train"][i : i + 1])[0], 0)[int(label[i])]
                losses.append(p.detach() ** 0.7 * -torch.log(p))
            model.zero_grad()
            (sum(losses) / len(losses)).backward()
            with torch.no_grad():
                for weight in model.parameters():
                    weight -= rate * weight.grad
        for split in labels:
            p = functional.softmax(model(inputs[split]), 1).detach().numpy()
            for i, y in enumerate(labels[split]):
                if rank[split][i] == 0 and p[i, y] > 0.7:
                    rank[split][i] = epoch
    assert len(set(rank["train"])) > 2
    assert {split: each.tolist() for split, each in found.rank.items()} == rank
    rng = np.random.default_rng(0)
    rank = {split: rng.integers(0, 5, size=len(each)).tolist() for split, each in rank.items()}
    groups = sebra(given(labels, ranks=Ranks({split: np.array(each) for split, each in rank.items()}, 4)))
    for y in range(3):
        cut = best_cut([r or 5 for r, each in zip(rank["train"], label, strict=True) if each == y])
        for split, value in (("train", groups.value), ("test", groups.others["test"])):
            for i in np.flatnonzero(labels[split] == y):
                assert groups.names[value[i]] == ("early" if (rank[split][i] or 5) <= cut else "late")


def best_cut(ranks) -> int:
    def cost(part):
        return sum((r - sum(part) / len(part)) ** 2 for r in part)

    cuts = sorted(set(ranks))[:-1]
    return min(cuts, key=lambda cut: cost([r for r in ranks if r <= cut]) + cost([r for r in ranks if r > cut]))


def test_the_cut_of_ranks_is_the_tightest_and_there_is_none_of_one_rank():
    rng = np.random.default_rng(0)
    for _ in range(30):
        ranks = rng.integers(1, 7, size=20)
        assert tightest_cut(ranks) == best_cut(ranks.tolist())
    assert tightest_cut(np.array([3, 3])) is None
    labels = {"train": np.array([0, 1, 2, 0])}
    with pytest.raises(InputError, match="class 'mid' in one epoch"):
        sebra(given(labels, ranks=Ranks({"train": np.array([1, 2, 2, 0])}, 3)))


def test_a_ranking_ends_when_all_samples_have_left(opened, tmp_path):
    context, feeds, labels, _ = opened(
        data="even", **{"training.epochs": 200, "scoring.epoch": 200, "training.learning_rate": 2.0}
    )
    epochs = []
    report = replace(
        context,
        progress=type(
            "Said", (), {"start": lambda s, w, *_: epochs.append(w), "advance": lambda *_: None, "say": lambda *_: None}
        )(),
    )
    found = rank_by_bias(report, feeds, labels, tmp_path, replace_other=False)
    assert (found.rank["train"] > 0).all()
    assert found.rank["train"].max() == len({words for words in epochs if words.startswith("ranking, ")}) < 200


def test_a_ranking_goes_on_where_it_was(opened):
    method = BiasRanking(TrainingSamples(np.arange(3), np.zeros(3, dtype=np.int64), 3, 2), {"val": 2})
    method.rank_confident(1, np.array([0.9, 0.7, 0.1], dtype=np.float32))
    method.rank_confident(1, np.array([0.1, 0.8], dtype=np.float32), "val")
    other = BiasRanking(TrainingSamples(np.arange(3), np.zeros(3, dtype=np.int64), 3, 2), {"val": 2})
    other.load_state({name: tensor.clone() for name, tensor in method.state().items()})
    for each in (method, other):
        assert each.rank.tolist() == [1, 0, 0]
        each.rank_confident(2, np.array([0.0, 0.9, 0.1], dtype=np.float32))
        assert (each.rank.tolist(), each.others["val"].tolist()) == ([1, 2, 0], [0, 1])


def test_spare_clusters_the_softmax_of_each_class():
    rng = np.random.default_rng(0)
    labels = {"train": rng.integers(3, size=200), "val": rng.integers(3, size=60)}
    # class 0 in two lumps, class 1 in three, class 2 in two
    lumps = {0: [[5, 0, 0], [0, 5, 0]], 1: [[5, 0, 0], [0, 5, 0], [0, 0, 5]], 2: [[0, 0, 4], [4, 0, 0]]}
    sizes = {0: [0.8, 0.2], 1: [0.6, 0.3, 0.1], 2: [0.7, 0.3]}
    which = {split: [int(rng.choice(len(sizes[y]), p=sizes[y])) for y in label] for split, label in labels.items()}
    logits = {
        split: np.array([lumps[y][k] for y, k in zip(label, which[split], strict=True)])
        + 0.3 * rng.normal(size=(len(label), 3))
        for split, label in labels.items()
    }
    evidence = given(labels, logits=logits)
    found = spare(evidence)
    assert evidence.chosen["num_clusters"] == {"low": 2, "mid": 3, "high": 2}
    assert found.value.tolist() == which["train"]  # numbered from the largest
    assert found.others["val"].tolist() == which["val"]
    # with a given number, whatever the data says: the clusters of k-means, those of the softmax
    two = spare(given(labels, logits=logits), num_clusters=2).value
    members = np.flatnonzero(labels["train"] == 1)
    p = torch.from_numpy(logits["train"]).softmax(1).numpy()[members]
    theirs = KMeans(2, n_init=10, random_state=5).fit_predict(p)
    assert len(set(zip(two[members].tolist(), theirs.tolist(), strict=True))) == 2
    flat = {split: np.zeros((len(label), 3)) for split, label in labels.items()}
    with pytest.raises(InputError, match="2 different outputs in class 'low', which has 1"):
        spare(given(labels, logits=flat))
