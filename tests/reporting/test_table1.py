"""Many methods on one data set: their arms, what each says of itself, and what is joined to what."""

from __future__ import annotations

import csv
import io
import itertools
from fnmatch import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spurcli.reporting.labels import main_columns, primary_metric
from spurcli.reporting.naming import group_labels, lower_first, method_name, setting_words
from spurcli.stages.report import report
from spurcli.words import duration

RULES = {"last": 0.50, "best-val-mean": 0.55, "best-val-worst-group": 0.60}
NOTHING = {"pruning_groups": None, "training_groups": None, "errors": None, "val_labels": None, "val_groups": None}


@pytest.fixture
def method_run(make, tmp_path):
    """Write runs/seedN/NAME/RULE.evaluation.json for some rules and the history.json of that training."""

    def write(
        name,
        seed,
        *,
        method="erm",
        rules=RULES,
        options=None,
        labels=None,
        split="test",
        value=0.5,
        weights=None,
        **settings,
    ):
        folder = tmp_path / "runs" / f"seed{seed}" / name
        lineage = [f"spurcli train --method {method} --seed {seed} -o {name}/model.safetensors"]
        chosen = {"method": {"name": method, "options": options or {}}, **settings}
        for rule in rules:
            content = make.evaluation(
                value, seed=seed, settings=chosen, weights=f"{weights or name}-{seed}-{rule}", split=split
            )
            used = {**NOTHING, "val_groups": "data set" if "group" in rule else None, **(labels or {})}
            content["training"] |= {"method": method, "method_options": options or {}, "selection": rule}
            content["training"] |= {"labels_used": used, "epoch": chosen.get("training", {"epochs": 3})["epochs"]}
            content["provenance"]["lineage"] = [*lineage, f"spurcli evaluate {name}/model.{rule}.safetensors"]
            make.save(folder / f"{split}.{rule}.evaluation.json", content)
            if rule == "last":
                history = make.history(content)
                history["provenance"]["lineage"] = lineage
                for number, epoch in enumerate(history["epochs"]):
                    epoch["seconds"] = 1.5 + number + seed
                make.save(folder / "history.json", history)
        return folder

    return write


def read(tmp_path, suffix="json"):
    return report([tmp_path / "runs"], output=tmp_path / f"out.{suffix}")


def test_methods_that_end_in_the_same_weights_are_both_shown(method_run, tmp_path):
    for seed in range(3):  # PDE stopped within its warm-up is SUBG
        method_run("subg", seed, method="subg", rules=["last"], weights="same")
        method_run("pde", seed, method="pde", rules=["last"], weights="same")
    data = read(tmp_path)
    assert [(arm["label"], arm["num_seeds"]) for arm in data["arms"]] == [
        ("PDE", 3),
        ("SUBG", 3),
    ]
    assert not data["remarks"]


def test_each_rule_of_selection_is_an_arm_and_all_share_the_history_of_their_training(method_run, tmp_path):
    for seed, name in itertools.product(range(3), ("erm", "group_dro")):
        method_run(name, seed, method=name)
    data = read(tmp_path)
    assert [(arm["label"], arm["num_seeds"]) for arm in data["arms"]] == [
        ("ERM, all samples, last epoch", 3), ("Group DRO, last epoch", 3),
        ("ERM, all samples, best val mean", 3), ("Group DRO, best val mean", 3),
        ("ERM, all samples, best val worst group", 3), ("Group DRO, best val worst group", 3),
    ]  # fmt: skip
    assert [section["heading"] for section in data["sections"]] == [
        "Last epoch",
        "Best val mean",
        "Best val worst group",
    ]
    for run in data["runs"]:
        # 1.5 + 2.5 + 3.5 and the seed in each of three epochs, whichever epoch was chosen
        assert run["history"] == f"{run['name'].rpartition('/')[0]}/history.json"
        assert run["seconds"] == 7.5 + 3 * run["seed"]
    assert {arm["seconds"] for arm in data["arms"]} == {10.5}
    assert len(data["runs"]) == 18  # no history stands beside them as a run that was not evaluated


def test_rules_that_chose_the_same_weights_are_not_one_evaluation(method_run, make, tmp_path):
    for file in method_run("erm", 0).glob("*.evaluation.json"):
        content = file.read_text()
        for rule in RULES:
            content = content.replace(f"erm-0-{rule}", "the same")
        file.write_text(content)
    data = read(tmp_path)
    assert [arm["selection"] for arm in data["arms"]] == list(RULES)
    assert data["remarks"] == []


