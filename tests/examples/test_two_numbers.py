"""benchmarks/runs/two_numbers.py: core difficulty is a rank inside a fifth, and one training of each kind gives all difficulties."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from .test_speed import FOLDER

TINY = ["training.epochs=12", "training.learning_rate=0.02", "scoring.epoch=1", "model.options.hidden=[16]"]
SMALL = [f"dataset.options.num_{split}=500" for split in ("train", "val", "test")]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "runs"))
    names = ("sets", "run", "two_numbers")
    for name in names:
        monkeypatch.delitem(importlib.sys.modules, name, raising=False)
    yield importlib.import_module("two_numbers")
    for name in names:
        importlib.sys.modules.pop(name, None)


def test_core_difficulty_orders_each_fifth_of_a_class_by_itself(script):
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 50)
    difficulty, spuriosity = rng.random(100), rng.permutation(100)
    found = script.core_difficulty(difficulty, spuriosity, label)
    for y in (0, 1):
        members = sorted(np.flatnonzero(label == y), key=lambda i: spuriosity[i])
        for start in range(0, 50, 10):
            part = sorted(members[start : start + 10], key=lambda i: difficulty[i])
            np.testing.assert_allclose(found[part], (np.arange(10) + 0.5) / 10)


def test_samples_of_one_spuriosity_stay_in_one_fifth(script):
    difficulty = np.arange(10.0)
    spuriosity = np.array([1] * 7 + [2] * 3)  # places .35 and .85: the second and the fifth fifth
    found = script.core_difficulty(difficulty, spuriosity, np.zeros(10, dtype=np.int64))
    np.testing.assert_allclose(found, [*((np.arange(7) + 0.5) / 7), *((np.arange(3) + 0.5) / 3)])


def test_the_correlation_is_that_of_the_chosen_samples_and_of_other_seeds(script):
    up, down = np.arange(6.0), -np.arange(6.0)
    chosen = {"class": np.ones(6, dtype=bool), "carriers": np.arange(6) < 3}
    turned = np.concatenate([down[:3], up[3:]])
    found = {7: ({script.CLEAN: up, "EL2N": turned}, chosen), 8: ({script.CLEAN: down, "EL2N": up}, chosen)}
    lines = {(line["difficulty"], line["samples"]): line for line in script.agreement(7, found)}
    assert lines["EL2N", "carriers"]["same_seed"] == pytest.approx(-1)
    assert lines["EL2N", "carriers"]["other_seeds"] == pytest.approx(1)
    assert lines[script.CLEAN, "class"]["same_seed"] is None
    assert lines[script.CLEAN, "class"]["other_seeds"] == pytest.approx(-1)
    assert lines["EL2N", "class"]["num_samples"] == 6


def test_a_seed_trains_each_model_once_and_leaves_the_groups_for_the_arms(script, tmp_path, monkeypatch, capsys):
    def small(run, share):
        mark = {"dataset": "demo", "feature": "patch", "class_name": "3", "twin_class": "8"}
        asked = [*SMALL, "feature.size=2", "feature.mode=add", "feature.value=71"]
        run.inject("inject.json", fraction=share, set=asked, **mark)
        run.inject("clean.json", count=0, set=asked, **mark)
        run.score("scores.h5", dataset=run / "inject.json", set=TINY)
        return {"dataset": run / "inject.json", "set": TINY}, {"dataset": run / "clean.json", "set": TINY}

    monkeypatch.setattr(script, "cifar10s_data", small)
    monkeypatch.setitem(script.SETS, "cifar10s-strong", ("0.5", "3/patch"))
    words = [str(tmp_path), "cifar10s-strong", "--seeds", "7", "8", "--results", str(tmp_path / "found.jsonl")]
    script.main(words)
    log = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["output"] for line in log] == [
        f"seed{seed}/{name}"
        for seed in (7, 8)
        for name in ("inject.json", "clean.json", "scores.h5", "clean.h5", "halves.groups.txt", "sebra.groups.txt")
    ]
    said = capsys.readouterr().out
    assert "| EL2N |" in said
    assert "in fifths by the probability by models not trained on the sample" in said
    assert "in fifths by Sebra's rank" in said
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    plain = [line for line in lines if line["difficulty"] == "EL2N" and line["samples"] == "class"]
    assert [line["seed"] for line in plain] == [7, 8]
    assert all(line["same_seed"] > line["other_seeds"] for line in plain)  # the same first weights and batches
    before = (tmp_path / "found.jsonl").read_bytes()
    script.main(words)
    assert (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines() == log
    assert (tmp_path / "found.jsonl").read_bytes() == before
    script.main([*words[:2], "--seeds", "7", *words[5:]])  # the other seed's clean scores still count
    assert (tmp_path / "found.jsonl").read_bytes() == b"".join(before.splitlines(keepends=True)[: len(lines) // 2])
