"""Which runs belong together: seeds of one rule are an arm, everything else stands apart."""

from __future__ import annotations

import itertools

import pytest

from spurcli.stages.report import report


def arms_of(folder, tmp_path):
    return {arm["label"]: arm for arm in report([folder], output=tmp_path / "out.json")["arms"]}


def test_seeds_of_one_rule_are_one_arm_and_the_control_is_named(grid, tmp_path):
    arms = arms_of(grid(), tmp_path)
    assert {label: (arm["kind"], arm["num_seeds"]) for label, arm in arms.items()} == {
        "ERM, all samples": ("all", 3),
        "Hardest 30 % of each class removed": ("hardest", 3),
        "Random 30 % of each class removed, matched counts": ("random", 3),
        "Easiest 30 % of each class removed": ("easiest", 3),
    }


def test_fractions_scopes_groups_and_slices_stand_apart(make, tmp_path):
    rules = [
        make.rule_of("hardest", "0.1"),
        make.rule_of("hardest", "0.29"),
        {**make.rule_of("hardest", "0.1"), "per": "all"},
        {**make.rule_of("hardest", "0.1"), "per": "group", "groups": ["cat/hat"]},
        {**make.rule_of("hardest", "0.1"), "balance_classes": True},
        {**make.rule_of("hardest", "0.1"), "balance_groups": True, "group_labels": "scores"},
        {**make.rule_of("hardest", "0.1"), "per": "all", "quotas": "recall"},
        {**make.rule_of("0:50", "0.1"), "fraction": None},
        {**make.rule_of("hardest", "0.1"), "score": "loss"},
    ]
    for number, (rule, seed) in enumerate(itertools.product(rules, range(2))):
        make.save(
            tmp_path / "runs" / f"{number}" / "evaluation.json",
            make.evaluation(0.2 + number / 100, seed=seed, rule=rule),
        )
    arms = arms_of(tmp_path / "runs", tmp_path)
    assert [arm["num_seeds"] for arm in arms.values()] == [2] * len(rules)
    assert len({arm["short"] for arm in arms.values()}) == len(rules)
    for part in (
        "29 % of each class",
        "of cat/hat removed",
        "classes balanced",
        "groups balanced",
        "by class quotas",
        "Slice 0:50",
        "score = loss",
    ):
        assert sum(part in label for label in arms) == 1, (part, list(arms))


def test_the_recalls_of_each_seeds_model_are_no_rules_of_their_own(make, tmp_path):
    for seed in range(3):
        counts = [{"name": "cat", "num_correct": 40 + seed, "num_samples": 50}]
        rule = {**make.rule_of("random", "0.3", seed=seed), "per": "all", "quotas": "recall", "recall_counts": counts}
        make.save(tmp_path / "runs" / f"{seed}.evaluation.json", make.evaluation(0.2, seed=seed, rule=rule))
    arms = arms_of(tmp_path / "runs", tmp_path)
    assert {label: arm["num_seeds"] for label, arm in arms.items()} == {"Random 30 % by class quotas removed": 3}


def test_methods_budgets_and_epochs_stand_apart(make, tmp_path):
    changes = [{}, {"method": "jtt"}, {"budget": "steps"}, {"epoch": 2}]
    for number, change in enumerate(changes):
        content = make.evaluation(0.2 + number / 100)
        content["training"] |= change
        make.save(tmp_path / "runs" / f"{number}" / "evaluation.json", content)
    arms = arms_of(tmp_path / "runs", tmp_path)
    assert len(arms) == 4
    assert [label for label in arms if "JTT" in label or "epoch 2" in label or "steps" in label] == [
        "ERM, all samples · after epoch 2", "ERM, all samples · budget = steps", "JTT",
    ]  # fmt: skip


def test_a_copy_of_an_evaluation_is_counted_once_and_said(grid, tmp_path):
    folder = grid()
    copy = folder / "backup" / "evaluation.json"
    copy.parent.mkdir()
    copy.write_bytes((folder / "seed0" / "all" / "evaluation.json").read_bytes())
    data = report([folder], output=tmp_path / "out.json")
    assert [len(arm["metrics"]["accuracy"]["values"]) for arm in data["arms"]] == [3, 3, 3, 3]
    assert any("repeats an evaluation" in remark for remark in data["remarks"])


def test_runs_that_share_a_seed_count_as_one_seed(make, tmp_path):
    for number, value in enumerate((0.1, 0.3)):
        make.save(tmp_path / "runs" / f"{number}" / "evaluation.json", make.evaluation(value))
    data = report([tmp_path / "runs"], output=tmp_path / "out.json")
    entry = data["arms"][0]["metrics"]["spurious_misclassification"]
    assert (entry["mean"], entry["num_seeds"], entry["sd"]) == (0.2, 1, None)
    assert any("share a seed" in remark for remark in data["remarks"])


