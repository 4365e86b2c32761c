"""CnC against its paper's loss and sampling, written out with loops, and its ways of going wrong."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spurcli.errors import InputError, UsageError
from spurcli.training import fit
from spurcli.training.method import Annotation, Batch, TrainingSamples, build_method
from spurcli.training.state import StateFile

SIZES = {"num_anchors": 3, "num_positives": 2, "num_negatives": 4}  # a set has 13
PARTS = [range(3), range(3, 5), range(5, 9), range(9, 13)]
PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=8, max_size=60)  # class, attribute
CLASSES, PREDICTED = "abc", tuple(f"{y}/{p}" for y in "abc" for p in "abc")


def samples(label, attribute, names=PREDICTED, kept=None, batch_size=13, num_classes=3) -> TrainingSamples:
    label, width = np.asarray(label), len(names) // num_classes
    kept = np.arange(len(label)) if kept is None else kept
    group = label * width + np.asarray(attribute)
    return TrainingSamples(kept, label[kept], num_classes, batch_size, Annotation(group, "file", tuple(names)))


def cnc(known: TrainingSamples, **options):
    return build_method("cnc", {**SIZES, **options}, known)


LABEL = np.repeat([0, 1, 2], 20)
WRONG = np.where(np.arange(60) % 4 == 0, (LABEL + 1 + np.arange(60) // 4 % 2) % 3, LABEL)  # each mistake is made


def cosine(first, second):
    dot = sum(a * b for a, b in zip(first, second, strict=True))
    return dot / math.sqrt(sum(a * a for a in first)) / math.sqrt(sum(b * b for b in second))


def slow_loss(h, logits, labels, temperature, weight):
    """The loss of a batch by double loops over plain numbers."""
    sides = []
    for start in range(0, len(h), 13):
        anchors, positives, negatives, others = ([h[start + i] for i in part] for part in PARTS)
        for x, same, different in ((anchors[0], positives, negatives), (positives[0], anchors, others)):
            total = sum(math.exp(cosine(x, other) / temperature) for other in [*same, *different])
            sides.append(-sum(math.log(math.exp(cosine(x, other) / temperature) / total) for other in same) / len(same))
    cross = [math.log(sum(map(math.exp, z))) - z[y] for z, y in zip(logits, labels, strict=True)]
    return weight * sum(sides) / (len(h) / 13) + (1 - weight) * sum(cross) / len(cross)


@pytest.mark.parametrize(("temperature", "weight"), [(0.1, 0.75), (0.05, 1.0), (1.0, 0.0), (0.5, 0.3)])
def test_the_loss_by_double_loops(temperature, weight):
    rng = np.random.default_rng(1)
    method = cnc(samples(LABEL, WRONG, batch_size=39), temperature=temperature, contrastive_weight=weight)
    for num_sets in (1, 3, 2):
        h, logits = rng.normal(size=(num_sets * 13, 5)), rng.normal(size=(num_sets * 13, 3))
        label = rng.integers(0, 3, num_sets * 13)
        expected = slow_loss(h.tolist(), logits.tolist(), label.tolist(), temperature, weight)
        batch = Batch(torch.arange(len(h)), torch.from_numpy(label), len(h), embedding=torch.from_numpy(h))
        assert method.loss(torch.from_numpy(logits), batch).item() == pytest.approx(expected)


def test_several_updates_equal_those_of_the_loss_by_loops(build_trainer, monkeypatch):
    """Step by step through the loop, with gradients: the embedding is the last layer's input, not detached."""
    label = build_trainer().label.numpy()
    known = samples(label, np.where(np.arange(53) % 3 == 0, (label + 1) % 3, label), batch_size=26)

    def trainer():
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 3))
        torch.manual_seed(1)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return build_trainer(model=model, method=cnc(known), batch_size=26, momentum=0.0, groups=known.groups)

    slow = trainer()
    monkeypatch.setattr(type(slow.feed), "training_order", None)  # sets stay together: no feed may sort them
    fitted = fit(trainer(), until_epoch=2)
    for epoch in range(2):
        for index, pixels in slow.feed.batches(slow.method.order(slow.seed, epoch), 26, 0):
            inputs = slow.preprocess.training(pixels, index, slow.seed, epoch)
            h = slow.model[:3](inputs)
            logits, terms = slow.model[3](h), []
            for start in range(0, len(h), 13):
                anchors, positives, negatives, others = ([h[start + i] for i in part] for part in PARTS)
                for x, same, different in ((anchors[0], positives, negatives), (positives[0], anchors, others)):
                    e = [torch.exp(x @ o / x.norm() / o.norm() / 0.1) for o in [*same, *different]]
                    terms += [-torch.log(term / sum(e)) / len(same) for term in e[: len(same)]]
            cross = sum(-z.log_softmax(0)[y] for z, y in zip(logits, slow.label[index], strict=True)) / len(h)
            loss = 0.75 * sum(terms) / (len(h) / 13) + 0.25 * cross
            parameters = list(slow.model.parameters())
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.data -= 0.05 * gradient
    for name, value in slow.model.state_dict().items():
        torch.testing.assert_close(fitted.chosen.weights[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_shares_of_whole_sets_add_up_and_mixed_precision_changes_nothing():
    torch.manual_seed(0)
    method = cnc(samples(LABEL, WRONG, batch_size=39))
    h, logits, label = torch.randn(39, 5), torch.randn(39, 3), torch.arange(39) % 3

    def share(part: slice) -> torch.Tensor:
        return method.loss(logits[part], Batch(torch.arange(39)[part], label[part], 39, embedding=h[part]))

    whole = share(slice(39))
    torch.testing.assert_close(share(slice(13)) + share(slice(13, 39)), whole)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(share(slice(39)), whole)


def feature_of(of_class, y) -> int:
    """argmax P(a|y) / P(a)."""
    sizes = [sum(map(len, of_class[other].values())) for other in range(3)]
    totals = [sum(len(of_class[other][a]) for other in range(3)) for a in range(3)]
    lift = [len(of_class[y][a]) / sizes[y] / (totals[a] / sum(sizes)) if totals[a] else 0.0 for a in range(3)]
    return lift.index(max(lift))


def shared_by(of_class, y) -> dict[int, set[int]]:
    """The attributes of class y that other classes have too, and which classes."""
    shared = {a: {z for z in range(3) if z != y and of_class[z][a]} for a in range(3) if of_class[y][a]}
    return {a: classes for a, classes in shared.items() if classes}


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.booleans(), st.integers(0, 2**40), st.integers(0, 9), st.sampled_from([1.0, 0.4]))
def test_sets_hold_what_the_paper_says(pairs, is_predicted, seed, epoch, fraction):
    """Positives: same class, another attribute. Negatives: another class, the attribute of what they are negatives of."""
    label, attribute = np.array(pairs).T
    names = PREDICTED if is_predicted else tuple(f"{y}/{a}" for y in CLASSES for a in ("x", "y", "z"))
    kept = np.arange(len(label))[np.arange(len(label)) % 7 != 3]
    of_class = {
        y: {a: set(kept[(label[kept] == y) & (attribute[kept] == a)].tolist()) for a in range(3)} for y in range(3)
    }
    present = {int(y) for y in label[kept]}
    feature = {y: y if is_predicted else feature_of(of_class, y) for y in present}
    shared = {y: shared_by(of_class, y) for y in present}
    with_sets = sorted(y for y in present if feature[y] in shared[y] and len(shared[y]) > 1)
    met = set(with_sets).union(*(classes for y in with_sets for classes in shared[y].values()))
    if met != present:
        with pytest.raises(InputError, match="can hold a sample of class" if met else "can be made"):
            cnc(samples(label, attribute, names, kept))
        return
    method = cnc(samples(label, attribute, names, kept), anchor_fraction=fraction)
    order = method.order(seed, epoch)
    firsts, starts = [], []
    assert len(order) % 13 == 0
    for row in order.reshape(-1, 13):
        anchors, positives, negatives, others = (row[list(part)].tolist() for part in PARTS)
        y, a, b = label[anchors[0]], attribute[anchors[0]], attribute[positives[0]]
        assert a == feature[y]
        pools = (
            of_class[y][a],
            set().union(*(of_class[y][at] for at in shared[y] if at != a)),
            set().union(*(of_class[other][a] for other in range(3) if other != y)),
            set().union(*(of_class[other][b] for other in range(3) if other != y)),
        )
        for drawn, pool in zip((anchors[1:], positives, negatives, others), pools, strict=True):
            assert set(drawn) <= pool
            assert len(set(drawn)) == len(drawn) or len(drawn) > len(pool)
        firsts.append(anchors[0])
        starts.append(int(y))
    assert len(set(firsts)) == len(firsts)
    assert starts == with_sets * (len(starts) // len(with_sets))  # they take turns
    fewest = min(len(of_class[y][feature[y]]) for y in with_sets)
    assert len(starts) == len(with_sets) * max(1, round(fraction * fewest))


def test_what_is_drawn_is_drawn_evenly():
    """Each sample that qualifies is as likely as any other, in each place of a set."""
    method = cnc(samples(LABEL, WRONG))
    rows = np.concatenate([method.order(0, epoch).reshape(-1, 13) for epoch in range(400)])
    rows = rows[LABEL[rows[:, 0]] == 0]
    assert len(rows) == 6000
    for place, size in ((0, 15), (1, 15), (3, 5), (4, 5), (5, 6), (8, 6)):
        counts = Counter(rows[:, place].tolist())
        assert len(counts) == size
        assert max(abs(count - 6000 / size) for count in counts.values()) < 6 * math.sqrt(6000 / size)


def test_defaults_are_the_published_settings():
    label = np.repeat([0, 1, 0, 1], [3498, 1057, 184, 56])
    known = samples(label, np.repeat([0, 1, 1, 0], [3498, 1057, 184, 56]), ("l/land", "l/water", "w/land", "w/water"),
                    batch_size=2176, num_classes=2)  # fmt: skip
    method = build_method("cnc", {}, known)
    assert (method.temperature, method.contrastive_weight, method.set_size) == (0.1, 0.75, 68)
    assert len(method.order(0, 0)) == 2 * 1057 * 68


ONE_WAY = np.where(np.arange(60) == 0, 1, LABEL)  # a mistake in one class only
BOTH_WAYS = np.where(np.arange(60) == 20, 0, ONE_WAY)


@pytest.mark.parametrize(
    ("label", "predicted", "message"),
    [
        (LABEL, LABEL, "No contrastive batch can be made"),
        (LABEL, ONE_WAY, "No contrastive batch can be made"),
        (LABEL, BOTH_WAYS, "No contrastive batch can hold a sample of class 'c'"),
        (np.zeros(60, dtype=int), np.arange(60) % 3, "No contrastive batch can be made"),
    ],
)
def test_predictions_that_give_no_contrast_are_refused(label, predicted, message):
    with pytest.raises(InputError, match=message) as caught:
        cnc(samples(label, predicted))
    assert "earlier or more strongly regularised" in caught.value.hint


def test_groups_that_are_not_class_by_attribute_are_refused():
    across = Annotation(np.arange(60) % 2, "file", ("g/x", "g/y"))
    names = tuple(f"{y}/{a}" for y in CLASSES for a in ("right", "wrong"))
    right_and_wrong = Annotation(2 * LABEL + (WRONG != LABEL), "inferred: mistakes", names, within_class=True)
    for groups in (across, right_and_wrong):
        with pytest.raises(InputError, match="class/attribute"):
            cnc(TrainingSamples(np.arange(60), LABEL, 3, 13, groups))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_the_order_of_the_names_does_not_matter(order):
    """A list without a header names its groups as they come."""
    names, group = np.array(["a/n/x", "a/n/y", "b/x", "b/y"]), np.arange(80) % 20 // 8 + np.arange(80) % 2
    code = np.argsort(order)[group]
    known = TrainingSamples(np.arange(80), group // 2, 2, 13, Annotation(code, "file", tuple(names[list(order)])))
    plain = TrainingSamples(np.arange(80), group // 2, 2, 13, Annotation(group, "file", tuple(names)))
    assert cnc(known).order(3, 1).tolist() == cnc(plain).order(3, 1).tolist()


@pytest.mark.parametrize(("batch_size", "near"), [(128, 130), (5, 13), (40, 39)])
def test_a_batch_size_that_is_no_multiple_of_a_set_is_refused_and_the_nearest_named(batch_size, near):
    with pytest.raises(UsageError, match=rf"batch_size = {batch_size} is not a multiple of the 13 samples") as caught:
        cnc(samples(LABEL, WRONG, batch_size=batch_size))
    assert f"--set training.batch_size={near}" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "value"),
    [("temperature", 0.0), ("contrastive_weight", 1.5), ("num_anchors", 0), ("num_positives", 0),
     ("num_negatives", 0), ("anchor_fraction", 0.0), ("anchor_fraction", 1.1)],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(option, value):
    with pytest.raises(UsageError, match=f"method.options.{option} = {value} is not"):
        cnc(samples(LABEL, WRONG), **{option: value})


def test_a_model_without_a_last_linear_layer_is_refused(build_trainer):
    known = samples(LABEL[:53], WRONG[:53])
    model = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten())
    with pytest.raises(InputError, match="needs the input of the last linear layer"):
        fit(build_trainer(model=model, method=cnc(known), batch_size=13), until_epoch=1)


@pytest.mark.parametrize("count", [1, 4, 7])
def test_a_killed_run_goes_on_to_the_same_bits(build_trainer, fit_killed_at, tmp_path, count):
    label = build_trainer().label.numpy()
    known = samples(label, np.where(np.arange(53) % 3 == 0, (label + 1) % 3, label), batch_size=39)

    def trainer(**more):
        return build_trainer(method=cnc(known), groups=known.groups, batch_size=39, save_seconds=0.0, **more)

    whole = fit(trainer(), until_epoch=2)
    assert whole.records[-1]["num_steps"] > 7
    state = StateFile(tmp_path / "state", {})
    fit_killed_at(count, trainer(state_file=state), until_epoch=2)
    found = fit(trainer(state_file=state), until_epoch=2)
    assert all(torch.equal(value, found.chosen.weights[name]) for name, value in whole.chosen.weights.items())


def test_both_stages_through_the_command_line(spurcli, tiny_flags):
    """Predictions of an early model become groups, which training reads."""
    scored = spurcli("score", "--dataset", "demo", *tiny_flags)
    assert scored.code == 0, scored.err
    inferred = spurcli("infer", "--dataset", "demo", *tiny_flags, "--by", "predictions")
    assert inferred.code == 0, inferred.err
    words = [
        "train",
        "--dataset",
        "demo",
        "--keep",
        "all",
        *tiny_flags,
        "--method",
        "cnc",
        "--group-labels",
        "groups.txt",
    ]
    words += ["--set", "method.options.anchor_fraction=0.5", "--json", "-o", "cnc.safetensors"]
    refused = spurcli(*words)
    assert refused.code == 2
    assert "training.batch_size=68" in refused.err
    result = spurcli(*words, "--set", "training.batch_size=68")
    assert result.code == 0, result.err
    assert result.json["last"]["samples_seen"] % 68 == 0
    assert result.json["labels_used"]["training_groups"] == "inferred: predictions"
