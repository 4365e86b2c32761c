"""What the first paragraph claims: only what the paired seeds bear."""

from __future__ import annotations

import itertools
import random

import pytest

from spurcli.reporting import report


def read(folder, tmp_path):
    return report([folder], output=tmp_path / "out.json")


def words(data):
    return " ".join([*data["verdict"], *data["reading"]])


def test_a_clear_effect_is_said_with_direction_and_controls(grid, tmp_path):
    data = read(grid(), tmp_path)
    first = data["verdict"][0]
    assert first == (
        "Against the random control of equal size, spurious misclassification (cat with the feature, taken for dog) is "
        "lower with the hardest 30 % removed. Against training on all samples, it is lower with the hardest 30 % removed."
    )
    # hardest − all: −.14 −.12 −.14, hardest − random: −.15 −.16 −.14, accuracy −.06 −.058 −.056
    assert "15.0 ± 0.6 points lower than the random control of equal size (3 of 3 seeds better)" in data["verdict"][1]
    assert "13.3 ± 0.7 points lower than training on all samples (3 of 3 seeds better)" in data["verdict"][1]
    assert "Accuracy: −5.8 ± 0.1 points against the random control" in data["verdict"][1]
    assert "Fewer than 5 paired seeds: a hint, not a result" in words(data)


@pytest.mark.parametrize("num_seeds", [1, 2])
def test_too_few_seeds_decide_nothing_however_large_the_difference(grid, tmp_path, num_seeds):
    data = read(grid(arms={"all": (0.9,) * num_seeds, "hardest": (0.1,) * num_seeds}), tmp_path)
    assert "undecided (too few seeds)" in data["verdict"][0]
    assert "lower" not in words(data)
    assert not any(found["clear"] for entry in data["comparisons"] for found in entry["metrics"].values())


def test_noise_is_no_difference(grid, tmp_path):
    data = read(grid(arms={"all": (0.2, 0.5, 0.8), "hardest": (0.7, 0.3, 0.4)}), tmp_path)
    assert "not clearly different with the hardest 30 % removed" in data["verdict"][0]
    assert "lower" not in words(data)
    assert "higher" not in words(data)


def test_a_harm_is_called_higher(grid, tmp_path):
    data = read(grid(arms={"all": (0.1, 0.11, 0.12), "hardest": (0.5, 0.52, 0.51)}), tmp_path)
    assert "is higher with the hardest 30 % removed" in data["verdict"][0]


def test_without_a_random_control_the_page_says_what_cannot_be_told(make, grid, tmp_path):
    data = read(grid(arms={arm: make.LEVELS[arm] for arm in ("all", "hardest")}), tmp_path)
    assert "No random control of equal size for the hardest 30 %" in words(data)
    assert "random control of equal size, spurious" not in words(data)


def test_claims_are_exactly_the_clear_comparisons(grid, tmp_path):
    """Over random grids: "lower" stands in the first paragraph if and only if a loop over the seeds finds it."""
    draw = random.Random(1)
    claimed = 0
    for number in range(12):
        seeds = draw.choice([2, 3, 5])
        shift = draw.choice([0.0, 0.2])
        arms = {"all": tuple(0.4 + draw.gauss(0, 0.05) for _ in range(seeds))}
        arms["hardest"] = tuple(value - shift + draw.gauss(0, 0.05) for value in arms["all"])
        found = read(grid(f"grid{number}", arms), tmp_path)
        differences = [one - other for one, other in zip(arms["hardest"], arms["all"], strict=True)]
        centre = sum(differences) / seeds
        se = (sum((d - centre) ** 2 for d in differences) / (seeds - 1) / seeds) ** 0.5
        lower = seeds >= 3 and centre <= -2 * se
        assert ("is lower" in found["verdict"][0]) is lower
        claimed += lower
    assert 0 < claimed < 12


