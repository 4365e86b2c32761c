"""The statistics of suspects against slow versions and against data whose truth is known."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.auditing.detectability import detectability
from spurcli.auditing.evidence import halves
from spurcli.auditing.finders.columns import find
from spurcli.auditing.groups import push_within
from spurcli.auditing.ranking import ranked
from spurcli.auditing.statistics import carries, judged
from spurcli.auditing.suspect import Counterfactual, Finding, short_name
from spurcli.auditing.written import Place, next_lines
from spurcli.errors import InputError
from spurcli.reporting.claims import holm


def presence_of(feature):
    return {split: has.astype(np.float32) for split, has in feature.items()}


def finding(feature, y=1, **more):
    return Finding("sea", "mine", y, presence_of(feature), "by sea", **more)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_halves_split_each_class_in_two(label, seed):
    label = np.array(label)
    half = halves(label, "test", seed)
    for y in np.unique(label):
        zeros = (half[label == y] == 0).sum()
        assert abs(2 * zeros - (label == y).sum()) <= 1
    assert abs(2 * (half == 0).sum() - len(label)) <= 1
    assert (half == halves(label, "test", seed)).all()


@given(st.lists(st.floats(0, 1), max_size=8))
@settings(max_examples=60, deadline=None)
def test_holm_is_the_step_down_rule(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = []
        for step, place in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
            if p_values[place] * (len(p_values) - step) > level:
                break
            rejected.append(place)
        assert [k for k, p in enumerate(adjusted) if p <= level] == sorted(rejected)


def test_a_push_within_classes_is_the_weighted_difference_of_means():
    rng = np.random.default_rng(0)
    label, mine, low = rng.integers(3, size=300), rng.random(300) < 0.4, rng.normal(size=300)
    top = variance = 0.0
    for y in (0, 2):
        with_it, without = low[(label == y) & mine], low[(label == y) & ~mine]
        top += len(with_it) * (with_it.mean() - without.mean())
        variance += len(with_it) ** 2 * (with_it.var(ddof=1) / len(with_it) + without.var(ddof=1) / len(without))
    assert push_within(low, label, mine, label != 1) == pytest.approx(top / variance**0.5)
    assert push_within(low, label, np.zeros(300, dtype=bool), label != 1) is None


@pytest.mark.parametrize(("push", "has_effect"), [(2.0, True), (0.0, False)])
def test_an_effect_that_one_rule_forbids_to_confirm_is_named_and_comes_first(world, push, has_effect):
    evidence, feature = world(1, push=push).make()
    doubted, other = judged(evidence, [finding(feature, doubt="it may belong to the object"), finding(feature, y=None)])
    assert (doubted.status, doubted.p_adjusted, doubted.has_effect) == ("unconfirmed", None, has_effect)
    assert doubted.reason.startswith("one rule is not met") == has_effect
    assert doubted.reason.endswith("it may belong to the object")
    assert (doubted.p_effect < 1e-6) == has_effect
    chosen = (evidence.half("val") == 1) & (evidence.label("val") == 1)
    right = evidence.logits("val").argmax(axis=1) == 1
    for side, mine in (("with", feature["val"]), ("without", ~feature["val"])):
        assert doubted.accuracy[f"num_{side}"] == (chosen & mine).sum()
        assert doubted.accuracy[f"num_right_{side}"] == (chosen & mine & right).sum()
    assert (ranked([other, doubted])[0].finding is doubted.finding) or not has_effect
    assert not other.accuracy


def test_what_the_model_leans_on_is_confirmed(world):
    evidence, feature = world(1, push=1.5).make()
    (suspect,) = (each for each in judged(evidence, find(evidence)) if each.finding.label_index == 1)
    assert (suspect.status, suspect.judged_by, suspect.label) == ("confirmed", "groups", "b")
    assert suspect.finding.shown == {"column": "place", "value": "= sea"}
    assert (carries(suspect.finding.presence["val"]) == feature["val"]).all()
    effect = suspect.reliance["feature_effect"]
    assert effect["interval"][0] < 1.5 / 2 < effect["interval"][1]
    mine = next(row for row in suspect.carriers["train"] if row["class"] == "b")
    assert mine["num_carriers"] == feature["train"][np.arange(400) % 2 == 1].sum()
    assert suspect.expected_harm == pytest.approx(effect["value"] * mine["num_carriers"])
    assert suspect.utility["share_in_class"] > suspect.utility["share_elsewhere"]


def test_a_feature_that_only_makes_samples_harder_is_not_confirmed(world):
    """It moves samples of a towards b, but those of b towards a: no reliance of b's."""
    evidence, feature = world(2, push=0.0, harder=1.5).make()
    (suspect,) = judged(evidence, [finding(feature)])
    assert suspect.status == "not supported"
    assert suspect.reliance["feature_effect"]["value"] > 0.3  # which by itself would say that the model leans on it


