"""`spurcli compare`: its files are those of the single commands, and it goes on wherever it stopped."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import spurcli as spurcli_in_python
from spurcli.artifacts.group_list import read_groups
from spurcli.artifacts.indices import read_indices
from spurcli.artifacts.lock import lock
from spurcli.cli.study_tables import shorter_line
from spurcli.comparing.arms import read_arms
from spurcli.comparing.arms_file import read_study_file
from spurcli.comparing.chain import Looks, Source
from spurcli.comparing.estimate import Estimate, Speed
from spurcli.comparing.reachable import reachable
from spurcli.comparing.request import CompareRequest
from spurcli.comparing.running import read_seeds, study_of
from spurcli.comparing.step import waits_for
from spurcli.comparing.study import Failures, Study
from spurcli.errors import Interrupted, SpurError, UsageError
from spurcli.progress import Silent

TINY = {
    "dataset.options.num_train": 300,
    "dataset.options.num_val": 60,
    "dataset.options.num_test": 100,
    "model.options.hidden": [16],
    "training.epochs": 2,
    "scoring.epoch": 1,
}
ARMS = "erm,prune:0.2,group_dro+mistakes,jtt"


def tree(folder: Path) -> dict[str, object]:
    """Content of the artefacts below a folder, histories without their seconds."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.parent.suffix == ".state":
            continue  # a kill may come after the model and before its state is removed
        if path.name == "history.json":
            content = json.loads(path.read_text(encoding="utf-8"))
            found[str(path.relative_to(folder))] = [
                {key: value for key, value in epoch.items() if "seconds" not in key} for epoch in content["epochs"]
            ]
        elif path.suffix in (".h5", ".safetensors", ".txt", ".json"):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in (folder / "study").rglob("seed*/**/*.*")}


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A folder in which a small study ran to its end; not to be changed."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = spurcli_in_python.compare(dataset="demo", arms=ARMS, seeds=1, set=TINY)
    assert result["report"]["runs"]
    return folder


@pytest.fixture
def tiny_flags() -> list[str]:
    return [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]


@pytest.fixture
def copied(calm, tmp_path) -> Path:
    shutil.copytree(calm, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_files_are_those_of_the_commands_typed_by_hand(calm, tmp_path, spurcli):
    lines = (calm / "study" / "commands.sh").read_text(encoding="utf-8").splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("spurcli")]
    assert [words[0] for words in commands].count("train") == 5
    for words in commands:
        assert spurcli(*words).code == 0, words
    assert tree(tmp_path) == tree(calm)


