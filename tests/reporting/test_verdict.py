"""What the first paragraph claims: only what the paired seeds bear."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from scipy.stats import ttest_1samp

from spurcli.reporting.outcomes import shares_of
from spurcli.stages.report import report


def read(folder, tmp_path):
    return report([folder], output=tmp_path / "out.json")


def words(data):
    return " ".join([*data["verdict"], *data["reading"]])


def test_a_clear_effect_is_said_with_direction_and_controls(grid, tmp_path):
    data = read(grid(), tmp_path)
    first = data["verdict"][0]
    assert first == (
        "Against the random control of equal size, spurious misclassification (cat with the feature, predicted as dog) is "
        "lower as a hint only with the hardest 30 % removed. Against training on all samples, it is lower as a hint only with "
        "the hardest 30 % removed."
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
    assert "is higher as a hint only with the hardest 30 % removed" in data["verdict"][0]


def test_without_a_random_control_the_page_says_what_cannot_be_told(make, grid, tmp_path):
    data = read(grid(arms={arm: make.LEVELS[arm] for arm in ("all", "hardest")}), tmp_path)
    assert "No random control of equal size for the hardest 30 %" in words(data)
    assert "random control of equal size, spurious" not in words(data)


def test_claims_are_exactly_what_a_test_over_the_seeds_finds(grid, tmp_path):
    """Over random grids: claimed from five seeds on, a hint from three, by SciPy's paired t-test."""
    draw = random.Random(1)
    told = {"claim": 0, "hint": 0, "nothing": 0}
    for number in range(15):
        seeds, shift = (3, 5, 5)[number % 3], draw.choice([0.0, 0.2])
        arms = {"all": tuple(0.4 + draw.gauss(0, 0.05) for _ in range(seeds))}
        arms["hardest"] = tuple(value - shift + draw.gauss(0, 0.05) for value in arms["all"])
        found = read(grid(f"grid{number}", arms), tmp_path)
        differences = [one - other for one, other in zip(arms["hardest"], arms["all"], strict=True)]
        lower = bool(ttest_1samp(differences, 0).pvalue < 0.05) and sum(differences) < 0
        first, (claim,) = found["verdict"][0], found["claims"]
        assert (
            ("is lower with" in first) is (lower and seeds >= 5) is (claim["is_claim"] and claim["result"] == "better")
        )
        assert ("is lower as a hint only" in first) is (lower and seeds < 5)
        told["nothing" if not lower else "claim" if seeds >= 5 else "hint"] += 1
    assert min(told.values()) > 0


def reliance_grid(make, tmp_path, seeds=6, *, hardest, core=0.0, symptom=-0.1, warnings=(), effect=0.4):
    """Three arms over seeds: ERM and the random control at probit gap 1 and `effect`, the hardest moved by `hardest`."""
    rng = random.Random(0)
    for seed, (name, rule) in itertools.product(
        range(seeds),
        (
            ("all", None),
            ("random", make.rule_of("random", "0.3", matched="class")),
            ("hardest", make.rule_of("hardest", "0.3")),
        ),
    ):
        gap, share = hardest if name == "hardest" else (0.0, 0.0)
        noise = rng.gauss(0, 0.01)
        content = make.evaluation(0.3 + (symptom if name == "hardest" else 0) + noise, seed=seed, rule=rule)
        about = {"num_samples": 100, "interval": None, "feature": "hat", "of": "dog"}
        values = {
            "probit_gap": 1 + gap + rng.gauss(0, 0.01),
            "feature_effect": effect + share + rng.gauss(0, 0.005),
            "background_auroc": 0.95 + (core if name == "hardest" else 0) + rng.gauss(0, 0.001),
        }
        content["metrics"] |= {key: {"value": value, **about} for key, value in values.items()}
        content["warnings"] = list(warnings) if name == "hardest" and seed == 2 else []
        make.save(tmp_path / "runs" / f"{name}{seed}" / "evaluation.json", content)
    return read(tmp_path / "runs", tmp_path)


