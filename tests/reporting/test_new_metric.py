"""A metric that is added in one place is shown right everywhere: terminal, page, Markdown, CSV, LaTeX, figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from spurcli.evaluation import metric as registry
from spurcli.evaluation.metrics import METRICS
from spurcli.stages.report import report

LOGITS = np.array([[2.0, 1.0], [-1.0, 0.5], [0.0, 3.0], [0.25, -0.5]], dtype=np.float32)
LABEL = np.array([0, 1, 1, 1])
LOG_LOSS = float(
    np.mean([np.log1p(np.exp(row[1 - y] - row[y])) for row, y in zip(LOGITS.astype(float), LABEL, strict=True)])
)


@pytest.fixture
def added(monkeypatch):
    """log_loss and calibration_error, as a developer would write them."""
    for name in ("log_loss", "calibration_error"):
        monkeypatch.setitem(METRICS, name, None)  # taken out again after the test

    @registry.metric(
        "log_loss", "Log loss", "Mean cross-entropy", unit="nats", lower_is_better=True, bounds=(0.0, None), column=7
    )
    def log_loss(outcome):
        logits = outcome.evaluated.logits.astype(np.float64)
        norm = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        losses = norm - logits[np.arange(len(logits)), outcome.evaluated.label]
        return {"value": float(losses.mean()), "num_samples": len(losses), "interval": [0.1, 1.75]}

    @registry.metric("calibration_error", "Calibration error", "Confidence minus accuracy", lower_is_better=True)
    def calibration_error(outcome):
        return {"value": 0.125, "num_samples": len(outcome.correct), "interval": None}


@pytest.fixture
def evaluated(added, spurcli, tmp_path):
    """The evaluation of LOGITS by the command line: what it printed, and its file."""
    np.save(tmp_path / "logits.npy", LOGITS)
    np.save(tmp_path / "labels.npy", LABEL)
    done = spurcli("evaluate", "--logits", "logits.npy", "--labels", "labels.npy")
    assert done.code == 0, done.err
    return done.err, tmp_path / "evaluation.json"


def written(path, suffix, tmp_path):
    report([path], output=tmp_path / f"r.{suffix}")
    return (tmp_path / f"r.{suffix}").read_text()


SHOWN = f"{LOG_LOSS:.3f}"


def test_the_terminal_shows_value_and_interval_in_the_metric_s_unit(evaluated):
    printed, _ = evaluated
    (line,) = [line for line in printed.splitlines() if "log loss" in line]
    assert f"{SHOWN} nats" in line
    assert "0.100 nats … 1.750 nats" in line
    assert "%" not in line
    (line,) = [line for line in printed.splitlines() if "calibration error" in line]
    assert "12.5 %" in line


def test_the_file_says_how_to_show_it(evaluated):
    _, path = evaluated
    entry = json.loads(path.read_text())["metrics"]["log_loss"]
    assert (entry["unit"], entry["lower_is_better"], entry["bounds"]) == ("nats", True, [0, None])


def test_the_page_and_every_table_show_it(evaluated, tmp_path):
    _, path = evaluated
    page = " ".join(written(path, "html", tmp_path).replace("\u00a0", " ").split())
    assert f'{SHOWN} nats</td><td class="n soft">0.100–1.750' in page  # not cut to [0, 1]
    assert 'Log loss <span class="way">lower is better' in page
    assert "12.5 %" in page
    assert f"| {SHOWN} nats \\[0.100–1.750\\] |" in written(path, "md", tmp_path)
    (row,) = csv.DictReader(io.StringIO(written(path, "csv", tmp_path)))
    assert (float(row["log_loss"]), float(row["log_loss_high"])) == (pytest.approx(LOG_LOSS), 1.75)
    assert float(row["calibration_error"]) == 0.125
    table = written(path, "tex", tmp_path)
    assert r"Log loss (nats) $\downarrow$" in table
    assert r"Calibration error (\%) $\downarrow$" in table
    assert f"& {SHOWN} &" in table
    assert " & 12.5 " in table
    assert r"Accuracy (\%) $\uparrow$" in table


def test_a_program_that_does_not_know_the_metric_reads_all_from_the_file(evaluated, monkeypatch, tmp_path):
    _, path = evaluated
    for name in ("log_loss", "calibration_error"):
        monkeypatch.delitem(METRICS, name)
    metrics = {metric["name"]: metric for metric in json.loads(written(path, "json", tmp_path))["metrics"]}
    assert (metrics["log_loss"]["label"], metrics["log_loss"]["unit"]) == ("Log loss", "nats")
    assert (metrics["calibration_error"]["unit"], metrics["calibration_error"]["lower_is_better"]) == ("%", True)


@pytest.mark.parametrize("value", [0.877, 7.0, 0.0])
def test_an_unknown_metric_without_a_unit_is_a_plain_number_of_no_direction(make, tmp_path, value):
    content = make.evaluation(0.2)
    content["metrics"]["my_loss"] = {"value": value}
    path = make.save(tmp_path / "evaluation.json", content)
    data = json.loads(written(path, "json", tmp_path))
    (metric,) = [metric for metric in data["metrics"] if metric["name"] == "my_loss"]
    assert (metric["unit"], metric["lower_is_better"], metric["bounds"]) == ("", None, [None, None])
    assert f"{value:.3f} |" in written(path, "md", tmp_path)


@pytest.mark.parametrize(
    "told", [{"unit": 7, "label": [], "bounds": "x", "lower_is_better": "no"}, {"bounds": [True, {}]}]
)
def test_descriptions_of_the_wrong_kind_are_as_if_missing(make, tmp_path, told):
    content = make.evaluation(0.2)
    content["metrics"]["accuracy"] |= told
    path = make.save(tmp_path / "evaluation.json", content)
    (metric,) = [m for m in json.loads(written(path, "json", tmp_path))["metrics"] if m["name"] == "accuracy"]
    assert (metric["label"], metric["unit"], metric["lower_is_better"]) == ("Accuracy", "%", False)


def test_values_in_two_units_are_not_averaged(make, tmp_path):
    for seed, told in enumerate(({}, {"unit": ""})):
        content = make.evaluation(0.2, seed=seed)
        content["metrics"]["accuracy"] |= told | {"value": 80.0 if told else 0.8}
        make.save(tmp_path / "runs" / f"{seed}.json", content)
    data = json.loads(written(tmp_path / "runs", "json", tmp_path))
    assert data["arms"][0]["metrics"]["accuracy"]["mean"] == 0.8
    assert any("runs/1.json: accuracy is left out" in remark for remark in data["remarks"])


def test_auroc_is_a_plain_number_everywhere(spurcli):
    listed = {row["name"]: row for row in spurcli("list", "metrics", "--json").json["metrics"]}
    assert listed["subgroup_auroc"]["unit"] == ""
    assert listed["spurious_misclassification"]["lower_is_better"]
    assert listed["accuracy"]["unit"] == "%"


def test_names_in_latex_are_text(make, tmp_path):
    for seed in range(2):
        rule = {**make.rule_of("hardest", "0.3"), "groups": [r"a_b\input{x}&%$"], "per": "group"}
        make.save(tmp_path / "runs" / f"{seed}.json", make.evaluation(0.2 + seed / 10, seed=seed, rule=rule))
    table = written(tmp_path / "runs", "tex", tmp_path)
    assert r"a\_b\textbackslash{}input\{x\}\&\%\$" in table
    assert r"25.0 $\pm$ 7.1" in table


def test_a_file_from_before_metrics_described_themselves_reads_as_it_did(tmp_path):
    golden = Path(__file__).parent.parent / "golden" / "evaluation-v1.json"
    assert "unit" not in golden.read_text()
    assert "75.0 % \\[30.0–95.0\\] |" in written(golden, "md", tmp_path)
