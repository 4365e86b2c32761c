"""What each rule would have chosen among the arms, and what it cost not to know the groups."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spurcli.reporting.choosing import choices
from spurcli.reporting.content import build
from spurcli.reporting.exports import markdown
from spurcli.reporting.gather import gather

# val of each arm: accuracy, recalls, recalls after fitted biases, inferred and true worst group; SM on test (lower is better)
ARMS = {
    "all": (0.90, [0.95, 0.85], [0.9, 0.9], 0.50, 0.30, 0.40),
    "hardest": (0.88, [0.89, 0.87], [0.8, 0.7], 0.60, 0.35, 0.20),
    "easiest": (0.80, [0.60, 0.99], [0.7, 0.9], 0.10, 0.60, 0.10),
}


@pytest.fixture
def study(tmp_path, make):
    """Three seeds of three arms with the history of val, or with evaluations of val beside those of test."""

    def write(*, in_history: bool = True):
        for seed in range(3):
            for arm, (accuracy, recalls, fitted, inferred, worst, value) in ARMS.items():
                rule = None if arm == "all" else make.rule_of(arm, "0.3")
                content = make.evaluation(value + 0.01 * seed, seed=seed, rule=rule)
                told = make.history(content)
                val = {
                    "accuracy": accuracy,
                    "class_recalls": [[r, 100] for r in recalls],
                    "class_recalls_fitted": [[r, 100] for r in fitted],
                    "inferred_worst_group_accuracy": inferred,
                    "worst_group_accuracy": worst,
                }
                folder = tmp_path / "runs" / f"seed{seed}" / arm
                if in_history:
                    told["epochs"][2]["evaluations"]["val"] = val
                else:
                    other = {**content, "split": "val"}
                    other["metrics"] = {name: {"value": val[name]} for name in ("accuracy", "worst_group_accuracy")}
                    other["per_class"] = [
                        {"class": n, "accuracy": {"value": r, "num_samples": 100}}
                        for n, r in zip(("cat", "dog"), recalls, strict=True)
                    ]
                    make.save(folder / "val.evaluation.json", other)
                make.save(folder / "evaluation.json", content)
                make.save(folder / "history.json", told)
        return build(gather([tmp_path / "runs"]), title=None, notes=(), command="")

    return write


def found_in(report):
    return {each.rule: each for each in report.choices}


def test_each_rule_chooses_by_val_and_is_judged_by_test(study):
    found = found_in(study())
    mean = {rule: each.mean for rule, each in found.items()}
    sm = {arm: values[-1] + 0.01 for arm, values in ARMS.items()}
    assert mean == pytest.approx(
        {
            "": sm["all"],  # nothing is chosen
            "best-val-mean": sm["all"],
            # balanced accuracy .90 and .88: within one standard error (.02); the worst recall decides
            "best-val-worst-class": sm["hardest"],
            "best-val-class-difference": sm["hardest"],
            "best-val-inferred-worst-group": sm["hardest"],
            "best-val-worst-group": sm["easiest"],
        }
    )
    assert {rule: each.cost and round(each.cost.mean, 9) for rule, each in found.items()} == {
        "": 0.3, "best-val-mean": 0.3, "best-val-worst-class": 0.1, "best-val-class-difference": 0.1,
        "best-val-inferred-worst-group": 0.1, "best-val-worst-group": None,
    }  # fmt: skip
    otherwise = {rule: each.num_fitted_otherwise for rule, each in found.items()}
    assert (otherwise["best-val-mean"], otherwise["best-val-worst-class"]) == (None, 3)
    assert all(each.num_seeds == 3 and each.num_candidates == 3 for each in found.values())
    assert found["best-val-worst-group"].reads == "group labels of val"


def test_evaluations_of_val_serve_where_the_history_says_nothing(study):
    found = found_in(study(in_history=False))
    assert "best-val-inferred-worst-group" not in found
    assert found["best-val-worst-group"].mean == pytest.approx(ARMS["easiest"][-1] + 0.01)
    assert found["best-val-worst-class"].mean == pytest.approx(ARMS["hardest"][-1] + 0.01)
    assert found["best-val-worst-class"].num_fitted_otherwise is None


def test_the_table_is_shown_and_absent_without_a_choice(study, grid, spurcli):
    report = study()
    text = markdown(report)
    assert "Chosen without and with group labels" in text
    assert "a different one in 3 seeds after class biases are fitted" in text
    assert json.loads(json.dumps(report.to_json()))["choices"][0]["rule"] == ""
    done = spurcli("report", "runs", "-o", "report.html", "--no-pictures")
    assert done.code == 0, done.err
    assert "Chosen without and with group labels" in Path("report.html").read_text(encoding="utf-8")
    plain = build(gather([grid("plain")]), title=None, notes=(), command="")
    assert plain.choices == []
    assert choices([], None, None) == []