def test_the_first_sentence_says_in_plain_words_whether_it_leans_less(make, tmp_path):
    data = reliance_grid(make, tmp_path, hardest=(-0.3, -0.1), core=-0.02)
    assert data["verdict"][0].startswith(
        "With the hardest 30 % removed, the model leans less on hat than with as many removed at random and than trained on "
        "all samples, but it has lost core: it separates the classes less well without hat"
    )
    assert "after adjustment for 2 primary comparisons" in data["verdict"][0]
    assert {(claim["result"], claim["is_claim"], claim["has_lost_core"]) for claim in data["claims"]} == {
        ("leans less", True, True)
    }
    assert any("Other seeds" in line for line in data["doubts"])
    assert any("whose core is worse" in line for line in data["doubts"])


@pytest.mark.parametrize(
    ("options", "result", "is_claim", "says"),
    [
        ({"hardest": (0.3, 0.1)}, "worse", True, "leans more on hat"),
        ({"hardest": (-0.3, 0.0)}, "mixed", True, "mixed results"),
        ({"hardest": (0.0, 0.0)}, "only the threshold moved", True, "only its threshold moved"),
        ({"hardest": (0.0, 0.0), "symptom": 0.0}, "undecided", False, "Undecided"),
        ({"hardest": (-0.3, -0.1), "seeds": 4}, "leans less", False, "A hint, not a claim (fewer than 5 paired seeds)"),
        ({"hardest": (-0.3, 0.0), "effect": 0.01}, "nothing to sever", True, "Nothing to sever"),
        (
            {"hardest": (-0.3, -0.1), "warnings": ["Every sample is predicted 'cat': the model has collapsed"]},
            "leans less", False, "collapsed: runs/hardest2/evaluation.json",
        ),
    ],
)  # fmt: skip
def test_each_outcome_is_named_and_marked(make, tmp_path, options, result, is_claim, says):
    data = reliance_grid(make, tmp_path, **options)
    assert {(claim["result"], claim["is_claim"]) for claim in data["claims"]} == {(result, is_claim)}
    assert says in data["verdict"][0]


def test_an_undefined_measure_decides_nothing(make, tmp_path):
    data = reliance_grid(make, tmp_path, hardest=(-0.3, -0.1))
    for path in (tmp_path / "runs").rglob("hardest*/evaluation.json"):
        content = json.loads(path.read_text())
        content["metrics"]["probit_gap"] |= {"bound": ">"}  # the AUROC is at its end: only a bound is known
        path.write_text(json.dumps(content))
    data = read(tmp_path / "runs", tmp_path)
    assert {(claim["result"], claim["reason"]) for claim in data["claims"]} == {("undecided", "undefined: probit_gap")}
    assert any("probit_gap" in remark and "bound" in remark for remark in data["remarks"])


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
    assert "for ERM, all samples · 300 epochs (" in data["verdict"][0]


def test_one_run_reads_as_one_run(make, tmp_path):
    make.save(tmp_path / "evaluation.json", make.evaluation(0.25))
    data = read(tmp_path / "evaluation.json", tmp_path)
    assert data["verdict"] == [
        "Spurious misclassification (cat with the feature, predicted as dog) on the test split: 25.0 % for ERM, all samples "
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
    assert "is lower as a hint only with the hardest 25 % of cat/hat and 30 % of each class removed" in first


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


def test_of_complete_groups_no_order_is_named(make, tmp_path):
    rule = {**make.rule_of("hardest", "1"), "per": "group", "groups": ["cat/hat"]}
    make.save(tmp_path / "evaluation.json", make.evaluation(0.2, rule=rule))
    (arm,) = read(tmp_path / "evaluation.json", tmp_path)["arms"]
    assert (arm["label"], arm["short"]) == ("All of cat/hat removed", "without all of cat/hat")
    assert (
        shares_of(["hardest 10 %", "without all of cat/hat", "hardest 20 %"])
        == "the hardest 10 % and 20 % and all of cat/hat"
    )


def test_a_control_matched_by_class_to_a_rule_about_groups_says_so(make, tmp_path):
    rule = {**make.rule_of("random", "0.3", matched="class"), "per": "group", "groups": ["cat/hat"]}
    make.save(tmp_path / "evaluation.json", make.evaluation(0.2, rule=rule))
    (arm,) = read(tmp_path / "evaluation.json", tmp_path)["arms"]
    assert arm["label"] == "Random samples, per class as many as 30 % of cat/hat"