def test_without_reliance_few_are_confirmed(world):
    """Of 100 data sets whose column goes with the class and which the model does not use, at most 5 % are confirmed (9 by chance)."""
    confirmed = 0
    for seed in range(100):
        evidence, feature = world(seed, push=0.0, sizes=(200, 200)).make()
        confirmed += any(
            suspect.status == "confirmed" for suspect in judged(evidence, find(evidence, column=["place"]))
        )
        confirmed += judged(evidence, [finding(feature)])[0].status == "confirmed"
    assert confirmed <= 9


def test_a_feature_without_association_in_training_is_not_confirmed(world):
    evidence, feature = world(3, push=1.5, shares=(0.5, 0.5)).make()
    (suspect,) = judged(evidence, [finding(feature)])
    assert suspect.status == "not supported"


def test_pairs_are_tested_against_their_control(world):
    evidence, feature = world(4, push=0.0).make()
    index = np.flatnonzero((evidence.label("val") == 0) & ~feature["val"])
    before = evidence.logits("val")[index]
    moved = before + np.array([0, 1], dtype=np.float32)
    for control, status in ((None, "confirmed"), (moved, "not supported")):
        twin = Counterfactual(index, moved, control=control)
        (suspect,) = judged(evidence, [finding(feature, counterfactual=twin)])
        assert (suspect.status, suspect.judged_by) == (status, "pairs")


def moved_by(evidence, feature, distance, control):
    """Pairs: the held-out samples of class a without the feature, moved towards b, and moved as a control moves them."""
    index = np.flatnonzero((evidence.label("val") == 0) & ~feature["val"])
    before = evidence.logits("val")[index]
    towards = np.array([0, 1], dtype=np.float32)
    return Counterfactual(index, before + distance * towards, control=before + control * towards)


@pytest.mark.parametrize(
    ("p_value", "distance", "control", "status"),
    [
        (0.001, 0.8, 0.0, "confirmed"),
        (0.2, 0.8, 0.0, "not supported"),  # carriers may be chance
        (0.001, 0.8, 0.9, "not supported"),  # the control moves the model as far
        (0.001, 0.8, 0.7, "not supported"),  # or nearly so: significant, but an effect below 0.1
        (0.001, -0.8, 0.0, "not supported"),
    ],
)
def test_a_finder_with_its_own_p_value_must_show_pairs_that_move_the_model_too(
    world, p_value, distance, control, status
):
    evidence, feature = world(4, push=0.0).make()
    twin = moved_by(evidence, feature, distance, control)
    (suspect,) = judged(evidence, [finding(feature, counterfactual=twin, p_value=p_value)])
    assert suspect.status == status
    assert suspect.p_value >= p_value
    if suspect.beyond_control is not None:
        effect = suspect.reliance["feature_effect"]["value"]
        assert suspect.beyond_control == pytest.approx(effect * (distance - control) / distance, rel=0.1)


def test_the_second_model_must_show_it_too(world):
    evidence, feature = world(5, push=1.5).make()
    other, _ = world(5, push=0.0).make()
    assert judged(evidence, [finding(feature)])[0].status == "confirmed"
    evidence, _ = world(5, push=1.5).make(second=other._answers)
    assert judged(evidence, [finding(feature)])[0].status == "not supported"


def test_what_a_model_gave_does_not_judge_it(world):
    evidence, feature = world(7, push=1.5).make()
    (suspect,) = judged(evidence, [finding(feature, inferred=True, doubt="look at them")])
    assert (suspect.status, suspect.p_value) == ("unconfirmed", None)
    assert suspect.reliance["feature_effect"]["value"] is None
    assert "--second" in suspect.reliance["feature_effect"]["reason"]


