"""`--group auto`: the groups that carry their class's spurious feature, with the counts of the published benchmarks."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.artifacts.indices import read_indices
from spurcli.errors import InputError, UsageError
from spurcli.stages.prune import prune

WATERBIRDS = ([3498, 184, 56, 1057], ["landbird", "waterbird"], ("land", "water"))
MULTINLI = (
    [57498, 11158, 67376, 1521, 66630, 1992],
    ["contradiction", "entailment", "neutral"],
    ("no negation", "negation"),
)


@pytest.fixture
def benchmark_scores(score_file):
    """A score file with a benchmark's group counts in a random order; returns its path, group and values too."""

    def write(counts, classes, attributes, seed=0):
        rng = np.random.default_rng(seed)
        group = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        values = rng.random(len(group)).astype(np.float32)
        width = len(attributes)
        path = score_file(values, group // width, classes=classes, attributes=attributes, attribute=group % width)
        return path, group, values

    return write


def test_waterbirds_quarter(benchmark_scores, tmp_path):
    path, group, values = benchmark_scores(*WATERBIRDS)
    result = prune([path], fraction="0.25", groups=["auto"], balance_classes=True, output=tmp_path / "keep.txt")
    assert result["rule"]["groups"] == ["landbird/land", "waterbird/water"]
    assert result["num_kept"] == 1698
    kept = read_indices(tmp_path / "keep.txt").indices
    assert np.bincount(group[kept], minlength=4).tolist() == [849 - 184, 184, 56, 1057 - 264]
    for number, num_kept in ((0, 665), (3, 793)):  # the easiest of their group stay
        mine = np.flatnonzero(group == number)
        easiest = mine[np.argsort(values[mine], kind="stable")[:num_kept]]
        assert set(easiest) == set(kept[group[kept] == number])


def test_multinli_fifth(benchmark_scores, tmp_path):
    path, group, _ = benchmark_scores(*MULTINLI)
    result = prune([path], fraction="0.2", groups=["auto"], output=tmp_path / "keep.txt")
    assert result["rule"]["groups"] == ["contradiction/negation", "entailment/no negation", "neutral/no negation"]
    removed = np.setdiff1d(np.arange(len(group)), read_indices(tmp_path / "keep.txt").indices)
    assert np.bincount(group[removed], minlength=6).tolist() == [0, 2231, 13475, 0, 13326, 0]


def test_celeba_hair_is_told_by_lift_not_by_majority(benchmark_scores, tmp_path):
    counts, classes, attributes = [71629, 66874, 22880, 1387], ["not blond", "blond"], ("female", "male")
    path, *_ = benchmark_scores(counts, classes, attributes)
    result = prune([path], fraction="0.1", groups=["auto"], output=tmp_path / "keep.txt")
    assert result["rule"]["groups"] == ["not blond/male", "blond/female"]  # the larger part of "not blond" is female


def test_by_hand_gives_the_same_list(benchmark_scores, tmp_path):
    path, *_ = benchmark_scores(*WATERBIRDS)
    prune([path], fraction="0.25", groups=["auto"], output=tmp_path / "found.txt")
    prune([path], fraction="0.25", groups=["landbird/land", "waterbird/water"], output=tmp_path / "named.txt")
    found, named = (read_indices(tmp_path / f"{name}.txt") for name in ("found", "named"))
    assert np.array_equal(found.indices, named.indices)
    assert found.rule == named.rule


def test_says_why_no_groups_are_found(score_file, benchmark_scores, tmp_path):
    output = tmp_path / "keep.txt"
    path, *_ = benchmark_scores(*WATERBIRDS)
    with pytest.raises(UsageError, match="finds all groups itself"):
        prune([path], fraction="0.1", groups=["auto", "landbird/land"], output=output)
    bare = score_file([0.1, 0.2], [0, 1], name="bare.h5")
    with pytest.raises(InputError, match="hold no groups"):
        prune([bare], fraction="0.5", groups=["auto"], output=output)
    values, label = np.arange(8.0), np.repeat([0, 1], 4)
    even = score_file(values, label, name="even.h5", attributes=("a", "b"), attribute=np.tile([0, 1], 4))
    with pytest.raises(InputError, match="No attribute is linked to one class"):
        prune([even], fraction="0.5", groups=["auto"], output=output)
    (tmp_path / "groups.txt").write_text("easy\nhard\neasy\nhard\neasy\nhard\neasy\nhard\n")
    with pytest.raises(InputError, match="not class/attribute"):
        prune([even], fraction="0.5", groups=["auto"], groups_file=tmp_path / "groups.txt", output=output)


@pytest.fixture
def inferred(tmp_path):
    """Write a list of groups whose attribute has another meaning in each class; returns the group of each sample."""

    def write(label, classes, attributes, aligned=None):
        group = np.asarray(label) * len(attributes) + np.arange(len(label)) // len(classes) % len(attributes)
        names = tuple(f"{y}/{a}" for y in classes for a in attributes)
        parts = {"train": GroupPart(group)}
        write_groups(tmp_path / "groups.txt", GroupList(names, parts, within_class=True, aligned=aligned))
        return group

    return write


def test_a_list_states_which_groups_are_aligned(score_file, inferred, tmp_path):
    """Both attributes are as frequent in every class: no count says which one is the feature's."""
    label, classes = np.tile([0, 1], 20), ["bird", "plane"]
    path = score_file(np.arange(40.0), label, classes=classes)
    for aligned, number in (("early", 0), ("late", 1)):
        group = inferred(label, classes, ("early", "late"), aligned)
        with_list = {"fraction": "0.5", "groups_file": tmp_path / "groups.txt"}
        found = prune([path], groups=["auto"], output=tmp_path / "found.txt", **with_list)
        assert found["rule"]["groups"] == [f"bird/{aligned}", f"plane/{aligned}"]
        assert found["warnings"] == []
        kept = read_indices(tmp_path / "found.txt").indices
        removed = np.setdiff1d(np.arange(40), kept)
        assert removed.tolist() == sorted(
            i
            for y in (0, 1)
            for i in np.flatnonzero(group == 2 * y + number)[5:]  # the hardest have the largest scores
        )
        prune([path], groups=[f"bird/{aligned}", f"plane/{aligned}"], output=tmp_path / "named.txt", **with_list)
        assert np.array_equal(read_indices(tmp_path / "named.txt").indices, kept)
        prune(
            [path],
            match=tmp_path / "found.txt",
            match_groups=True,
            groups_file=tmp_path / "groups.txt",
            output=tmp_path / "r.txt",
        )
        drawn = np.setdiff1d(np.arange(40), read_indices(tmp_path / "r.txt").indices)
        assert np.bincount(group[drawn], minlength=4).tolist() == np.bincount(group[removed], minlength=4).tolist()


def test_a_class_without_samples_in_the_stated_groups_is_said(score_file, inferred, tmp_path):
    path = score_file(np.arange(8.0), [0, 0, 0, 0, 1, 1, 1, 1], classes=["a", "b"])
    names, parts = ("a/early", "a/late", "b/early", "b/late"), {"train": GroupPart(np.array([0, 0, 0, 1, 3, 3, 3, 3]))}
    write_groups(tmp_path / "groups.txt", GroupList(names, parts, within_class=True, aligned="early"))
    asked = {"fraction": "0.5", "groups": ["auto"], "groups_file": tmp_path / "groups.txt"}
    found = prune([path], **asked, output=tmp_path / "keep.txt")
    assert (found["rule"]["groups"], found["num_removed"]) == (["a/early"], 1)
    assert found["warnings"] == ["Class b has no samples in its aligned group: none of its samples is removed"]
    parts = {"train": GroupPart(np.array([1, 1, 1, 1, 3, 3, 3, 3]))}
    write_groups(tmp_path / "groups.txt", GroupList(names, parts, within_class=True, aligned="early"))
    with pytest.raises(InputError, match="No training sample is in a/early, b/early"):
        prune([path], **asked, output=tmp_path / "keep.txt")


@pytest.mark.parametrize("attributes", [("right", "wrong"), ("early", "late")])
def test_lists_that_state_no_aligned_groups_are_refused_with_names_to_type(attributes, score_file, inferred, spurcli):
    """XRM's lists, and those of Sebra from before they stated it."""
    label, classes = np.tile([0, 1], 20), ["land bird", "plane"]
    score_file(np.arange(40.0), label, classes=classes)
    inferred(label, classes, attributes)
    words = ("prune", "--fraction", "0.5", "--group-labels", "groups.txt")
    refused = spurcli(*words, "--group", "auto")
    assert refused.code == 3
    assert f"The attributes {', '.join(attributes)} have a different meaning in each class" in refused.err
    hint = f"--group 'land bird/{attributes[0]}' --group plane/{attributes[0]}"
    assert hint in refused.err
    assert spurcli(*words, *shlex.split(hint)).code == 0


def test_a_group_that_is_called_auto_is_meant_itself(score_file, tmp_path):
    path = score_file(np.arange(6.0), [0, 0, 0, 1, 1, 1])
    (tmp_path / "groups.txt").write_text("auto\nauto\nb\nb\nb\nauto\n")
    prune([path], fraction="0.5", groups=["auto"], groups_file=tmp_path / "groups.txt", output=tmp_path / "k.txt")
    assert read_indices(tmp_path / "k.txt").indices.tolist() == [0, 1, 2, 3, 4]


def test_the_command_shows_the_groups(benchmark_scores, spurcli):
    benchmark_scores(*WATERBIRDS)
    result = spurcli("prune", "--fraction", "0.25", "--group", "auto", "--balance-classes")
    assert result.code == 0
    assert "feature: landbird/land, waterbird/water" in result.err
    assert "3,097 of 4,795 samples removed, 1,698 kept" in result.err


def test_all_of_several_equally_aligned_groups_are_pruned(benchmark_scores, tmp_path):
    """Background × size: of two that tie, one was taken without a word."""
    attributes = ("land, small", "land, big", "water, small", "water, big")
    counts, classes = [90, 90, 10, 10, 4, 4, 36, 36], ["landbird", "waterbird"]
    path, group, _ = benchmark_scores(counts, classes, attributes)
    result = prune([path], fraction="0.5", groups=["auto"], output=tmp_path / "keep.txt")
    carry = ["landbird/land, small", "landbird/land, big", "waterbird/water, small", "waterbird/water, big"]
    assert result["rule"]["groups"] == carry
    kept = read_indices(tmp_path / "keep.txt").indices
    assert np.bincount(group[kept], minlength=8).tolist() == [45, 45, 10, 10, 4, 4, 18, 18]
    prune([path], fraction="0.5", groups=carry, output=tmp_path / "named.txt")
    assert np.array_equal(read_indices(tmp_path / "named.txt").indices, kept)


def test_what_auto_is_not_sure_of_is_said(benchmark_scores, tmp_path):
    near, *_ = benchmark_scores([90, 91, 10, 10, 4, 4, 36, 37], ["l", "w"], ("ls", "lb", "ws", "wb"))
    warned = prune([near], fraction="0.5", groups=["auto"], output=tmp_path / "keep.txt")["warnings"]
    assert any("l/ls is about as strongly linked to its class as l/lb" in line for line in warned)
    none, *_ = benchmark_scores([30, 10, 10, 30, 20, 20], ["a", "b", "c"], ("x", "y"))
    warned = prune([none], fraction="0.5", groups=["auto"], output=tmp_path / "keep.txt")["warnings"]
    assert any("Class c is not linked to one attribute" in line for line in warned)


def test_names_with_commas_can_be_read_and_typed(benchmark_scores, spurcli):
    benchmark_scores([90, 10, 4, 36], ["l", "w"], ("land, big", "water, big"))
    result = spurcli("prune", "--fraction", "0.25", "--group", "auto")
    assert 'feature: "l/land, big", "w/water, big"' in result.err
    assert spurcli("prune", "--fraction", "0.25", "--group", "l/land, big", "--group", "w/water, big").code == 0
    unknown = spurcli("prune", "--fraction", "0.25", "--group", "l/land")
    assert unknown.code == 2
    assert 'Groups: "l/land, big", "l/water, big"' in unknown.err


def test_groups_in_one_word_are_told_to_repeat_the_flag(benchmark_scores, spurcli):
    benchmark_scores(*WATERBIRDS)
    result = spurcli("prune", "--fraction", "0.25", "--group", "landbird/land, waterbird/water")
    assert result.code == 2
    assert "--group landbird/land --group waterbird/water" in result.err