def test_val_and_test_of_one_run_are_never_one_number(method_run, tmp_path):
    for seed, (split, value) in itertools.product(range(3), (("test", 0.2), ("val", 0.8))):
        method_run("erm", seed, rules=["last"], split=split, value=value)
    data = read(tmp_path)
    levels = {
        arm["split"]: [entry["value"] for entry in arm["metrics"]["spurious_misclassification"]["values"]]
        for arm in data["arms"]
    }
    assert levels == {"test": [0.2] * 3, "val": [0.8] * 3}
    assert [section["heading"] for section in data["sections"]] == ["Test split", "Val split"]


def test_options_and_unusual_settings_are_said_and_the_usual_ones_once(method_run, tmp_path):
    usual = {"epochs": 3, "learning_rate": 0.1, "batch_size": 64, "schedule": "constant", "save_seconds": 30.0}
    for seed in range(2):
        for name in ("erm", "rwy", "suby"):
            method_run(name, seed, method=name, rules=["last"], training=usual)
        method_run("slow", seed, rules=["last"], training={**usual, "epochs": 15, "learning_rate": 0.001})
        method_run("flip", seed, rules=["last"], training=usual, preprocessing={"flip": True})
        saved = {**usual, "save_seconds": 5.0 + seed}  # says nothing about the result
        method_run("jtt", seed, method="jtt", rules=["last"], training=saved, options={"upweight": 20})
    data = read(tmp_path)
    assert {arm["label"]: arm["num_seeds"] for arm in data["arms"]} == {
        "ERM, all samples": 2, "ERM, all samples · flip": 2, "ERM, all samples · 15 epochs, learning rate 0.001": 2,
        "JTT · upweight 20": 2, "RWY": 2, "SUBY": 2,
    }  # fmt: skip
    assert data["common_settings"] == ["3 epochs, learning rate 0.1"]
    assert {arm["short"] for arm in data["arms"]} >= {"ERM", "JTT", "ERM · flip"}


def test_pruned_is_compared_with_controls_of_its_training_and_selection_only(make, method_run, tmp_path):
    for seed in range(3):
        method_run("erm", seed, value=0.5)
        method_run("slow", seed, value=0.7, training={"epochs": 15})
        for select in ("hardest", "random"):
            for rule in RULES:
                content = make.evaluation(
                    0.3, seed=seed, rule=make.rule_of(select, "0.3"), weights=f"{select}{seed}{rule}"
                )
                content["training"]["selection"] = rule
                make.save(tmp_path / "runs" / f"seed{seed}" / select / f"{rule}.evaluation.json", content)
    data = read(tmp_path)
    arms = data["arms"]
    pairs = [(arms[entry["arm"]], arms[entry["reference"]]) for entry in data["comparisons"]]
    assert [(arm["selection"], other["selection"], other["kind"]) for arm, other in pairs] == [
        (rule, rule, kind) for rule in RULES for kind in ("random", "all")
    ]
    assert all(other["settings"]["training"] == {"epochs": 3} for _, other in pairs)
    assert [line.partition(":")[0] for line in data["verdict"][:3]] == [
        "Last epoch",
        "Best val mean",
        "Best val worst group",
    ]
    assert "0.7" not in " ".join(data["verdict"])


