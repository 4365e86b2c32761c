"""Rules that choose an epoch are told once: settings, training, reports, list and help read one table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spurcli import epoch_rules
from spurcli.artifacts.checkpoint import read_checkpoint_metadata
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.history import read_history
from spurcli.epoch_rules import FITTED, INFERRED, LAST, RECALLS, RULES, EpochRule, chosen, disagreement
from spurcli.errors import UsageError
from spurcli.evaluation.recalls import class_biases, fitted_recalls, recalls
from spurcli.reporting.naming import selection_words
from spurcli.session import configure
from spurcli.training.best import BestEpochs


@pytest.fixture
def best_loss(monkeypatch):
    rule = EpochRule("best val log loss", "The lowest log loss", epoch_rules._of_val("log_loss", -1), metric="log_loss")
    monkeypatch.setitem(RULES, "best-val-log-loss", rule)
    return "best-val-log-loss"


def test_a_new_rule_is_chosen_in_settings_and_by_training(best_loss):
    settings = configure("demo", overrides={"training.selection": best_loss})
    assert settings.training.selection == best_loss
    best = BestEpochs({best_loss, LAST})
    for epoch, value in enumerate((0.9, 0.4, None, 0.4, 0.7), start=1):
        best.note(nn.Linear(1, 1), {"epoch": epoch, "evaluations": {"val": {"log_loss": value}}})
    assert (best.facts[best_loss]["epoch"], best.facts[best_loss]["metric"]) == (
        2,
        "log_loss",
    )  # of equal ones the first


def test_rules_are_listed_and_named_in_reports(spurcli):
    listed = {row["name"] for row in spurcli("list", "rules", "--json").json["rules"]}
    assert listed == set(RULES)
    assert {selection_words(name) for name in RULES} == {rule.label for rule in RULES.values()}


def test_an_unknown_rule_is_answered_with_the_near_one_and_all():
    with pytest.raises(UsageError) as caught:
        configure("demo", overrides={"training.selection": "best-val-men"})
    assert "best-val-mean?" in str(caught.value.problem)
    assert all(name in caught.value.hint for name in RULES)


@pytest.mark.parametrize("name", [name for name in RULES if name != LAST])
def test_rules_say_which_labels_of_the_validation_split_they_read(name):
    rule = RULES[name]
    assert rule.reads_labels
    assert (rule.reads_groups or rule.reads_inferred) is ("group" in rule.metric)
    assert rule.value({"epoch": 1, "evaluations": {"val": {}}}) is None


def row(epoch: int, recalls, fitted=None) -> dict:
    sizes = [10, 40, 25]
    val = {RECALLS: [[r, n] for r, n in zip(recalls, sizes, strict=False)]}
    return {"epoch": epoch, "evaluations": {"val": {**val, FITTED: [[r, 10] for r in fitted or recalls]}}}


def worst_class_slowly(rows) -> int:
    """Over all epochs at once, in plain words."""
    facts = []
    for each in rows:
        recalls = each["evaluations"]["val"][RECALLS]
        values = [r for r, _ in recalls]
        mean = sum(values) / len(values)
        error = sum(r * (1 - r) / n for r, n in recalls) ** 0.5 / len(values)
        facts.append((mean, error, min(values), max(values) - min(values), each["epoch"]))
    best = max(mean for mean, *_ in facts)
    error = max(error for mean, error, *_ in facts if mean == best)
    near = [fact for fact in facts if fact[0] >= best - error]
    highest = max(fact[2] for fact in near)
    near = [fact for fact in near if fact[2] == highest]
    tightest = min(fact[3] for fact in near)
    return min(fact[4] for fact in near if fact[3] == tightest)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10), min_size=3, max_size=3), min_size=1, max_size=8), st.integers(0, 7))
def test_the_worst_class_is_chosen_as_if_all_epochs_were_looked_at_together(all_recalls, stop):
    rows = [row(epoch, [r / 10 for r in recalls]) for epoch, recalls in enumerate(all_recalls, start=1)]
    both = {"best-val-worst-class", "best-val-class-difference"}  # which often keep one epoch
    best, model = BestEpochs(both), nn.Linear(1, 1)
    for number, each in enumerate(rows):
        nn.init.constant_(model.weight, each["epoch"])
        best.note(model, each)
        if number == stop:  # interrupted here
            facts, tensors = json.loads(json.dumps(best.facts)), best.tensors()
            assert len({tensor.data_ptr() for tensor in tensors.values()}) == len(tensors)
            best = BestEpochs(both)
            best.restore(facts, tensors)
    expected = worst_class_slowly(rows)
    selected = best.selected["best-val-worst-class"]
    assert selected.epoch == best.facts["best-val-worst-class"]["epoch"] == expected
    assert float(selected.weights["weight"]) == expected
    assert chosen([RULES["best-val-worst-class"].stands(each) for each in rows]) == expected - 1


def test_class_difference_looks_at_all_pairs():
    # the pairs (1, 2) and (2, 3) are equal in both; only (1, 3) tells them apart
    even, uneven = row(1, [0.5, 0.6, 0.5]), row(2, [0.5, 0.6, 0.7])
    rule = RULES["best-val-class-difference"]
    assert rule.value(even) == pytest.approx(-(0.1 + 0.1 + 0) / 3)
    assert rule.value(uneven) == pytest.approx(-(0.1 + 0.1 + 0.2) / 3)


def test_a_moved_threshold_is_told_from_a_better_model():
    moved, better = row(1, [0.8, 0.8, 0.8], [0.6, 0.6, 0.9]), row(2, [0.9, 0.9, 0.6], [0.8, 0.8, 0.8])
    for name in ("best-val-worst-class", "best-val-class-difference"):
        assert disagreement(name, [moved, better]) == (1, 2)
        assert disagreement(name, [better]) is None
    assert disagreement("best-val-mean", [moved, better]) is None


def test_fitted_biases_undo_a_moved_threshold_and_leave_a_worse_model():
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=600)
    logits = (rng.normal(size=(600, 3)) + 2 * np.eye(3)[label]).astype(np.float32)
    moved = logits + np.array([3.0, 0.0, -1.0], dtype=np.float32)
    plain, after = (np.array(fitted_recalls(each, label))[:, 0] for each in (logits, moved))
    assert np.abs(plain - after).max() < 0.01
    assert np.array(recalls(moved.argmax(1), label, 3))[:, 0].min() < 0.3 < after.min()
    # the minimum of the class-balanced loss, found by trying both directions of each bias
    biases = class_biases(moved, label)

    def loss(shift):
        scores = moved + biases + shift
        scores = scores - scores.max(1, keepdims=True)
        losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(600), label]
        return np.mean([losses[label == y].mean() for y in range(3)])

    assert all(loss(np.eye(3)[y] * step) > loss(0) for y in range(3) for step in (-0.02, 0.02))


def test_every_rule_chooses_from_one_training_and_says_which_labels_it_read(spurcli, tiny_flags):
    assert spurcli("infer", "--dataset", "demo", *tiny_flags, "--by", "mistakes").code == 0
    chosen_by_class = ["best-val-worst-class", "best-val-class-difference"]
    words = ["train", "--dataset", "demo", "--keep", "all", *tiny_flags]
    rules = [*chosen_by_class, "best-val-inferred-worst-group"]
    done = spurcli(*words, "--group-labels", "groups.txt", "--save-epochs", ",".join(rules))
    assert done.code == 0, done.err
    history = read_history(Path("history.json"))
    rows = history["epochs"]
    # the inferred worst group, from the file alone
    group = read_groups(Path("groups.txt")).splits["val"].group
    assert all(0 <= each["evaluations"]["val"][INFERRED] <= 1 for each in rows)
    assert len(rows[0]["evaluations"]["val"][RECALLS]) == 10
    assert sum(size for _, size in rows[0]["evaluations"]["val"][RECALLS]) == len(group) == 100
    for rule in rules:
        training = read_checkpoint_metadata(Path(f"model.{rule}.safetensors"))["training"]
        assert training["epoch"] == rows[chosen([RULES[rule].stands(each) for each in rows])]["epoch"]
        used = {what: source for what, source in training["labels_used"].items() if source}
        expected = {"val_labels": "data set"} | (
            {} if rule in chosen_by_class else {"val_groups": "inferred: mistakes"}
        )
        assert used == expected
    assert ("after class biases are fitted" in done.err) is any(disagreement(rule, rows) for rule in rules)
    # a list of the training split alone, no list at all, and a list that nothing reads
    Path("train.txt").write_text("\n".join(["a", "b"] * 150) + "\n")
    refused = spurcli(*words, "--group-labels", "train.txt", "--save-epochs", rules[-1], "-o", "b.safetensors")
    assert (refused.code, "train.txt does not cover val" in refused.err) == (2, True)
    refused = spurcli(*words, "--save-epochs", rules[-1], "-o", "b.safetensors")
    assert (refused.code, "no list is named" in refused.err) == (2, True)
    refused = spurcli(*words, "--group-labels", "groups.txt", "--save-epochs", rules[0], "-o", "b.safetensors")
    assert (refused.code, "--group-labels groups.txt has no effect" in refused.err) == (2, True)
