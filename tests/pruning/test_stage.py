"""prune on files: averaging, controls, lists, warnings, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.group_list import GroupList, GroupPart, write_groups
from spurcli.artifacts.indices import IndexList, read_indices, write_indices
from spurcli.artifacts.subject import Subject
from spurcli.errors import InputError, UsageError
from spurcli.selection import random_keys
from spurcli.stages.inject import _choose
from spurcli.stages.prune import prune

CLASSES, ATTRIBUTES = ["cat", "dog"], ("indoor", "outdoor")


@pytest.fixture
def paths(score_file):
    """Two files of 3 and 1 runs over 200 samples in 4 groups, and the values [4, 200], label, attribute."""
    rng = np.random.default_rng(5)
    label = rng.permutation(np.repeat([0, 1], [120, 80]))
    attribute = np.where(rng.random(200) < 0.8, label, 1 - label)
    values = rng.random((4, 200)).astype(np.float32)
    values[:, 10] = 1e-8  # a float32 sum would lose what the others add
    common = {"classes": CLASSES, "attributes": ATTRIBUTES, "attribute": attribute}
    first = score_file(values[:3], label, name="a.h5", **common)
    return [first, score_file(values[3:], label, name="b.h5", **common)], values, label, attribute


def test_several_files_are_averaged_run_by_run_in_float64(paths, tmp_path):
    files, values, label, _ = paths
    prune(files, fraction="0.3", per_class=True, kind="remove", output=tmp_path / "remove.txt")
    mean = np.array([np.float32(sum(float(run[i]) for run in values) / 4) for i in range(200)])
    expected = []
    for y in (0, 1):
        mine = [i for i in range(200) if label[i] == y]
        expected += sorted(mine, key=lambda i: (-mean[i], i))[: len(mine) * 3 // 10]
    assert read_indices(tmp_path / "remove.txt").indices.tolist() == sorted(expected)


def test_keep_and_remove_partition_the_set(paths, tmp_path):
    files, *_ = paths
    facts = [
        prune(files, fraction="0.25", per_class=True, kind=kind, output=tmp_path / f"{kind}.txt")
        for kind in ("keep", "remove")
    ]
    keep, remove = (read_indices(tmp_path / f"{kind}.txt") for kind in ("keep", "remove"))
    assert sorted([*keep.indices, *remove.indices]) == list(range(200))
    assert np.array_equal(remove.kept(200), keep.indices)
    assert [(f["num_removed"], f["num_kept"]) for f in facts] == [(50, 150)] * 2
    assert keep.summary == remove.summary
    assert keep.rule["fraction"] == "0.25"


@pytest.mark.parametrize("rule", [{"per_class": True}, {}, {"groups": ["cat/indoor", "dog/outdoor"]}])
@pytest.mark.parametrize("select", ["hardest", "easiest", "random"])
def test_a_larger_fraction_removes_a_superset(paths, tmp_path, rule, select):
    files, *_ = paths
    earlier: set[int] = set()
    for fraction in ("0.1", "0.25", "0.5", "0.9"):
        prune(files, fraction=fraction, select=select, kind="remove", output=tmp_path / "remove.txt", **rule)
        removed = set(read_indices(tmp_path / "remove.txt").indices.tolist())
        assert earlier < removed
        earlier = removed


def test_slices_of_each_class(paths, tmp_path):
    files, values, label, _ = paths
    prune(files, select="5:15", per_class=True, kind="remove", output=tmp_path / "remove.txt")
    removed = read_indices(tmp_path / "remove.txt").indices
    mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    for y in (0, 1):
        mine = np.flatnonzero(label == y)
        assert set(removed) & set(mine) == set(mine[np.argsort(mean[mine])][5:15])
    with pytest.raises(InputError, match=r"reaches beyond 80 samples"):
        prune(files, select="0:100", per_class=True, output=tmp_path / "x.txt")


def test_matched_control_copies_the_counts_and_not_the_samples(paths, tmp_path):
    files, _, label, attribute = paths
    prune(files, fraction="0.4", groups=["cat/indoor", "dog/outdoor"], output=tmp_path / "keep.txt")
    pruned = read_indices(tmp_path / "keep.txt").kept(200)
    group = 2 * label + attribute
    for match_groups, strata in ((False, label), (True, group)):
        draws = []
        for seed in (0, 1):
            path = tmp_path / f"random{seed}.txt"
            result = prune(files, match=tmp_path / "keep.txt", match_groups=match_groups, seed=seed, output=path)
            kept = read_indices(path).kept(200)
            assert np.bincount(strata[kept], minlength=4).tolist() == np.bincount(strata[pruned], minlength=4).tolist()
            assert result["rule"]["matched"] == ("group" if match_groups else "class")
            draws.append(set(kept.tolist()))
        assert len({frozenset(draw) for draw in (*draws, pruned.tolist())}) == 3


def test_the_control_never_draws_the_carriers_numbers(score_file, tmp_path):
    """Same seed, same class, same count: chance overlap between carriers and what the control removes."""
    size, count = 2000, 600
    path = score_file(np.linspace(0, 1, size), np.zeros(size, dtype=int), classes=["only"])
    prune([path], fraction="0.3", output=tmp_path / "keep.txt")
    carriers = _choose(random_keys(size, 7, "carriers"), "random", count)
    for options in ({"match": tmp_path / "keep.txt"}, {"fraction": "0.3", "select": "random"}):
        prune([path], seed=7, kind="remove", output=tmp_path / "remove.txt", **options)
        both = carriers[read_indices(tmp_path / "remove.txt").indices].sum()
        assert 130 < both < 230  # 180 expected, sd 9


def test_summary_against_a_slow_count(paths, tmp_path):
    files, values, label, attribute = paths
    result = prune(files, fraction="0.2", kind="remove", output=tmp_path / "remove.txt")
    removed = set(read_indices(tmp_path / "remove.txt").indices.tolist())
    summary = result["summary"]
    for key, names, code in (
        ("by_class", CLASSES, label),
        ("by_group", [f"{c}/{a}" for c in CLASSES for a in ATTRIBUTES], 2 * label + attribute),
    ):
        for number, name in enumerate(names):
            mine = [i for i in range(200) if code[i] == number]
            assert summary[key][number] == {
                "name": name, "num_samples": len(mine), "num_removed": sum(i in removed for i in mine),
            }  # fmt: skip
    mean = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    quartile = {}
    for y in (0, 1):
        mine = sorted((i for i in range(200) if label[i] == y), key=lambda i: mean[i])
        quartile |= {i: 4 * rank // len(mine) for rank, i in enumerate(mine)}
    lift = "dog/outdoor" if (attribute == 1).sum() < (attribute == 0).sum() else "cat/indoor"
    carriers = [i for i in range(200) if f"{CLASSES[label[i]]}/{ATTRIBUTES[attribute[i]]}" == lift]
    for number in range(4):
        mine = [i for i in range(200) if quartile[i] == number]
        assert summary["by_quartile"][number] == {
            "quartile": number + 1, "num_samples": len(mine), "num_removed": sum(i in removed for i in mine),
        }  # fmt: skip
        row = summary["carriers_by_quartile"][number]
        assert row["num_carriers"] == sum(quartile[i] == number for i in carriers)
        assert row["share_of_carriers"] == pytest.approx(row["num_carriers"] / len(carriers))


def test_warns_when_conflicting_groups_lose_more_than_their_share(score_file, tmp_path):
    group = np.repeat([0, 1, 2, 3], [350, 18, 6, 106])  # Waterbirds in small
    label, attribute = group // 2, group % 2
    conflicting = label != attribute
    values = np.random.default_rng(0).random(480) + 2 * conflicting  # the strong feature: carriers are easy
    common = {"classes": ["landbird", "waterbird"], "attributes": ("land", "water"), "attribute": attribute}
    path = score_file(values, label, **common)
    warned = prune([path], fraction="0.1", per_class=True, output=tmp_path / "keep.txt")["warnings"]
    assert len(warned) == 1  # one line for all of them, with the advice once
    assert "landbird/water, waterbird/land work" in warned[0]
    assert "landbird/land, waterbird/water: --group auto" in warned[0]
    for options in (
        {"fraction": "0.1", "groups": ["landbird/land", "waterbird/water"]},
        {"match": tmp_path / "keep.txt"},
        {"fraction": "0.1", "select": "easiest", "per_class": True},
    ):
        assert prune([path], output=tmp_path / "other.txt", **options)["warnings"] == []


def test_warns_when_all_removed_samples_are_of_one_class(score_file, tmp_path):
    label = np.repeat([0, 1, 2], 40)
    path = score_file(np.random.default_rng(1).random(120) + (label == 1), label, classes=["cat", "dog", "fox"])

    def warned(**options):
        return prune([path], output=tmp_path / "keep.txt", **options)["warnings"]

    one = ["All 12 removed samples are of class dog; --per-class removes from each"]
    assert warned(fraction="0.1") == warned(select="108:120") == one
    assert read_indices(tmp_path / "keep.txt").summary["warnings"] == one  # a report says it again
    assert warned(fraction="0.1", per_class=True) == []
    assert warned(fraction="0.1", select="random") == []
    assert warned(fraction="0.02") == []  # two samples of one class are no surprise
    prune([path], fraction="0.1", output=tmp_path / "one.txt")
    assert warned(match=tmp_path / "one.txt") == []  # a control copies the counts


def test_groups_of_a_users_own_file(score_file, tmp_path):
    label = np.array([0, 0, 0, 1, 1, 1] * 10)
    names = ["young", "old", "old"] * 20  # span classes: no class/attribute grid, so nothing is said to conflict
    path = score_file(np.arange(60), label)
    group = np.array([["young", "old"].index(name) for name in names])
    write_groups(
        tmp_path / "groups.txt",
        GroupList(("young", "old"), {"train": GroupPart(group, Subject(Fingerprint.of(label)))}),
    )
    result = prune([path], fraction="0.5", groups=["old"], groups_file=tmp_path / "groups.txt", output=tmp_path / "k")
    assert {row["name"]: row["num_removed"] for row in result["summary"]["by_group"]} == {"young": 0, "old": 20}
    assert result["summary"]["carriers_by_quartile"] is None
    assert result["warnings"] == []
    control = prune(
        [path], match=tmp_path / "k", match_groups=True, groups_file=tmp_path / "groups.txt", output=tmp_path / "c"
    )
    for y in (0, 1):
        old = [i for i in range(60) if names[i] == "old" and label[i] == y]
        counts = [len(set(old) - set(read_indices(tmp_path / list_).indices.tolist())) for list_ in ("k", "c")]
        assert counts[0] == counts[1]
    assert control["num_removed"] == 20


def test_refusals(paths, score_file, tmp_path):
    files, values, label, _ = paths
    out = {"output": tmp_path / "none.txt"}
    other = score_file(values[0], 1 - label, name="other.h5")
    with pytest.raises(InputError, match="the labels differ"):
        prune([files[0], other], fraction="0.1", **out)
    injected = score_file(values[0], label, name="injected.h5", injection="ab" * 32)
    with pytest.raises(InputError, match="no injection"):
        prune([files[0], injected], fraction="0.1", **out)
    prune([files[0], injected], fraction="0.1", allow_injection_mismatch=True, output=tmp_path / "allowed.txt")
    with pytest.raises(InputError, match="no injection"):
        prune([injected], match=tmp_path / "allowed.txt", **out)
    upside_down = score_file(values[0], label, name="down.h5", higher_is="easier")
    with pytest.raises(InputError, match="on the direction of"):
        prune([files[0], upside_down], fraction="0.1", **out)
    unnamed = score_file(values[0], label, name="unnamed.h5", classes=["only one"])
    with pytest.raises(InputError, match="outside the 1 that have names"):
        prune([unnamed], fraction="0.1", **out)
    with pytest.raises(InputError, match="Nothing would be kept"):
        prune(files, fraction="1", **out)
    foreign = IndexList(np.arange(5), "keep", Subject(Fingerprint(6)))
    write_indices(tmp_path / "foreign.txt", foreign)
    with pytest.raises(InputError, match="6 samples against 200"):
        prune(files, match=tmp_path / "foreign.txt", **out)
    for wrong in (
        {},
        {"fraction": "0.1", "select": "0:5"},
        {"fraction": "0.1", "per_class": True, "groups": ["cat/indoor"]},
        {"match": tmp_path / "allowed.txt", "fraction": "0.1"},
        {"match_groups": True, "fraction": "0.1"},
    ):
        with pytest.raises(UsageError):
            prune(files, **wrong, **out)
    assert not (tmp_path / "none.txt").exists()