def test_the_confirmed_come_first_and_the_most_harmful_of_them(world):
    evidence, feature = world(8, push=1.5).make()
    half = {split: has & (np.arange(len(has)) % 4 != 1) for split, has in feature.items()}
    order = ranked(
        judged(evidence, [finding(feature, doubt="?"), finding(feature, y=0), finding(half), finding(feature)])
    )
    assert [suspect.status for suspect in order] == ["confirmed", "confirmed", "unconfirmed", "not supported"]
    assert order[0].expected_harm > order[1].expected_harm
    assert [suspect.rank for suspect in order] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("share", "other", "fraction"), [(0.05, None, "1"), (0.3, "0.25", "1"), (0.5, "0.25", "1"), (0.9, "1", "0.25")]
)
def test_all_carriers_are_cut_while_half_of_the_class_is_left(share, other, fraction):
    """Another fraction is a comment, so that the lines can be pasted. Scores are made where difficulty decides."""
    place = Place(Path("audit"), "model.safetensors", score=("--dataset", "demo"))
    lines = next_of(place, share)
    words = [shlex.split(line, comments=True)[1:] for line in lines]
    assert lines[0] == "spurcli cut audit --suspect 2"
    if other:
        assert lines[1].endswith(f": spurcli cut audit --suspect 2 --fraction {other}")
        assert lines[1].startswith("# ")
    stages = [line for line in words[1:] if line]
    scored = ["score"] if fraction != "1" else []
    assert [line[0] for line in stages] == ["evaluate", *scored, "prune", "train", "evaluate"]
    prune = next(line for line in stages if line[0] == "prune")
    assert prune[-1] == fraction
    assert ("scores.h5" in prune) == bool(scored)
    assert stages[0] == ["evaluate", "model.safetensors", "--suspect", "audit:2"]


def test_a_model_of_another_program_is_trained_again_by_the_same_recipe():
    """Else the cut model would be compared with one of another recipe."""
    flags = ("--dataset", "sea.csv", "--model", "net.py:Net")
    lines = [
        shlex.split(line, comments=True)[1:]
        for line in next_of(Place(Path("audit"), "net.pt", flags, is_foreign=True), 0.7)
    ]
    lines = [line for line in lines if line]
    assert lines[0] == ["cut", "audit", "--suspect", "2", *flags]
    assert [line[0] for line in lines[1:]] == ["train", "evaluate", "score", "prune", "train", "evaluate"]
    assert lines[1] == ["train", "--keep", "all", *flags, "-o", "all/model.safetensors"]
    assert lines[2][:2] == ["evaluate", "all/model.safetensors"]
    assert lines[3] == ["score", *flags]


def test_a_line_break_in_a_path_does_not_leave_the_comment():
    lines = next_of(Place(Path("au\ndit"), "model.safetensors"), 0.3)
    assert not any(line.startswith("#") and len(line.splitlines()) > 1 for line in lines)


def next_of(place, share):
    suspect = SimpleNamespace(
        label="b", rank=2, finding=SimpleNamespace(name="sea"), carriers={"train": [{"class": "b", "share": share}]}
    )
    evidence = SimpleNamespace(source="train", splits=("train", "test"), held_out="test")
    return next_lines(place, evidence, suspect, Path("2.groups.txt"))


def test_a_probe_finds_what_embeddings_hold(world):
    evidence, feature = world(9, push=0).make()
    rng = np.random.default_rng(0)
    plain = {split: rng.normal(size=(len(has), 6)).astype(np.float32) for split, has in feature.items()}
    shown = {split: plain[split] + 3 * has[:, None] for split, has in feature.items()}
    for embedded, low, high in ((plain, 0.3, 0.7), (shown, 0.95, 1.0)):
        evidence._answers.embedded = embedded
        evidence._kept.clear()
        assert low <= detectability(evidence, finding(feature))["value"] <= high


@pytest.mark.parametrize(
    "damage",
    [
        {"label_index": 2},
        {"presence": {"train": np.zeros(3, dtype=np.float32)}},
        {"presence": {"val": np.zeros(400, dtype=np.float32)}},
        {"presence": {"train": np.full(400, 2.0, dtype=np.float32)}},
    ],
)
def test_a_finding_that_does_not_fit_is_refused(damage):
    whole = {"name": "x", "finder": "f", "label_index": 1, "presence": {"train": np.zeros(400, np.float32)}}
    with pytest.raises(InputError, match="Finder f"):
        Finding(**{**whole, **damage}, statement="").require_fitting({"train": 400, "val": 400}, "train", 2)


def test_names_fit_into_groups():
    assert "/" not in short_name("a/b", "c\nd")
    assert len(short_name("x" * 200)) == 48
