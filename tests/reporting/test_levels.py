"""The verdict where nothing can be paired by seed: never empty, and no more than the numbers bear."""

from __future__ import annotations

import itertools

import pytest

from spurcli.stages.report import report


def read(tmp_path):
    return report([tmp_path / "runs"], output=tmp_path / "out.json")


@pytest.fixture
def two(make, tmp_path):
    """Evaluations of two finished models; `changes` are made to the second."""

    def write(first, second, **changes):
        for name, value, more in (("a.pt", first, {}), ("b.pt", second, changes)):
            content = make.evaluation(value, **{"fingerprint": {"num_samples": 200, "labels_sha256": "x"}, **more})
            content["training"] = None
            content["model"]["weights_sha256"] = name
            content["provenance"]["parents"] = [{"file": name, "sha256": name}]
            make.save(tmp_path / "runs" / f"{name}.json", content)
        return read(tmp_path)

    return write


@pytest.mark.parametrize(("second", "overlap"), [(0.22, True), (0.30, True), (0.31, False), (0.6, False)])
def test_two_evaluations_say_how_far_apart_and_whether_test_samples_explain_it(two, second, overlap):
    (verdict,) = two(0.2, second)["verdict"]  # intervals are ± .05
    assert "20.0 % for model a.pt (one run)" in verdict
    assert f"{100 * (second - 0.2):.1f} points higher for model b.pt" in verdict
    assert ("test samples overlap (" in verdict) is overlap
    assert ("do not overlap (" in verdict) is not overlap
    assert "other seeds" in verdict


def test_equal_values_are_said_to_be_equal(two):
    (verdict,) = two(0.2, 0.2)["verdict"]
    assert "Both are equal" in verdict
    assert "higher" not in verdict


def test_evaluations_of_different_samples_are_not_compared(two):
    (verdict,) = two(0.2, 0.6, fingerprint={"num_samples": 100, "labels_sha256": "y"})["verdict"]
    assert "different samples" in verdict
    assert "higher" not in verdict


def test_a_metric_that_only_one_arm_has_leaves_none_out_in_silence(two):
    (verdict,) = two(0.2, None)["verdict"]
    assert "20.0 % for model a.pt" in verdict
    assert "Only in the table, because they lack this metric: model b.pt" in verdict


def test_a_metric_without_any_value_is_not_what_the_verdict_is_about(two):
    data = two(None, None)
    assert data["primary_metric"] == "accuracy"
    assert "80.0 % for model a.pt" in data["verdict"][0]


def test_evaluations_without_any_value_say_so(make, tmp_path):
    content = make.evaluation(None)
    content["metrics"]["accuracy"]["value"] = None
    make.save(tmp_path / "runs" / "evaluation.json", content)
    (verdict,) = read(tmp_path)["verdict"]
    assert "No metric has a value" in verdict
    assert "Nothing has been evaluated" not in verdict


def test_other_splits_are_named(make, tmp_path):
    for split in ("test", "val"):
        make.save(tmp_path / "runs" / f"{split}.json", make.evaluation(0.2, split=split))
    (verdict,) = read(tmp_path)["verdict"]
    assert "other splits (val)" in verdict


@pytest.mark.parametrize("kinds", list(itertools.product(["finished", "seed", "no seed"], repeat=2)))
def test_every_pair_of_evaluations_has_a_verdict_with_both_numbers(make, tmp_path, kinds):
    for number, kind in enumerate(kinds):
        content = make.evaluation((0.2, 0.4)[number], seed=number, method="erm")
        content["training"]["method"] = ("erm", "jtt")[number]
        if kind == "finished":
            content["training"] = None
        elif kind == "no seed":
            content["training"].pop("seed")
            content["provenance"]["settings"].pop("seed")
        make.save(tmp_path / "runs" / f"{number}.json", content)
    verdict = " ".join(read(tmp_path)["verdict"])
    assert "20.0 %" in verdict
    assert "40.0 %" in verdict