def test_the_early_model_of_erm_gives_the_scores_of_an_early_training(calm, spurcli, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", "--seed", "1", *tiny_flags).code == 0
    with h5py.File(tmp_path / "scores.h5") as one, h5py.File(calm / "study/seed1/scores.h5") as two:
        assert set(one["scores"]) == set(two["scores"])
        for name in one["scores"]:
            np.testing.assert_array_equal(one[f"scores/{name}/values"], two[f"scores/{name}/values"])


def test_only_what_is_new_or_lost_is_run(copied, calm, spurcli, tiny_flags):
    line = ("compare", "--dataset", "demo", "--arms", ARMS, *tiny_flags, "--seeds")
    before = times(copied)
    assert spurcli(*line, "1").code == 0
    assert times(copied) == before

    lost = ["study/seed1/jtt/evaluation.json", "study/seed1/jtt/predictions.h5", "study/seed1/keep-prune-0.2.txt"]
    for name in lost:
        (copied / name).unlink()
    assert spurcli(*line, "1-2").code == 0
    after = times(copied)
    assert {name for name in before if after[name] != before[name]} == set(lost)
    assert {name.replace("seed1", "seed2") for name in before} == set(after) - set(before)
    one = {name: content for name, content in tree(copied / "study").items() if "seed2" not in name}
    assert one == tree(calm / "study")


def test_an_evaluation_of_another_model_or_of_other_data_is_made_again(copied, spurcli, tiny_flags):
    line = ("compare", "--dataset", "demo", "--arms", "erm", "--seeds", "1", *tiny_flags)
    evaluation = copied / "study/seed1/erm/evaluation.json"
    right = evaluation.read_bytes()
    for name, text in (("weights of another", '"sha256": "0'), ("fingerprint", '"num_samples": 1')):
        key = text.split(": ")[0]
        damaged = right.decode().replace(f"{key}: ", f"{text}", 1)
        evaluation.write_text(damaged, encoding="utf-8")
        assert spurcli(*line).code == 0, name
        assert evaluation.read_bytes() == right, name


def test_killed_it_goes_on_to_the_same_files(calm, tmp_path, warm, spurcli, tiny_flags):
    words = ["compare", "--dataset", "demo", "--arms", ARMS, "--seeds", "1", *tiny_flags]
    child = warm.start(["-m", "spurcli", *words], tmp_path, stderr=tmp_path / "err")
    until = time.monotonic() + 300
    while not (tmp_path / "study/seed1/prune-0.2/model.safetensors").exists():
        assert time.monotonic() < until, (tmp_path / "err").read_text()
        time.sleep(0.002)
    os.kill(child.pid, 9)
    child.join(60)
    assert not (tmp_path / "study/report.html").exists()
    assert spurcli(*words).code == 0
    assert tree(tmp_path) == tree(calm)
    assert (tmp_path / "study/report.html").is_file()


def test_several_processes_give_the_same_files(calm, tmp_path, spurcli, tiny_flags):
    line = ("compare", "--dataset", "demo", "--arms", ARMS, "--seeds", "1", *tiny_flags)
    assert spurcli(*line, "--jobs", "2", "--threads", "1").code == 0
    assert tree(tmp_path) == tree(calm)


def test_an_arm_that_fails_stops_no_other(tmp_path, spurcli, tiny_flags):
    """A training that diverges: the rest is done, reported, and the failure is the exit code."""
    (tmp_path / "study.toml").write_text(
        '[arms.all]\n[arms.steep]\nset = {training = {learning_rate = 1e30}}\n[arms.suby]\nmethod = "suby"\n',
        encoding="utf-8",
    )
    result = spurcli("compare", "--dataset", "demo", "--arms", "study.toml", "--seeds", "1", *tiny_flags)
    assert result.code in (1, 3), result.err
    assert "seed 1, steep: train" in result.err
    made = {path.parent.name for path in tmp_path.rglob("evaluation.json")}
    assert made == {"all", "suby"}
    assert (tmp_path / "study/report.html").is_file()


def test_the_plan_comes_first_and_a_dry_run_stops_there(tmp_path, spurcli, tiny_flags):
    result = spurcli("compare", "--dataset", "demo", "--arms", "erm,prune:0.1", "--dry-run", "--json", *tiny_flags)
    assert result.code == 0, result.err
    assert result.json["arms"] == ["erm", "prune-0.1", "prune-0.1-random"]
    assert 0 < result.json["estimated_seconds"] < 600
    assert not (tmp_path / "study").exists()


def test_the_time_of_inferring_is_that_of_its_own_trainings(tmp_path):
    """Sebra and XRM train for all of the recipe's epochs, XRM two networks at three learning rates."""
    words = "prune:0.5@auto+sebra,group_dro+xrm,group_dro+mistakes,group_dro+cross-mistakes"
    settings = {"training.epochs": 20, "scoring.epoch": 2}
    study = Study(tmp_path, Source("demo", settings=settings), read_arms(words), [1])
    plan = Estimate(study, {"train": 1000, "test": 500}, Speed(start=3.0, trained=0.01, read=0.001))
    costs = {step.request.by: plan.cost(step) for step in study.steps if step.stage == "infer"}
    assert costs == pytest.approx(
        {
            "sebra": 0.05 + 3 + 20 * 10 + 20 * 1.5,
            "xrm": 0.05 + 6 * (3 + 20 * 10 + 1.5),
            "mistakes": 0.05 + 1.5,  # reads the early model
            "cross-mistakes": 0.05 + 2 * (3 + 2 * 10 + 1.5),
        }
    )


def test_another_compare_in_the_folder_is_refused(tmp_path, spurcli, tiny_flags):
    (tmp_path / "study").mkdir()
    with lock(tmp_path / "study" / ".compare.lock"):
        result = spurcli("compare", "--dataset", "demo", "--arms", "erm", "--seeds", "1", *tiny_flags)
    assert result.code == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--arms", "erm,prun:0.1"), 2, "prune"),
        (("--arms", "prune"), 2, "prune:0.1"),
        (("--arms", "prune:1.5"), 2, "1.5"),
        (("--arms", "group_dro@3/patch"), 2, "group_dro:0.1@3/patch"),
        (("--arms", "prune+mistakes:0.1"), 2, "Write prune:0.1, or prune in inferred groups: prune:0.1@auto+sebra"),
        (("--arms", "prune+sebra:0.1@auto"), 2, "prune:0.1@auto+sebra"),
        (("--arms", "prune:0.1@auto+sebar"), 2, "sebra"),
        (("--arms", "prune@auto+sebra"), 2, "prune:0.1@auto+sebra"),
        (("--arms", "prune:0.1@auto+xrm"), 2, "auto cannot match the groups that xrm infers to classes"),
        (("--arms", "group_dro+mistaks"), 2, "mistakes"),
        (("--arms", "group_dro+ticks"), 2, "spurcli infer --by ticks --ticks ticks.csv"),
        (("--arms", "prune:0.1@auto+ticks"), 2, "ticks are a person's answers"),
        (("--arms", "erm+mistakes"), 2, "erm+mistakes: erm reads no groups"),
        (("--arms", "jtt+mistakes"), 2, "best-val-inferred-worst-group"),
        (("--arms", "group_dro"), 2, "--group-labels"),
        (("--arms", "prune:0.1@auto"), 2, "--group-labels"),
        (("--arms", "erm", "--seeds", "1-x"), 2, "1-x"),
        (("--arms", "erm", "--select-epoch", "best-val-men"), 2, "best-val-mean"),
        (("--arms", "erm", "--set", "method.options.C=1"), 2, "[arms.NAME]"),
        (("--arms", "erm", "--split", "tset"), 2, "no split 'tset'; it has: train, val, test"),
        (("--arms", "erm", "--evaluate-attribute", "sex"), 2, "--evaluate-attribute names a column of a table"),
        (("--arms", "erm", "--evaluate-attribute", "sex"), 2, "--evaluate-groups FILE"),
        (("--arms", "erm", "--evaluate-attribute", "a", "--evaluate-groups", "b.csv"), 2, "both make the groups"),
        (("--arms", "none.toml"), 3, "none.toml"),
        (("--arms", "erm", "-o", "-"), 2, "-o"),
    ],
)
def test_slips_are_said_before_any_work(words, code, named, tmp_path, spurcli):
    result = spurcli("compare", "--dataset", "demo", "--set", "dataset.options.num_train=60", *words)
    assert result.code == code, result.err
    assert named in result.err
    assert not (tmp_path / "study").exists()