def test_history_joins_its_evaluation_by_the_weights(grid, tmp_path):
    data = report([grid()], output=tmp_path / "out.json")
    assert len(data["runs"]) == 12  # not 24: each training once
    assert all([epoch["loss"] for epoch in run["epochs"]] == [1.0, 0.5, 0.2] for run in data["runs"])


def test_a_history_alone_is_a_run_that_was_not_evaluated(make, tmp_path):
    make.save(tmp_path / "history.json", make.history(make.evaluation(0.2)))
    data = report([tmp_path / "history.json"], output=tmp_path / "out.json")
    assert data["verdict"][0].startswith("Nothing has been evaluated yet: this page shows training histories.")
    assert data["arms"][0]["metrics"] == {}
    assert len(data["runs"][0]["epochs"]) == 3


def test_splits_stand_apart_and_the_test_split_comes_first(make, tmp_path):
    for split, value in (("val", 0.1), ("test", 0.2)):
        make.save(tmp_path / "runs" / split / "evaluation.json", make.evaluation(value, split=split))
    labels = list(arms_of(tmp_path / "runs", tmp_path))
    assert labels == ["ERM, all samples", "ERM, all samples · val split"]


def test_mean_sd_and_interval_are_those_of_the_seeds(grid, tmp_path):
    entry = arms_of(grid(), tmp_path)["ERM, all samples"]["metrics"]["spurious_misclassification"]
    # .25 .27 .29: mean .27, sd .02, t(2) = 4.3027
    assert abs(entry["mean"] - 0.27) < 1e-12
    assert abs(entry["sd"] - 0.02) < 1e-12
    half = 4.3027 * 0.02 / 3**0.5
    assert abs(entry["interval"][0] - (0.27 - half)) < 1e-5
    assert abs(entry["interval"][1] - (0.27 + half)) < 1e-5
    assert entry["interval_of"] == "seeds"


def test_an_undefined_metric_is_left_out_and_not_zero(make, tmp_path):
    make.save(tmp_path / "evaluation.json", make.evaluation(None))
    data = report([tmp_path / "evaluation.json"], output=tmp_path / "out.json")
    assert "spurious_misclassification" not in data["arms"][0]["metrics"]
    assert data["arms"][0]["metrics"]["accuracy"]["mean"] == 0.8


def test_several_data_sets_are_told_apart_by_name_and_not_by_their_options(make, tmp_path):
    """Of settings only those are added that differ between arms of one data set."""
    birds = {"name": "table", "options": {"path": "birds.csv", "image": "file", "label": "species"}}
    reviews = {"name": "table", "options": {"path": "in/reviews.csv", "label": "stars"}}
    settings = [
        {"dataset": birds, "model": {"name": "small_cnn"}},
        {"dataset": birds, "model": {"name": "mlp"}},
        {"dataset": reviews, "model": {"name": "small_transformer"}},
    ]
    for number, chosen in enumerate(settings):
        content = make.evaluation(0.2 + number / 10, settings=chosen)
        make.save(tmp_path / "runs" / f"{number}.evaluation.json", content)
    assert set(arms_of(tmp_path / "runs", tmp_path)) == {
        "ERM, all samples · birds.csv, name = small_cnn",
        "ERM, all samples · birds.csv, name = mlp",
        "ERM, all samples · in/reviews.csv",
    }
    assert report([tmp_path / "runs"], output=tmp_path / "out.json")["title"] == "birds.csv, in/reviews.csv"


@pytest.mark.parametrize(
    ("about", "interval"), [({"group": "cat/hat"}, [0.2, 0.6]), ({"groups": ["cat/hat"]}, [0.35, 0.45])]
)
def test_a_group_has_one_interval_and_the_lowest_of_several_its_own(make, tmp_path, about, interval):
    """A metric of one group has that group's; the minimum over groups the one that covers the lowest true accuracy."""
    content = make.evaluation(0.2)
    own = {"value": 0.4, "num_samples": 200, "interval": [0.35, 0.45]}
    content["per_group"] = [{"group": "cat/hat", "accuracy": own}, {"group": "dog/hat", "accuracy": {"value": 0.9}}]
    content["metrics"]["worst_group_accuracy"] = {**own, "interval": [0.2, 0.6], **about}
    content["metrics"]["conflict_accuracy"] = {**own, "interval": [0.3, 0.5], "groups": ["cat/hat", "dog/hat"]}
    make.save(tmp_path / "evaluation.json", content)
    (arm,) = report([tmp_path / "evaluation.json"], output=tmp_path / "out.json")["arms"]
    assert arm["metrics"]["worst_group_accuracy"]["interval"] == interval
    assert arm["metrics"]["conflict_accuracy"]["interval"] == [0.3, 0.5]  # of two groups together
