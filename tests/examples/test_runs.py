"""benchmarks/runs: each set's commands fit together, a stopped run goes on, and the tables claim what the numbers carry."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

import spurcli
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.indices import IndexList, write_indices
from spurcli.artifacts.provenance import Provenance
from spurcli.artifacts.scores import ScoreInfo, ScoresHeader, write_scores
from spurcli.artifacts.subject import Subject
from spurcli.errors import Interrupted
from spurcli.inferring.tick_file import read_ticks

from .test_speed import FOLDER


@pytest.fixture
def script(monkeypatch):
    """The scripts as modules, forgotten afterwards: their names are anyone's."""
    monkeypatch.syspath_prepend(str(FOLDER / "runs"))
    names = ("sets", "run", "collect", "tables", "figures", "ticks")
    for name in names:
        monkeypatch.delitem(importlib.sys.modules, name, raising=False)
    found = SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    yield found
    for name in names:
        importlib.sys.modules.pop(name, None)


@pytest.fixture
def stages(monkeypatch):
    """The stages write empty files and are written down, (name, keywords)."""
    called = []

    def fake(name):
        def stage(*asked, output, **keywords):
            for named in (
                *asked,
                *(
                    keywords.get(key)
                    for key in ("match", "scores", "keep", "dataset", "checkpoint", "errors", "group_labels")
                ),
            ):
                assert named in (None, "all", "demo", "celeba", "cifar10", "multinli", "waterbirds") or named.is_file()
            if "save_errors" in keywords:
                keywords["save_errors"].touch()
            called.append((name, {**keywords, "output": output}))
            output.parent.mkdir(exist_ok=True)
            for epoch in keywords.get("save_epochs", ()):
                output.with_suffix(f".epoch{epoch}{output.suffix}").touch()
            output.touch()

        stage.__name__ = name
        return stage

    for name in ("embed", "inject", "score", "prune", "infer", "train", "evaluate"):
        monkeypatch.setattr(spurcli, name, fake(name))
    return called