def test_columns_and_splits_to_judge_by_are_looked_at_before_any_training(tmp_path, spurcli):
    rows = "".join(f"w{n % 7} v{n},{'ab'[n % 2]},{'xy'[n // 2 % 2]},{'train' if n % 4 else 'val'}\n" for n in range(40))
    Path("reviews.csv").write_text(f"text,label,shop,split\n{rows}")
    words = ("compare", "--dataset", "reviews.csv", "--recipe", "own-text-cpu", "--arms", "erm", "--seeds", "1,")
    missing = spurcli(*words)
    assert (missing.code, "--split val" in missing.err) == (2, True), missing.err
    wrong = spurcli(*words, "--split", "val", "--evaluate-attribute", "shp")
    assert (wrong.code, "no column 'shp', did you mean shop" in wrong.err) == (3, True), wrong.err
    assert spurcli(*words, "--split", "val", "--evaluate-attribute", "shop", "--dry-run").code == 0
    assert not (tmp_path / "study").exists()


def table_of(path: Path, num: int = 48) -> None:
    rows = [f"w{n % 7} v{n},{'ab'[n % 2]},{'xy'[n // 2 % 2]},{'fm'[n // 4 % 2]},{SPLITS[n % 4]}\n" for n in range(num)]
    path.write_text("text,label,shop,sex,split\n" + "".join(rows), encoding="utf-8")


