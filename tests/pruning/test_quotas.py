"""DRoP's class quotas: the algorithm of the paper, exact whole numbers, and which evaluations may say them."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.evaluation import write_evaluation
from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, UsageError
from spurcli.pruning.quotas import kept_by_recall
from spurcli.stages.prune import prune


def drop(density, sizes, recall):
    """Algorithm 1 of Vysogorets et al. (2025) as it stands there: densities d_k in [0, 1], excess handed on in rounds."""
    unsaturated, excess = set(range(len(sizes))), density * sum(sizes)
    d = [Fraction(0)] * len(sizes)
    while excess > 0:
        z = sum(sizes[k] * (1 - recall[k]) for k in unsaturated) / excess
        for k in sorted(unsaturated):
            more = (1 - recall[k]) / z
            d[k] += more
            excess -= sizes[k] * more
            if d[k] > 1:
                unsaturated.remove(k)
                excess += sizes[k] * (d[k] - 1)
                d[k] = Fraction(1)
    return d


classes = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 19)), min_size=1, max_size=7)


@settings(max_examples=80, deadline=None)
@given(classes, st.integers(0, 100))
def test_quotas_against_the_papers_algorithm(rows, percent):
    sizes, recall = [size for size, _ in rows], [Fraction(right, 20) for _, right in rows]
    num_kept = sum(sizes) * percent // 100
    kept = kept_by_recall(num_kept, sizes, recall)
    exact = [n * d for n, d in zip(sizes, drop(Fraction(num_kept, sum(sizes)), sizes, recall), strict=True)]
    assert sum(kept) == num_kept
    assert all(0 <= number <= size for number, size in zip(kept, sizes, strict=True))
    assert all(abs(number - target) < 1 for number, target in zip(kept, exact, strict=True))
    # the largest remainders, of ties the lower class, are those that were rounded up
    rounded_up = [k for k in range(len(sizes)) if kept[k] > exact[k]]
    order = sorted((k for k in range(len(sizes)) if exact[k] % 1), key=lambda k: (-(exact[k] % 1), k))
    assert rounded_up == sorted(order[: len(rounded_up)])


@pytest.mark.parametrize(
    ("num_kept", "recall", "expected"),
    [
        (100, ["0.9", "0.8", "0.5"], [13, 25, 62]),  # 12.5, 25, 62.5 of a hundred each: a tie goes to the lower class
        (240, ["0.9", "0.8", "0.5"], [47, 93, 100]),  # 30, 60, 150: the last is full, 140 for 1 : 2
        (120, ["1", "1", "0.5"], [10, 10, 100]),  # all that have errors are full: equal shares of the rest
        (30, ["1", "0.9", "1"], [0, 30, 0]),
        (300, ["0.9", "0.8", "1"], [100, 100, 100]),
        (0, ["0.9", "0.8", "1"], [0, 0, 0]),
    ],
)
def test_quotas_by_hand(num_kept, recall, expected):
    assert kept_by_recall(num_kept, [100, 100, 100], [Fraction(each) for each in recall]) == expected


def test_a_class_without_samples_takes_none():
    assert kept_by_recall(30, [40, 0, 20], [Fraction("0.9"), Fraction(0), Fraction("0.8")]) == [15, 0, 15]


LABEL = np.random.default_rng(3).permutation(np.repeat([0, 1, 2], [120, 60, 20]))
NAMES = ("ant", "bee", "cow")


@pytest.fixture
def scores(score_file):
    return score_file(np.random.default_rng(4).random(200), LABEL, classes=NAMES)


@pytest.fixture
def val(tmp_path):
    """Write an evaluation: val([right of 50], name=..., split=..., …)."""

    def write(right=(45, 40, 25), *, names=NAMES, num_samples=50, name="val.json", **more):
        per_class = [
            {"class": each, "accuracy": {"value": number / num_samples, "num_samples": num_samples, "interval": None}}
            for each, number in zip(names, right, strict=True)
        ]
        write_evaluation(tmp_path / name, {"split": "val", "metrics": {}, "per_class": per_class, **more})
        return tmp_path / name

    return write


@pytest.mark.parametrize("select", ["hardest", "random"])
def test_the_list_holds_the_quotas_and_what_they_rest_on(scores, val, tmp_path, select):
    """1 − r = .1 .2 .5 of 120, 60, 20 samples: 12 : 12 : 10 of 139 kept; cow is full, 119 for 12 : 12, bee is full, …"""
    result = prune([scores], fraction="0.305", quotas=val(), select=select, score="el2n", output=tmp_path / "keep.txt")
    assert result["num_removed"] == 61  # floor(0.305 · 200), exactly
    found = read_indices(tmp_path / "keep.txt")
    kept = found.indices
    assert np.bincount(LABEL[kept]).tolist() == [60, 59, 20]
    assert {key: found.rule[key] for key in ("quotas", "per", "select", "fraction", "group_labels")} == {
        "quotas": "recall", "per": "all", "select": select, "fraction": "0.305", "group_labels": None,
    }  # fmt: skip
    assert found.rule["recall_counts"][0] == {"name": "ant", "num_correct": 45, "num_samples": 50}
    assert [parent["file"] for parent in found.provenance["parents"]] == ["scores.h5", "val.json"]
    prune([scores], fraction="0.305", quotas=val(), select=select, seed=1, output=tmp_path / "other.txt")
    same = np.array_equal(read_indices(tmp_path / "other.txt").indices, kept)
    assert same == (select == "hardest")


def test_a_control_copies_the_quotas(scores, val, tmp_path):
    prune([scores], fraction="0.3", quotas=val(), output=tmp_path / "keep.txt")
    result = prune([scores], match=tmp_path / "keep.txt", output=tmp_path / "random.txt")
    assert result["rule"]["quotas"] == "recall"
    counts = [np.bincount(LABEL[read_indices(tmp_path / name).indices]) for name in ("keep.txt", "random.txt")]
    assert np.array_equal(*counts)


def test_evaluations_that_may_not_say_quotas(scores, val, score_file, tmp_path):
    out = tmp_path / "none.txt"
    for path, says in (
        (val(split="test"), "the test split must not be used for choices"),
        (val(split="train", name="train.json"), "measured on val"),
        (val(split=None, name="split.json"), "of no named split"),
        (val((1, 2), names=("ant", "bee"), name="two.json"), "other classes: ant, bee against ant, bee, cow"),
        (val(names=("cow", "bee", "ant"), name="turned.json"), "other classes"),
        (val((50, 50, 50), name="perfect.json"), "every recall is 1"),
        (
            val(injection_sha256="ab" * 32, name="injected.json"),
            "injection abababababab, .*scores.h5 with no injection",
        ),
        (tmp_path / "absent.json", "No such file"),
        (scores, "is a score file, not an evaluation"),
    ):
        with pytest.raises(InputError, match=says):
            prune([scores], fraction="0.3", quotas=path, output=out)
    empty = val(name="empty.json")
    content = json.loads(empty.read_text())
    content["per_class"][1]["accuracy"] = {"value": None, "num_samples": 0, "interval": None}
    empty.write_text(json.dumps(content))
    with pytest.raises(InputError, match="class bee has no validation samples"):
        prune([scores], fraction="0.3", quotas=empty, output=out)
    content["per_class"][1]["accuracy"] = {"value": 1.5, "num_samples": 50, "interval": None}
    empty.write_text(json.dumps(content))
    with pytest.raises(InputError, match="outside 0 to 1"):
        prune([scores], fraction="0.3", quotas=empty, output=out)
    assert not out.exists()
    injected = val(injection_sha256="ab" * 32)
    assert (
        prune([scores], fraction="0.3", quotas=injected, allow_injection_mismatch=True, output=out)["num_removed"] == 60
    )


def test_options_that_contradict_quotas(scores, val, tmp_path):
    for more, says in (
        ({}, "The number of samples to remove"),
        ({"fraction": "0.1", "per_class": True}, "how many samples of each class"),
        ({"fraction": "0.1", "groups": ["ant/x"]}, "how many samples of each class"),
        ({"fraction": "0.1", "balance_classes": True}, "how many samples of each class"),
        ({"select": "0:5"}, "slice"),
        ({"match": scores}, "copies the counts"),
    ):
        with pytest.raises(UsageError, match=says):
            prune([scores], quotas=val(), output=tmp_path / "none.txt", **more)


def test_warnings_of_a_pruned_model_and_of_a_class_that_vanishes(scores, val, tmp_path):
    pruned = val((50, 40, 25), training={"keep": {"kind": "keep"}, "num_kept": 150, "num_train": 200})
    warned = prune([scores], fraction="0.7", quotas=pruned, output=tmp_path / "keep.txt")["warnings"]
    assert "trained on 150 of 200 samples" in warned[0]
    assert warned[1:] == ["Class ant loses all its samples"]


def test_the_whole_way_as_typed(spurcli, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    assert spurcli("train", "--dataset", "demo", "--keep", "all", *tiny_flags).code == 0
    for split in ("val", "test"):
        assert spurcli("evaluate", "--split", split, "-o", f"{split}.json").code == 0
    words = ["prune", "--fraction", "0.3", "--select", "random", "--quotas"]
    done = spurcli(*words, "val.json", "--json")
    assert done.code == 0, done.err
    assert done.json["num_removed"] == 90
    assert spurcli("train", "-o", "drop.safetensors").code == 0
    for name, labels in (("model", None), ("drop", "data set")):
        training = read_checkpoint_metadata(tmp_path / f"{name}.safetensors")["training"]
        assert training["labels_used"]["val_labels"] == labels
    refused = spurcli(*words, "test.json")
    assert refused.code == 3
    assert "the test split must not be used for choices" in refused.err
    assert "spurcli evaluate --split val" in refused.err