def test_every_set_names_only_files_that_it_has_made_and_every_page_only_arms_of_its_set(script, stages, tmp_path):
    for name in ("sky", "sky-frozen"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "birds.csv").touch()
    script.run.main([str(tmp_path), *script.sets.SETS, "--seeds", "7"])
    assert "failed" not in (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    assert {words["seed"] for name, words in stages if name == "train"} == {7}
    made_later = ("audit", "marks-", "ticks")  # by audit.py and ticks.py
    for page in script.tables.PAGES.values():
        arms = {path.parent.name for path in (tmp_path / page.set / "seed7").glob("*/evaluation.json")}
        named = {*page.arms, *(arm for pair in page.primary for arm in pair)}
        assert {name for name in named if not name.startswith(made_later)} <= arms
    for drawn in (each for panels in script.figures.FIGURES.values() for each in panels):
        arms = {path.parent.name for path in (tmp_path / drawn.set / "seed7").glob("*/evaluation.json")}
        assert {arm for points in drawn.series.values() for arm in points.values()} <= arms


def test_a_figure_draws_the_arms_that_have_been_run_and_says_their_means(script, tmp_path, capsys):
    lines = [
        {
            "seed": seed,
            "arm": arm,
            "split": "test",
            "warnings": [],
            "metrics": {"feature_effect": [value, None, None, 9]},
        }
        for arm, values in (("all", (1.0, 2.0)), ("balanced", (0.25, 0.5)), ("balanced-random", (0.75,)))
        for seed, value in enumerate(values)
    ]
    (tmp_path / "waterbirds-frozen.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    script.figures.main(["fig8", "--results", str(tmp_path), "--into", str(tmp_path / "drawn")])
    drawn = (tmp_path / "drawn" / "fig8-feature-effect.svg").read_text("utf-8")
    assert "hardest of the aligned groups: 0: 1.50, 25: 0.38" in drawn
    assert "random of the aligned groups: 0: 1.50, 25: 0.75" in drawn
    assert "all 2, balanced-0.1 0, balanced 2, balanced-0.5 0" in capsys.readouterr().out


def test_what_is_there_is_not_made_again_and_a_failed_arm_does_not_stop_the_others(
    script, stages, tmp_path, monkeypatch
):
    train = spurcli.train

    def failing(*, output, **keywords):
        if output.parent.name == "random":
            raise ValueError("no")
        train(output=output, **keywords)

    failing.__name__ = "train"
    monkeypatch.setattr(spurcli, "train", failing)
    script.run.main([str(tmp_path), "digits", "--seeds", "7"])
    assert len([1 for name, _ in stages if name == "train"]) == 7
    stages.clear()
    monkeypatch.setattr(spurcli, "train", train)
    script.run.main([str(tmp_path), "digits", "--seeds", "7"])
    assert [name for name, _ in stages] == ["train", "evaluate"]
    assert stages[0][1]["keep"] == tmp_path / "digits" / "seed7" / "random.txt"


def test_a_signal_stops_the_whole_run(script, stages, tmp_path, monkeypatch):
    def stopped(**_):
        raise Interrupted("Stopped", "Run again.", 15)

    monkeypatch.setattr(spurcli, "train", stopped)
    with pytest.raises(Interrupted):
        script.run.main([str(tmp_path), "digits", "--seeds", "7", "8"])


def test_the_committed_list_says_which_samples_went(script, tmp_path):
    folder = tmp_path / "digits" / "seed7"
    folder.mkdir(parents=True)
    kept = np.setdiff1d(np.arange(21), [0, 3, 20])
    write_indices(folder / "hardest.txt", IndexList(kept, "keep", Subject(Fingerprint(21, None, None))))
    (line,) = script.collect.lists(tmp_path / "digits")
    assert (line["seed"], line["list"], line["num_removed"]) == (7, "hardest", 3)
    assert script.collect.read_removed(json.loads(json.dumps(line))).tolist() == [0, 3, 20]


def test_ticks_answer_by_the_true_groups_of_the_drawn_samples_only(script, tmp_path):
    label, attribute = np.repeat([0, 1], 200), np.tile([0, 0, 1, 0], 100)
    names = ("cat/none", "cat/logo", "dog/none", "dog/logo")
    header = ScoresHeader(Subject(Fingerprint.of(label, None)), ("cat", "dog"), names, Provenance())
    scores, path = tmp_path / "scores.h5", tmp_path / "ticks.csv"
    with write_scores(scores, header, label, group=2 * label + attribute) as writer:
        writer.add_score(ScoreInfo("el2n", "harder"))
        writer.write("el2n", 0, 0, np.linspace(0, 1, 400, dtype=np.float32))
    known = script.ticks.known_of(scores, "logo")
    items = script.ticks.draw(label, known.class_names, known.difficulty, classes=[1], num=40, seed=5)
    script.ticks.write_ticks(path, items, known, "logo")
    found = read_ticks(path, label, known.class_names, None)
    assert (len(found.index), found.feature, found.sure.all()) == (40, "logo", True)
    assert (label[found.index] == 1).all()
    assert found.yes.tolist() == (attribute[found.index] == 1).tolist()
    assert 0 < found.yes.sum() < 40


def test_results_of_runs_that_are_no_longer_there_stay(script, tmp_path):
    path = tmp_path / "digits.jsonl"
    first = [{"seed": seed, "arm": "all", "split": split, "value": 0} for seed in (31, 32) for split in ("test", "val")]
    script.collect.write_beside(path, first)
    script.collect.write_beside(path, [{"seed": 31, "arm": "random", "split": "test"}, {**first[2], "value": 1}])
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(line["seed"], line["arm"], line["split"], line.get("value")) for line in found] == [
        (31, "all", "test", 0),
        (31, "all", "val", 0),
        (31, "random", "test", None),
        (32, "all", "test", 1),
        (32, "all", "val", 0),
    ]


def test_audits_of_other_sets_stay(script, tmp_path, monkeypatch):
    results = tmp_path / "results"
    for name, seeds in (("sky", (31, 32)), ("digits", (31, 31))):
        text = "".join(
            json.dumps({"set": name, "seed": seed, "arm": "audit", "cut": at}) + "\n" for at, seed in enumerate(seeds)
        )
        (tmp_path / "audits.jsonl").write_text(text, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["collect.py", str(tmp_path), str(results)])
        script.collect.main()
    found = [json.loads(line) for line in (results / "audits.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["set"], line["seed"], line["cut"]) for line in found] == [
        ("digits", 31, 1),
        ("sky", 31, 0),
        ("sky", 32, 1),
    ]


def lines(name: str, effect: float, gap: float, sm: float) -> list[dict]:
    """Five seeds of an arm; seed 3 is .1 above seed 1 in all arms, so only paired differences are steady."""
    metrics = {"feature_effect": effect, "probit_gap": gap, "spurious_misclassification": sm, "background_auroc": 0.9}
    return [
        {
            "seed": seed,
            "arm": name,
            "split": "test",
            "warnings": [],
            "metrics": {key: [value + 0.05 * seed + 0.001 * seed * sm, None, None, 9] for key, value in metrics.items()}
            | {"accuracy": [0.8, None, None, 9], "flip_rate": "no pairs"},
        }
        for seed in range(1, 6)
    ]


def test_differences_are_paired_by_seed_and_claims_are_those_of_the_report(script):
    page = script.tables.PAGES["cifar10s-weak"]
    found = [*lines("all", 0.4, 1.2, 0.3), *lines("random", 0.4, 1.2, 0.31), *lines("hardest", 0.2, 0.8, 0.1)]
    results = script.tables.Results(found, "test")
    difference = results.difference("hardest", "random", "probit_gap")
    assert difference.mean == pytest.approx(-0.4 - 0.21 * 0.003)
    assert difference.num_better == difference.num_pairs == 5
    outcomes = script.tables.claimed(page, results)
    assert [(outcome.result, outcome.is_claim) for outcome in outcomes] == [("leans less", True)] * 2
    text = "\n".join(script.tables.markdown(page, results))
    assert "| hardest − all | −20.1 ± 0.0 (5 of 5) |" in text


def test_fewer_seeds_or_a_collapsed_run_give_no_claim(script):
    page = script.tables.PAGES["cifar10s-weak"]
    found = [*lines("random", 0.4, 1.2, 0.31), *lines("hardest", 0.2, 0.8, 0.1)]
    few = script.tables.Results([line for line in found if line["seed"] < 5], "test")
    assert [outcome.is_claim for outcome in script.tables.claimed(page, few)] == [False]
    found[0]["warnings"] = ["Every sample is taken for class 0: the model has collapsed"]
    (outcome,) = script.tables.claimed(page, script.tables.Results(found, "test"))
    assert not outcome.is_claim
    assert outcome.comparison.collapsed == ("seed 1",)