def test_data_elsewhere_is_found_by_the_commands_that_take_it_from_a_model(tmp_path, spurcli, monkeypatch):
    """An absolute path is not written into files, so scoring and evaluating could not find the data after ERM was trained."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    table_of(tmp_path / "there" / "reviews.csv")
    monkeypatch.chdir(tmp_path / "here")
    words = ("--recipe", "own-text-cpu", "--set", "training.epochs=1", "--set", "scoring.epoch=1", "--seeds", "1,")
    done = spurcli("compare", "--dataset", tmp_path / "there" / "reviews.csv", "--arms", "prune:0.25", *words)
    assert done.code == 0, done.err
    assert len(list(Path("study").rglob("evaluation.json"))) == 3
    assert str(tmp_path) not in Path("study/commands.sh").read_text()
    kept = ("photos/", "own.py:load", "/x/own.py:load", str(tmp_path / "here" / "data" / "birds"))
    assert [reachable(name, None) for name in kept] == list(kept)


def test_a_signal_during_the_time_estimate_stops_the_study(tmp_path, spurcli, tiny_flags, monkeypatch):
    """The estimate ignores failures of its short trainings; a signal is none of them."""

    def stopped(*_):
        raise Interrupted("Stopped at epoch 1, step 0", "Run the same command to resume.", 15)

    monkeypatch.setattr("spurcli.comparing.estimate.run_train", stopped)
    done = spurcli("compare", "--dataset", "demo", *tiny_flags, "--seeds", "1,")
    assert (done.code, "Stopped at epoch 1" in done.err) == (143, True), done.err
    assert not list(tmp_path.rglob("*.safetensors"))


SPLITS = ("train", "train", "val", "test")
OF_TABLE = ("--dataset", "reviews.csv", "--recipe", "own-text-cpu", "--arms", "erm", "--set", "training.epochs=1")


def test_each_column_is_an_evaluation_of_its_own_of_one_training(tmp_path, spurcli):
    """Every column has its groups; A,B crosses two; a column that is added later costs one evaluation."""
    table_of(tmp_path / "reviews.csv")
    words = ("compare", *OF_TABLE, "--seeds", "1,", "--evaluate-attribute", "shop", "--evaluate-attribute")
    assert spurcli(*words, "sex").code == 0
    folder = tmp_path / "study/seed1/erm"
    found = {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*evaluation.json"))}
    assert {name: one["groups_from"]["columns"] for name, one in found.items()} == {
        "by-sex.evaluation.json": ["sex"],
        "by-shop.evaluation.json": ["shop"],
    }
    commands = (tmp_path / "study/commands.sh").read_text()
    assert commands.count("spurcli train ") == 1
    assert commands.count(" --attribute ") == 2

    before = times(tmp_path)
    crossed = spurcli(*words, "sex", "--evaluate-attribute", "shop,sex")
    assert crossed.code == 0, crossed.err
    after = times(tmp_path)
    assert {name: after[name] for name in before} == before
    assert {Path(name).name for name in set(after) - set(before)} == {
        "by-shop-sex.evaluation.json",
        "by-shop-sex.evaluation.predictions.h5",
    }
    assert json.loads((folder / "by-shop-sex.evaluation.json").read_text())["group_names"] == [
        f"{label}/{shop}, {sex}" for label in "ab" for shop in "xy" for sex in "fm"
    ]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--evaluate-attribute", "sex", "--evaluate-attribute", "sex"), "sex is there twice"),
        (("--evaluate-attribute", "sex,"), "a name is missing or twice"),
        (("--evaluate-attribute", "sex", "--evaluate-groups", "g.csv"), "both make the groups"),
        (("--group-labels", "g.txt"), "write --evaluate-groups g.txt"),
        (("--force", "--cores", "2"), "--force has no effect with --profile or --cores"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(words, named, tmp_path, spurcli):
    table_of(tmp_path / "reviews.csv")
    result = spurcli("compare", *OF_TABLE, *words)
    assert result.code == 2, result.err
    assert named in result.err
    assert not (tmp_path / "study").exists()


def test_other_settings_are_refused_with_a_way_on_and_replaced_with_force(copied, spurcli, tiny_flags):
    """What was trained with other settings is in the way of one seed: the other one is done, shown and reported."""
    line = (
        "compare",
        "--dataset",
        "demo",
        "--arms",
        "erm",
        *tiny_flags,
        "--set",
        "training.epochs=3",
        "--seeds",
        "1-2",
    )
    refused = spurcli(*line)
    assert refused.code == 1
    assert "is the finished output of another run" in refused.err
    assert "; 1 later command was left out" in refused.err
    assert "Name another folder with -o, or replace what does not fit with --force." in refused.err
    assert "mean ± sd over seeds" in refused.err  # the table of what was done
    kept = times(copied)

    assert spurcli(*line, "--force").code == 0
    after = times(copied)
    redone = {name for name in kept if after[name] != kept[name]}
    assert {name for name in redone if "seed2" in name} == set()
    assert "study/seed1/erm/model.safetensors" in redone
    assert "study/seed1/erm/evaluation.json" in redone
    commands = (copied / "study/commands.sh").read_text()
    assert "--force" not in commands
    made = json.loads((copied / "study/seed1/erm/history.json").read_text())
    assert "--force" not in made["provenance"]["command"]
    assert len(made["epochs"]) == 3


def test_a_list_that_a_model_was_trained_with_is_not_replaced(tmp_path, spurcli):
    """A changed groups file gives another list: it is refused before the list is replaced, and with --force both are made again."""
    table_of(tmp_path / "reviews.csv")
    kept = [number for number in range(48) if SPLITS[number % 4] == "train"]
    words = (
        *(
            "compare",
            "--dataset",
            "reviews.csv",
            "--recipe",
            "own-text-cpu",
            "--set",
            "training.epochs=1",
            "--seeds",
            "1,",
        ),
        *("--set", "scoring.epoch=1", "--arms", "prune:0.5@far", "--no-controls", "--group-labels", "groups.txt"),
    )
    names = ["near" if place % 3 else "far" for place in range(len(kept))]
    (tmp_path / "groups.txt").write_text("\n".join(names) + "\n")
    done = spurcli(*words)
    assert done.code == 0, done.err
    before = {path: path.read_bytes() for path in tmp_path.glob("study/seed1/**/*") if path.is_file()}
    (tmp_path / "groups.txt").write_text("\n".join(reversed([*names[:-1], "far"])) + "\n")
    refused = spurcli(*words)
    assert refused.code == 1
    said = " ".join(refused.err.split())
    assert (
        "keep-prune-0.5-far.txt was made by another command or from other files, and a model was trained with it"
        in said
    )
    assert "or replace what does not fit with --force" in said
    assert {path: path.read_bytes() for path in tmp_path.glob("study/seed1/**/*") if path.is_file()} == before
    assert spurcli(*words, "--force").code == 0
    after = {path: path.read_bytes() for path in tmp_path.glob("study/seed1/**/*") if path.is_file()}
    changed = {path.name for path in before if after[path] != before[path]}
    assert {"keep-prune-0.5-far.txt", "model.safetensors"} <= changed
    assert spurcli(*words).code == 0


def test_the_plan_counts_evaluations_that_are_made_again_and_says_when_nothing_is_left(tmp_path, spurcli):
    table_of(tmp_path / "reviews.csv")
    words = ("compare", *OF_TABLE, "--seeds", "1,", "--evaluate-attribute", "shop")
    assert spurcli(*words).code == 0
    again = spurcli(*words, "--json")
    assert "everything is there, the report is written again" in again.err
    assert again.json["estimated_seconds"] == 0
    other = spurcli(*words, "--set", "model.options.hidden=[8]", "--dry-run")
    assert "everything is there" in other.err  # refused when it comes to that: nothing is trained over
    planned = spurcli("compare", *OF_TABLE, "--seeds", "1,", "--evaluate-attribute", "sex", "--json", "--dry-run")
    assert planned.json["estimated_seconds"] > 0


@pytest.mark.parametrize("has_force", [True, False])
def test_force_is_named_where_the_command_has_it(tmp_path, has_force):
    steps = Study(tmp_path, Source("demo"), read_arms("erm"), [1]).steps
    failures = Failures(steps, has_force=has_force)
    failures.add(steps[0], SpurError("other weights", "Replace it with --force."))
    with pytest.raises(SpurError) as raised:
        failures.raise_any()
    assert ("--force" in raised.value.hint) is has_force
    assert "-o" in raised.value.hint


def test_what_is_done_is_not_called_a_training(copied, monkeypatch):
    monkeypatch.chdir(copied)
    begun: list[str] = []

    class Noted(Silent):
        def start(self, what, total, span=None):
            begun.append(what)

    study = study_of(CompareRequest(dataset="demo", arms="erm", seeds=1, set=TINY))
    study.run(Noted())
    assert begun == 2 * ["seed 1, erm: checking the files that are there"]
    (copied / "study/seed1/erm/evaluation.json").unlink()
    study.run(Noted())
    assert begun[2:4] == ["seed 1, erm: checking the files that are there", "seed 1, erm: evaluate"]


def test_a_warning_of_the_data_is_given_once(tmp_path, spurcli):
    table_of(tmp_path / "reviews.csv")
    text = (tmp_path / "reviews.csv").read_text()
    (tmp_path / "reviews.csv").write_text("".join(f"{line.rpartition(',')[0]}\n" for line in text.splitlines()))
    words = ("compare", *OF_TABLE, "--seeds", "1-2", "--evaluate-attribute", "shop")
    first = spurcli(*words)
    assert first.code == 0, first.err
    assert first.err.count("has no splits") == 1


def test_a_long_plan_says_how_to_make_it_shorter(tmp_path):
    study = Study(tmp_path, Source("demo", settings={"training.epochs": 20}), read_arms("erm"), [1, 2])
    plan = Estimate(study, {"train": 4000, "val": 500, "test": 500}, Speed(0.0, 0.02, 0.001))
    assert plan.seconds() > 3000
    epochs, seconds = plan.fewer_epochs(600)
    assert 1 <= epochs < 20
    assert seconds <= 600
    assert f"--set training.epochs={epochs}: about " in shorter_line(plan)
    assert shorter_line(replace(plan, speed=Speed(0.0, 0.0001, 0.0001))) == ""
    tiny = replace(study, source=Source("demo", settings={"training.epochs": 1}))
    assert replace(plan, study=tiny).fewer_epochs(1) is None


def test_seeds():
    assert read_seeds("3") == read_seeds(3) == [1, 2, 3]
    assert read_seeds("11-13,20") == [11, 12, 13, 20]
    assert read_seeds("7,") == [7]
    assert read_seeds([4, 2]) == [4, 2]


def test_what_arms_share_is_made_once(tmp_path):
    study = Study(
        tmp_path, Source("demo"), read_arms("prune:0.1,group_dro+mistakes:0.1,jtt,cnc,suby:0.1,dfr+clusters"), [1]
    )
    made = [(step.stage, step.output.name) for step in study.steps if not step.arm]
    assert sorted(made) == [
        ("infer", "clusters.txt"),
        ("infer", "mistakes.txt"),
        ("infer", "predictions.txt"),
        ("prune", "keep-prune-0.1-random.txt"),
        ("prune", "keep-prune-0.1.txt"),
        ("score", "scores.h5"),
    ]
    assert study.all_arms[0].name == "erm"  # needed, so it is trained and shown
    trained = {step.arm: step.request for step in study.steps if step.stage == "train"}
    assert trained["suby-0.1-random"].keep == trained["prune-0.1-random"].keep
    assert trained["jtt"].errors == tmp_path / "seed1" / "errors.txt"
    assert trained["cnc"].group_labels == tmp_path / "seed1" / "predictions.txt"
    assert trained["dfr-clusters"].checkpoint == tmp_path / "seed1" / "erm" / "model.safetensors"


def test_pruned_arms_name_groups_that_are_inferred(tmp_path):
    words = "prune:0.5@auto+sebra,random:0.2@3/right+mistakes,group_dro+mistakes:0.5@auto+sebra,prune:0.5@yes/a+b"
    study = Study(tmp_path, Source("demo", group_labels="g.txt"), read_arms(words), [1])
    here = tmp_path / "seed1"
    inferred = {step.request.by: step.output for step in study.steps if step.stage == "infer"}
    assert inferred == {"sebra": here / "sebra.txt", "mistakes": here / "mistakes.txt"}
    lists = {step.output.name: step.request for step in study.steps if step.stage == "prune"}
    groups = {name: (request.group, request.match_groups, request.group_labels) for name, request in lists.items()}
    assert groups == {
        "keep-prune-0.5-auto-sebra.txt": (["auto"], False, here / "sebra.txt"),
        "keep-prune-0.5-auto-sebra-random.txt": (None, True, here / "sebra.txt"),
        "keep-random-0.2-3-right-mistakes.txt": (["3/right"], False, here / "mistakes.txt"),
        "keep-prune-0.5-yes-a-b.txt": (["yes/a+b"], False, "g.txt"),
        "keep-prune-0.5-yes-a-b-random.txt": (None, True, "g.txt"),
    }
    needed = waits_for(study.steps)  # what Snakemake and several processes go by
    for name in ("keep-prune-0.5-auto-sebra.txt", "keep-prune-0.5-auto-sebra-random.txt"):
        assert {here / "scores.h5", here / "sebra.txt"} <= set(needed[here / name])
    trained = {step.arm: step.request for step in study.steps if step.stage == "train"}
    assert trained["prune-0.5-auto-sebra"].group_labels is None  # plain ERM
    assert trained["group_dro-mistakes-0.5-auto-sebra"].group_labels == here / "mistakes.txt"
    assert trained["group_dro-mistakes-0.5-auto-sebra"].keep == here / "keep-prune-0.5-auto-sebra.txt"
    study.require_groups(has_groups=False)
    with pytest.raises(UsageError, match="needs group labels"):
        Study(tmp_path, Source("demo"), read_arms("prune:0.5@auto"), [1]).require_groups(has_groups=False)
    Study(tmp_path, Source("demo"), read_arms("prune:0.5@auto+sebra"), [1]).require_groups(has_groups=False)


def test_a_rule_that_reads_inferred_groups_gets_those_of_the_pruning(tmp_path):
    looks = Looks(rules=["best-val-inferred-worst-group"])
    study = Study(tmp_path, Source("demo"), read_arms("erm+sebra,prune:0.5@auto+sebra"), [1], looks)
    trained = {step.arm: step.request.group_labels for step in study.steps if step.stage == "train"}
    sebra = tmp_path / "seed1" / "sebra.txt"
    arms = ("erm-sebra", "prune-0.5-auto-sebra", "prune-0.5-auto-sebra-random")
    assert [trained[arm] for arm in arms] == [sebra] * 3


def test_jtt_with_groups_of_another_way_still_gets_its_errors(tmp_path):
    looks = Looks(rules=["best-val-inferred-worst-group"])
    study = Study(tmp_path, Source("demo"), read_arms("jtt+xrm"), [1], looks)
    train = next(step for step in study.steps if step.arm == "jtt-xrm" and step.stage == "train")
    assert train.request.group_labels == tmp_path / "seed1" / "xrm.txt"
    makers = [step.request.by for step in study.steps if train.request.errors in step.makes]
    assert makers == ["mistakes"]


def test_a_file_changes_the_arm_that_it_starts_from(tmp_path):
    (tmp_path / "s.toml").write_text(
        """
        [arms.started]
        arm = "prune:0.5@auto+sebra"
        balance_classes = true
        [arms.written]
        fraction = 0.5
        group = "auto"
        inferred = "sebra"
        balance_classes = true
        [arms.other]
        arm = "prune:0.5@auto+sebra"
        fraction = 0.2
        inferred = "predictions"
        [arms.dro]
        method = "group_dro"
        fraction = 0.5
        group = "a/b"
        inferred = "sebra"
        [arms.chosen]
        fraction = 0.1
        inferred = "sebra"
        """,
        encoding="utf-8",
    )
    arms = {arm.name: arm for arm in read_study_file(tmp_path / "s.toml", controls=False).arms}
    assert arms["started"].rule == arms["written"].rule
    started = arms["started"].rule
    assert (started.group, started.inferred, started.balance_classes) == (("auto",), "sebra", True)
    assert (arms["started"].inferred, arms["written"].inferred) == (None, None)
    other = arms["other"].rule
    assert (other.fraction, other.group, other.inferred) == ("0.2", ("auto",), "predictions")
    assert (arms["dro"].inferred, arms["dro"].rule.inferred) == ("sebra", None)  # the groups of the method
    assert (arms["chosen"].inferred, arms["chosen"].rule.inferred) == ("sebra", None)  # no groups in its rule


def test_pruning_in_what_sebra_finds_early_from_end_to_end(tmp_path, spurcli, tiny_flags):
    """No group labels: the demo set has none. The control removes as many of each inferred group."""
    (tmp_path / "study.toml").write_text(
        '[arms.early]\narm = "prune:0.5@auto+sebra"\nbalance_classes = true\n', encoding="utf-8"
    )
    more = ("--set", "training.epochs=12", "--set", "training.learning_rate=0.02", "--seeds", "1")
    line = ("compare", "--dataset", "demo", *tiny_flags, *more)
    done = spurcli(*line, "--arms", "study.toml", "--json")
    assert done.code == 0, done.err
    assert done.json["arms"] == ["erm", "early", "early-random"]
    here = tmp_path / "study/seed1"
    found = read_groups(here / "sebra.txt")
    early = [code for code, name in enumerate(found.names) if name.endswith("/early")]
    counts = {}
    for name in ("early", "early-random"):
        kept = read_indices(here / f"keep-{name}.txt")
        counts[name] = np.bincount(np.delete(found.main.group, kept.indices), minlength=len(found.names))
        assert kept.rule["group_labels"] == "inferred: sebra"
    assert counts["early"].tolist() == counts["early-random"].tolist()
    assert np.flatnonzero(counts["early"]).tolist() == early
    assert not np.array_equal(*(read_indices(here / f"keep-{name}.txt").indices for name in counts))
    arms = {arm["label"]: arm["group_labels"] for arm in done.json["report"]["arms"]}
    names = ", ".join(found.names[code] for code in early[:3])
    assert arms == {
        "ERM, all samples": "none",
        f"Hardest 50 % of {names} … removed, classes balanced": "inferred: sebra",
        f"Random 50 % of {names} … removed, matched counts, classes balanced": "inferred: sebra",
    }


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[arms.a]\nmetod = 'erm'", "method"),
        ("[arms.a]\nfraction = '2'", "2"),
        ("[arms.a]\nselect = 'easiest'", "fraction"),
        (
            "[arms.a]\nfraction = 0.1\ngroup = 'auto'\ninferred = 'xrm'",
            "[arms.a]: auto cannot match the groups that xrm",
        ),
        ("[arms.a]\nkeep = 'k.txt'\nfraction = 0.1", "keep"),
        ("[arms.seed1]\n", "seed1"),
        ("[arms.'../x']\n", "../x"),
        ("[arms]\n", "arm"),
        ("[inject]\nfraction = 0.1\n[arms.a]", "class"),
        ("arms = 3", "arms"),
        ("[arms.a]\nset = 3", "set"),
        ("[arms", "TOML"),
        ("[more]\n", "more"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(content, named, tmp_path, spurcli):
    (tmp_path / "s.toml").write_text(content, encoding="utf-8")
    result = spurcli("compare", "--dataset", "demo", "--arms", "s.toml")
    assert result.code in (2, 3)
    assert named in result.err


def test_seeds_must_differ(tmp_path):
    with pytest.raises(UsageError):
        Study(tmp_path, Source("demo"), read_arms("erm"), [1, 1]).steps  # noqa: B018