def test_seeds_are_paired_only_where_both_saw_the_same_injection(make, tmp_path):
    for seed in range(3):
        for name, rule, value in (("all", None, 0.5), ("hardest", make.rule_of("hardest", "0.3"), 0.1)):
            injected = f"draw-{seed}" if name == "all" or seed else "another"
            content = make.evaluation(value, seed=seed, rule=rule, injection_sha256=injected)
            make.save(tmp_path / "runs" / f"{name}{seed}" / "evaluation.json", content)
    (entry,) = read(tmp_path / "runs", tmp_path)["comparisons"]
    assert entry["metrics"]["spurious_misclassification"]["num_pairs"] == 2


def test_arms_of_other_settings_are_not_compared(make, tmp_path):
    for seed in range(3):
        slow = make.evaluation(0.5, seed=seed, settings={"training": {"epochs": 300}})
        slow["training"]["epoch"] = 300
        make.save(tmp_path / "runs" / f"a{seed}" / "evaluation.json", slow)
        content = make.evaluation(0.1, seed=seed, rule=make.rule_of("hardest", "0.3"))
        make.save(tmp_path / "runs" / f"h{seed}" / "evaluation.json", content)
    data = read(tmp_path / "runs", tmp_path)
    assert data["comparisons"] == []
    assert "no difference is claimed" in data["verdict"][0]
    assert {arm["label"].partition(" · ")[2] for arm in data["arms"]} == {"3 epochs", "300 epochs"}


def test_one_run_reads_as_one_run(make, tmp_path):
    make.save(tmp_path / "evaluation.json", make.evaluation(0.25))
    data = read(tmp_path / "evaluation.json", tmp_path)
    assert data["verdict"] == [
        "Spurious misclassification (cat with the feature, taken for dog) on the test split: 25.0 % for ERM, all samples "
        "(one run)."
    ]
    assert data["reading"] == []


def test_fractions_of_groups_are_not_mixed_up_with_fractions_of_classes(make, tmp_path):
    within = {**make.rule_of("hardest", "0.25"), "per": "group", "groups": ["cat/hat"]}
    for seed, (rule, value) in itertools.product(
        range(3), ((None, 0.5), (within, 0.2), (make.rule_of("hardest", "0.3"), 0.3))
    ):
        make.save(tmp_path / "runs" / f"{seed}-{value}.evaluation.json", make.evaluation(value, seed=seed, rule=rule))
    first = read(tmp_path / "runs", tmp_path)["verdict"][0]
    assert "is lower with the hardest 25 % of cat/hat and 30 % of each class removed" in first


def test_each_rule_is_compared_with_its_own_control_only(make, tmp_path):
    """Both rules remove 0.3, one of each class and one of a group: their controls must not be exchanged."""
    scopes = {"class": {}, "group": {"per": "group", "groups": ["cat/hat"]}}
    for seed, (scope, change), select in itertools.product(range(3), scopes.items(), ("hardest", "random")):
        rule = {**make.rule_of(select, "0.3", matched=scope if select == "random" else None), **change}
        value = {"hardest": 0.2, "random": 0.3}[select] + 0.1 * (scope == "group")
        make.save(
            tmp_path / "runs" / f"{seed}-{scope}-{select}.evaluation.json", make.evaluation(value, seed=seed, rule=rule)
        )
    data = read(tmp_path / "runs", tmp_path)
    pairs = {
        (data["arms"][entry["arm"]]["short"], data["arms"][entry["reference"]]["short"])
        for entry in data["comparisons"]
    }
    assert pairs == {(f"hardest 30 % of {scope}", f"random 30 % of {scope}") for scope in ("each class", "cat/hat")}


def test_a_control_matched_by_class_to_a_rule_about_groups_says_so(make, tmp_path):
    rule = {**make.rule_of("random", "0.3", matched="class"), "per": "group", "groups": ["cat/hat"]}
    make.save(tmp_path / "evaluation.json", make.evaluation(0.2, rule=rule))
    (arm,) = read(tmp_path / "evaluation.json", tmp_path)["arms"]
    assert arm["label"] == "Random samples, per class as many as 30 % of cat/hat"