def test_labels_and_time_are_columns_of_every_export(method_run, tmp_path):
    method_run("dro", 1, method="group_dro", labels={"training_groups": "data set"})
    method_run("jtt", 1, method="jtt", labels={"errors": "inferred: mistakes"}, options={"upweight": 5})
    read(tmp_path, "csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    found = {(row["method"], row["selection"]): (row["group_labels"], row["details"], row["seconds"]) for row in rows}
    assert found["group_dro", "last"] == ("train", "", "10.5")
    assert found["group_dro", "best-val-worst-group"] == ("train and val", "", "10.5")
    assert found["jtt", "last"] == ("inferred: mistakes", "upweight 5", "10.5")
    assert found["jtt", "best-val-worst-group"] == ("val; inferred: mistakes", "upweight 5", "10.5")
    read(tmp_path, "md")
    text = (tmp_path / "out.md").read_text()
    assert "| Group DRO, best val worst group | train and val | 1 |" in text
    assert "| 10 s |" in text or "| 11 s |" in text
    read(tmp_path, "html")
    page = (tmp_path / "out.html").read_text()
    assert ("Group labels</th>" in page, "recorded when they are read" in page, "Best val mean</th>" in page) == (
        True,
    ) * 3


def test_what_nobody_recorded_is_unknown_and_no_column_of_unknowns_is_shown(grid, make, method_run, tmp_path):
    read_alone = report([grid()], output=tmp_path / "alone.html")
    assert {arm["group_labels"] for arm in read_alone["arms"]} == {"unknown"}
    assert "Group labels" not in (tmp_path / "alone.html").read_text()
    # a list of before its labels were recorded, on which a run that records trained
    within = {**make.rule_of("hardest", "0.3"), "groups": ["cat/hat"], "per": "group"}
    content = make.evaluation(0.4, rule=within)
    content["training"]["labels_used"] = NOTHING
    make.save(tmp_path / "runs" / "old-list.evaluation.json", content)
    data = read(tmp_path)
    assert (
        next(arm["group_labels"] for arm in data["arms"] if arm["kind"] == "hardest" and arm["details"] == [])
        == "unknown"
    )


@pytest.mark.parametrize(
    ("used", "words"),
    [
        ({}, "none"),
        ({"val_labels": "data set"}, "none"),
        ({"pruning_groups": "scores"}, "train"),
        ({"val_groups": "data set"}, "val"),
        ({"training_groups": "data set", "val_groups": "data set"}, "train and val"),
        ({"training_groups": "inferred: clusters", "val_groups": "data set"}, "val; inferred: clusters"),
        ({"training_groups": "data set, file"}, "train; file"),
        ({"errors": "inferred: mistakes", "training_groups": "inferred: mistakes"}, "inferred: mistakes"),
    ],
)
def test_group_labels_in_words(used, words):
    assert group_labels({**NOTHING, **used}) == words


def test_groups_that_were_inferred_are_another_arm_and_said(method_run, tmp_path):
    for seed, (name, source) in itertools.product(
        range(2), (("true", "data set"), ("mistakes", "inferred: mistakes"), ("own", "file"))
    ):
        method_run(name, seed, method="group_dro", rules=["last"], labels={"training_groups": source})
    assert {arm["label"]: arm["num_seeds"] for arm in read(tmp_path)["arms"]} == {
        "Group DRO": 2, "Group DRO on inferred groups (mistakes)": 2, "Group DRO on groups of: file": 2,
    }  # fmt: skip


def test_names_and_numbers_in_words():
    names = {name: method_name(name) for name in ("erm", "group_dro", "subg", "jtt", "", "own.py:Focal")}
    assert names == {
        "erm": "ERM", "group_dro": "Group DRO", "subg": "SUBG", "jtt": "JTT", "": "Unknown method", "own.py:Focal": "own.py:Focal",
    }  # fmt: skip
    assert [lower_first(label) for label in ("Hardest 10 %", "ERM", "CnC, x", "")] == [
        "hardest 10 %",
        "ERM",
        "CnC, x",
        "",
    ]
    said = {
        ("training.epochs", 15): "15 epochs",
        ("learning_rate", 1e-05): "learning rate 1e-05",
        ("flip", False): "no flip",
    }
    assert all(setting_words(key, value) == words for (key, value), words in said.items())
    assert setting_words("milestones", [80, 120]) == "milestones 80, 120"
    assert [duration(s) for s in (None, 2.06, 45.4, 99.9, 738, 9000)] == [
        "–",
        "2.1 s",
        "45 s",
        "100 s",
        "12.3 min",
        "2.5 h",
    ]


def test_the_worst_group_comes_first_where_there_are_several_conflict_groups():
    one = ["accuracy", "worst_group_accuracy", "adjusted_mean_accuracy", "conflict_accuracy"]
    assert primary_metric(one) == "conflict_accuracy"  # CelebA with glasses
    assert primary_metric([*one, "worst_conflict_accuracy"]) == "worst_group_accuracy"  # Waterbirds, MultiNLI
    assert main_columns(one) == ["worst_group_accuracy", "conflict_accuracy", "adjusted_mean_accuracy", "accuracy"]
    injected = [*one, "spurious_misclassification", "worst_conflict_accuracy"]
    assert primary_metric(injected) == "spurious_misclassification"


NAMES = st.sampled_from(
    ["spurious_misclassification", "spurious_misclassification_without", "spurious_misclassification_all",
     "spurious_misclassification_reverse", "worst_group_accuracy", "conflict_accuracy", "adjusted_mean_accuracy",
     "accuracy", "feature_effect", "probit_gap", "background_auroc", "subgroup_auroc", "auroc_with_feature", "own"]
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(NAMES, unique=True))
def test_group_accuracies_are_always_among_the_columns(names):
    chosen = main_columns(names)
    assert set(chosen) <= set(names)
    assert len(chosen) == len(set(chosen)) <= 8
    wanted = {name for name in names if fnmatch(name, "*accuracy")}
    assert wanted <= set(chosen)
