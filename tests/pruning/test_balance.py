"""Balanced groups, random shares of each class, and which group labels a list says it used."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, UsageError
from spurcli.stages.prune import prune

CLASSES, ATTRIBUTES = ("landbird", "waterbird"), ("land", "water")


@pytest.fixture
def birds(score_file):
    """A score file of these group counts, mixed, and the groups: birds([3498, 184, 56, 1057])."""

    def write(counts, **more):
        rng = np.random.default_rng(0)
        group = rng.permutation(np.repeat(np.arange(4), counts))
        common = {"classes": CLASSES, "attributes": ATTRIBUTES, "attribute": group % 2}
        return score_file(rng.random(len(group)), group // 2, **common, **more), group

    return write


def kept_of(folder, name="keep.txt"):
    return read_indices(folder / name).indices


def test_waterbirds_group_balanced_subset(birds, tmp_path):
    path, group = birds([3498, 184, 56, 1057])
    draws = []
    for seed in (0, 1):
        result = prune([path], balance_groups=True, select="random", seed=seed, output=tmp_path / "keep.txt")
        draws.append(kept_of(tmp_path))
        assert np.bincount(group[draws[-1]]).tolist() == [56] * 4
    assert not np.array_equal(*draws)
    rule = result["rule"]
    assert (rule["balance_groups"], rule["balance_classes"], rule["group_labels"]) == (True, False, "scores")
    assert result["warnings"] == []


@pytest.mark.parametrize("select", ["hardest", "easiest"])
def test_more_of_the_same_goes_after_the_fraction(birds, tmp_path, select):
    """A slow loop: a tenth of each class first, then one at a time from the groups that are still too large."""
    path, group = birds([50, 30, 20, 45])
    prune([path], fraction="0.1", per_class=True, balance_groups=True, select=select, output=tmp_path / "keep.txt")
    values = np.random.default_rng(0)
    values.permutation(np.repeat(np.arange(4), [50, 30, 20, 45]))
    value = values.random(len(group)).astype(np.float32)
    order = sorted(range(145), key=lambda i: value[i], reverse=select == "hardest")
    left = set(range(145))
    for y in (0, 1):
        mine = [i for i in order if group[i] // 2 == y]
        left -= set(mine[: len(mine) // 10])
    smallest = min(sum(group[i] == g for i in left) for g in range(4))
    for g in range(4):
        while sum(group[i] == g for i in left) > smallest:
            left.remove(next(i for i in order if i in left and group[i] == g))
    assert kept_of(tmp_path).tolist() == sorted(left)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(lambda counts: counts[2] + counts[3]))
def test_all_groups_that_have_samples_end_equal(birds, tmp_path, counts):
    path, group = birds(counts)
    result = prune([path], balance_groups=True, output=tmp_path / "keep.txt")
    smallest = min(count for count in counts if count)
    assert np.bincount(group[kept_of(tmp_path)], minlength=4).tolist() == [smallest if count else 0 for count in counts]
    empty = [f"{CLASSES[g // 2]}/{ATTRIBUTES[g % 2]}" for g in range(4) if not counts[g]]
    said = [warning for warning in result["warnings"] if warning.startswith("Not balanced")]
    assert said == ([f"Not balanced, because they have no training samples: {', '.join(empty)}"] if empty else [])


def test_many_empty_groups_are_counted(score_file, tmp_path):
    attributes = tuple(map(str, range(15)))
    path = score_file(np.arange(4), [0, 0, 1, 1], classes=CLASSES, attributes=attributes, attribute=[0, 0, 0, 1])
    warned = prune([path], balance_groups=True, output=tmp_path / "keep.txt")["warnings"]
    assert warned[0].endswith("landbird/9, landbird/10 and 17 more")


def test_a_group_that_the_fraction_empties_is_said(birds, tmp_path):
    path, group = birds([20, 8, 6, 10])
    result = prune([path], fraction="1", groups=["waterbird/land"], balance_groups=True, output=tmp_path / "keep.txt")
    assert np.bincount(group[kept_of(tmp_path)], minlength=4).tolist() == [20, 8, 0, 10]
    assert any("waterbird/land" in said and "all" in said for said in result["warnings"])


def test_what_balance_needs_and_contradicts(birds, score_file, tmp_path):
    out = {"output": tmp_path / "none.txt"}
    path, _ = birds([20, 8, 6, 10])
    with pytest.raises(UsageError, match=r"--balance-classes.*--balance-groups"):
        prune([path], balance_classes=True, balance_groups=True, **out)
    with pytest.raises(UsageError, match="slice"):
        prune([path], select="0:5", balance_groups=True, **out)
    with pytest.raises(UsageError, match="copies the counts"):
        prune([path], match=path, balance_groups=True, **out)
    for balance in ("balance_classes", "balance_groups"):
        with pytest.raises(InputError, match="Nothing would be kept"):
            prune([path], fraction="1", **{balance: True}, **out)
    bare = score_file(np.arange(4), [0, 0, 1, 1], name="bare.h5")
    with pytest.raises(InputError, match=r"no groups.*\n.*--group-labels FILE"):
        prune([bare], balance_groups=True, **out)
    assert not (tmp_path / "none.txt").exists()


def test_random_per_class_takes_the_floor_of_each_and_knows_no_scores(score_file, tmp_path):
    label = np.random.default_rng(2).permutation(np.repeat([0, 1, 2], [101, 37, 9]))
    draws = {}
    for name, values, seed in (("a", np.arange(147), 0), ("b", -np.arange(147), 0), ("c", np.arange(147), 1)):
        path = score_file(values, label, name=f"{name}.h5")
        prune([path], fraction="0.29", per_class=True, select="random", seed=seed, output=tmp_path / "keep.txt")
        draws[name] = kept_of(tmp_path)
        assert np.bincount(label[draws[name]]).tolist() == [101 - 29, 37 - 10, 9 - 2]
    assert np.array_equal(draws["a"], draws["b"])
    assert not np.array_equal(draws["a"], draws["c"])


def groups_file(tmp_path, group, name="groups.txt", **facts):
    names = tuple(f"{y}/{a}" for y in CLASSES for a in ATTRIBUTES)
    write_groups(
        tmp_path / name, GroupList(names, {"train": GroupPart(group, Subject(Fingerprint.of(group // 2)))}, **facts)
    )
    return tmp_path / name


@pytest.mark.parametrize(
    ("options", "decides"),
    [
        ({"fraction": "0.2"}, False),  # groups are summarised, no more
        ({"fraction": "0.2", "per_class": True, "balance_classes": True}, False),
        ({"fraction": "0.2", "groups": ["landbird/land"]}, True),
        ({"fraction": "0.2", "groups": ["auto"]}, True),
        ({"balance_groups": True}, True),
    ],
)
def test_a_list_says_which_group_labels_decided(birds, tmp_path, options, decides):
    path, group = birds([40, 10, 8, 30])
    inferred = {"stage": "infer", "arguments": {"by": "mistakes"}}
    for source, more in (
        ("scores", {}),
        ("file", {"groups_file": groups_file(tmp_path, group)}),
        ("inferred: mistakes", {"groups_file": groups_file(tmp_path, group, "found.txt", provenance=inferred)}),
    ):
        prune([path], output=tmp_path / "keep.txt", **options, **more)
        found = read_indices(tmp_path / "keep.txt")
        assert found.rule["group_labels"] == (source if decides else None)
        assert found.summary["by_group"] is not None
        files = [parent["file"] for parent in found.provenance["parents"]]
        assert files == ["scores.h5", *[file.name for file in more.values()]]


def test_a_control_used_what_its_list_used(birds, tmp_path):
    path, group = birds([40, 10, 8, 30])
    groups = groups_file(tmp_path, group)
    prune([path], fraction="0.2", output=tmp_path / "none.txt")
    prune([path], fraction="0.2", groups=["auto"], output=tmp_path / "scores.txt")
    prune([path], fraction="0.2", groups=["auto"], groups_file=groups, output=tmp_path / "file.txt")
    for name, by_class, by_group in (("none", None, "file"), ("scores", "scores", "scores"), ("file", "file", "file")):
        for match_groups, expected in ((False, by_class), (True, by_group)):
            control = prune(
                [path], match=tmp_path / f"{name}.txt", match_groups=match_groups, groups_file=groups,
                output=tmp_path / "control.txt",
            )  # fmt: skip
            assert control["rule"]["group_labels"] == expected
    (tmp_path / "bare.txt").write_text("1\n2\n")  # nobody knows what it used
    with pytest.warns(match="plain list"):
        assert "group_labels" not in prune([path], match=tmp_path / "bare.txt", output=tmp_path / "c.txt")["rule"]


def test_as_typed(birds, spurcli):
    birds([40, 10, 0, 30])
    result = spurcli("prune", "--balance-groups", "--select", "random")
    assert result.code == 0
    assert re.search(r"(?i)not balanced.*training samples.*waterbird/land", result.err)
    assert "50 of 80 samples removed, 30 kept" in result.err
    both = spurcli("prune", "--balance-groups", "--balance-classes")
    assert (both.code, both.out) == (2, "")
    assert "cannot be combined" in both.err
