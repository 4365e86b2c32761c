"""benchmarks/runs/choosing.py and benchmarks/canary.py: one training of each arm answers for all ways, a way reads only what it may, regrets."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from spurcli.artifacts.embeddings import EmbeddedSplit, Embeddings, write_embeddings
from spurcli.artifacts.fingerprint import Fingerprint

from .test_speed import FOLDER

EPOCHS = 2


@pytest.fixture
def script(monkeypatch):
    """The scripts as modules, forgotten afterwards with those that they import."""
    for folder in (FOLDER, FOLDER / "runs"):
        monkeypatch.syspath_prepend(str(folder))
    names = ("sets", "run", "choosing", "canary")
    for name in names:
        monkeypatch.delitem(importlib.sys.modules, name, raising=False)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in names[2:]})
    for name in names:
        importlib.sys.modules.pop(name, None)


def made_up(path) -> None:
    """Two classes and a background that goes with them in training, faint classes and a clear background."""
    rng = np.random.default_rng(0)
    splits = {}
    for name, size, share in (("train", 120, 0.9), ("val", 80, 0.5), ("test", 80, 0.5)):
        label = rng.permutation(np.arange(size) % 2)
        attribute = np.where(rng.random(size) < share, label, 1 - label)
        rows = rng.normal(size=(size, 6)).astype(np.float32)
        rows[:, 0] += label
        rows[:, 1] += 4 * attribute
        splits[name] = EmbeddedSplit(rows, label, Fingerprint.of(label), attribute)
    write_embeddings(path, Embeddings("made up", ("a", "b"), splits, {}, {}, ("c", "d")))


def test_every_way_chooses_from_one_training_and_is_measured_on_test(script, tmp_path, capsys):
    (tmp_path / "made-up").mkdir()
    made_up(tmp_path / "made-up" / "made.embeddings.h5")
    (tmp_path / "canary.jsonl").write_text(json.dumps({"set": "made-up", "fraction": "0.2"}) + "\n")
    words = [
        str(tmp_path),
        "made-up",
        "--seeds",
        "7",
        "--epochs",
        str(EPOCHS),
        "--results",
        str(tmp_path / "found.jsonl"),
    ]
    words += ["--set", f"training.epochs={EPOCHS}"]
    script.choosing.main(words)
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    found = {line["way"]: line for line in lines if line["scope"] == "all"}
    assert found["canary"]["arm"] == "class-0.2"
    assert found["last"] == {**found["last"], "arm": "erm", "epoch": EPOCHS}
    assert {"best-val-worst-group", "best-val-worst-class", "xrm"} <= set(found)
    assert all(line["metrics"]["worst_group_accuracy"] is not None for line in lines)
    assert {line["arm"] for line in lines if line["scope"] == "epochs"} == {"erm"}
    assert "cost of not knowing" in capsys.readouterr().out


def row(arm: str, epoch: int, recalls, worst: float, xrm: float) -> dict:
    val = {
        "accuracy": 0.8,
        "class_recalls": [[value, 100] for value in recalls],
        "best-val-worst-group": worst,
        "xrm": xrm,
    }
    return {"arm": arm, "epoch": epoch, "val": val, "biased": {**val, "xrm": 1 - xrm}}


def test_a_way_reads_the_groups_that_it_is_named_for(script):
    rows = [
        row("erm", 1, (0.9, 0.7), 0.2, 0.6),
        row("erm", 2, (0.82, 0.78), 0.5, 0.4),
        row("jtt", 1, (0.8, 0.79), 0.4, 0.3),
    ]
    chosen = {
        way: script.choosing.choose(rows, way)[0] for way in ("xrm", "best-val-worst-group", "best-val-worst-class")
    }
    assert chosen == {"xrm": rows[0], "best-val-worst-group": rows[1], "best-val-worst-class": rows[2]}
    assert script.choosing.choose(rows, "xrm", "biased")[0] == rows[2]


def test_a_val_as_in_training_has_the_shares_of_training(script):
    train, val = np.repeat([0, 1, 2], [80, 20, 100]), np.repeat([0, 1, 2, 3], [40, 40, 70, 9])
    groups = {"train": train, "val": val}
    dataset = SimpleNamespace(group=groups.get, group_names=("a", "b", "c", "d"))
    found = val[script.choosing.as_in_training(dataset, 1)]
    np.testing.assert_array_equal(np.bincount(found, minlength=4), [40, 10, 50, 0])


def test_the_canaries_choice_is_a_model_that_is_there_or_is_left_out(script):
    def line(way: str, seed: int = 1, scope: str = "all", **other) -> dict:
        return {"set": "birds", "seed": seed, "scope": scope, "way": way, "arm": way, **other}

    lines = [
        line("last"),
        line("ten"),
        line("last", scope="epochs"),
        line("canary", 2, arm="measured"),
        line("last", 2),
    ]
    added = {
        fraction: script.choosing.with_canary(lines, {"birds": fraction})[len(lines) :]
        for fraction in ("0", "0.1", "0.2")
    }
    assert added == {"0": [line("last") | {"way": "canary"}], "0.1": [line("ten") | {"way": "canary"}], "0.2": []}
    assert script.choosing.with_canary(lines, {}) == lines


def test_the_cost_of_not_knowing_is_paired_by_seed(script):
    lines = [
        {
            "seed": seed,
            "way": way,
            "arm": "erm",
            "fitted_otherwise": None,
            "metrics": {
                "worst_group_accuracy": value,
                "probit_gap": 1.0,
                "feature_effect": 1.0,
                "adjusted_mean_accuracy": 0.9,
            },
        }
        for seed, base in ((1, 0.4), (2, 0.6))
        for way, value in (("last", base - 0.1), ("best-val-worst-group", base))
    ]
    text = "\n".join(script.choosing.table(lines))
    assert (
        "| nothing: ERM, last epoch | erm (2) | 40.0 ± 14.1 | 1.00 ± 0.00 | 1.00 ± 0.00 | 90.0 ± 0.0 | 10.0 ± 0.0 |"
        in text
    )


def test_regret_is_against_the_best_fraction_that_may_be_paid(script):
    regrets = script.canary.regrets
    effect, cost = {"0": 0.5, "0.1": 0.4, "0.2": 0.3}, {"0": 0.0, "0.1": 0.5, "0.2": 3.0}
    assert regrets(effect, cost, 1.0, "0", "0.1", "0.2") == pytest.approx([0.1, 0.0, -0.1])
    assert regrets(effect, cost, 5.0, "0.1") == pytest.approx([0.1])


def test_embeddings_are_read_where_the_runs_write_them(script, tmp_path):
    data = script.canary.data_of("waterbirds-frozen", tmp_path, [1], tiny=False)
    assert data["dataset"] == str(tmp_path / "waterbirds.embeddings.h5")


def test_outcomes_come_from_results_of_the_seeds_that_have_all_arms(script, tmp_path, capsys):
    def line(seed, arm, effect, accuracy, split="test"):
        metrics = {"feature_effect": effect if isinstance(effect, str) else [effect, None, None, 9]}
        return {"seed": seed, "arm": arm, "split": split, "metrics": {**metrics, "accuracy": [accuracy, None, None, 9]}}

    lines = [
        *(line(seed, "all", 0.5 + seed / 100, 0.9) for seed in (1, 2, 3)),
        *(line(seed, "hardest-0.1", 0.3 + seed / 100, 0.88) for seed in (1, 2)),
        *(line(seed, "random-0.1", 0.4 + seed / 100, 0.89) for seed in (1, 2, 3)),
        line(1, "hardest-0.1", 9.0, 0.1, "val"),
        line(1, "hardest-0.3", "no carrier", 0.9),
    ]
    file = tmp_path / "birds.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    assert np.isnan(script.canary.committed(file, "prune-0.3")[1][0])
    told = {"ratio": {"value": 0.8, "interval": None}, "cost": {"value": 1.0, "interval": None}}
    said = {"canaries": [], "verdict": "helps", "fraction": "0.1", "fractions": [{"fraction": "0.1", **told}]}
    found = script.canary.measured(said, lambda arm: script.canary.committed(file, arm), ["0.1", "0.2"], 3.0)
    first, second = found["rows"]
    assert first["forecast"] == told
    assert first["happened"]["ratio"]["value"] == pytest.approx(0.315 / 0.415)
    assert (first["happened"]["cost"]["value"], first["happened"]["cost"]["num_seeds"]) == (pytest.approx(2.0), 2)
    assert (second["happened"], second["forecast"]) == (None, {"ratio": None, "cost": None})
    assert (found["regret"], found["regret_fixed"]) == pytest.approx((0.0, 0.0))
    assert found["effect_all"]["num_seeds"] == 3
    script.canary.show("birds", found, said, "0.1")
    assert "| 0.2 | - | - | - | - | - | - |" in capsys.readouterr().out
