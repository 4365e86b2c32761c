"""The chains of the paper's benchmarks in examples/, run whole on very small models; three want the real data.

The shell is given a `spurcli` that only writes down its words; the commands then run in this process, which spares a
start of torch for each.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from spurcli.artifacts.indices import read_indices
from spurcli.comparing.arms_file import read_study_file
from spurcli.datasets.celeba_files import read_table
from spurcli.datasets.cifar10 import read_folder
from spurcli.datasets.inputs import decode_square

ROOT = Path(__file__).parents[2]
MLP = "--set model.name=mlp --set model.options.hidden=[4] --workers 0"


@pytest.fixture
def run_example(tmp_path, spurcli, monkeypatch):
    """Run a script of examples/ for one seed in `tmp_path`, its settings as environment variables.

    An image or an array of images is decoded once for all commands of a test, not once a command.
    """
    monkeypatch.setattr("spurcli.datasets.inputs.decode_square", functools.cache(decode_square))
    monkeypatch.setattr("spurcli.datasets.cifar10.read_folder", functools.cache(read_folder))
    (tmp_path / "bin").mkdir()
    recorder = tmp_path / "bin" / "spurcli"
    recorder.write_text(
        f"#!/bin/sh\nprintf '%s\\t' \"$@\" >> {tmp_path}/words\necho >> {tmp_path}/words\n", encoding="utf-8"
    )
    recorder.chmod(0o755)

    def run(name: str, seed: int, **environment: str) -> None:
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            ["sh", ROOT / "examples" / name, str(seed)], cwd=tmp_path, env={"PATH": path, **environment}, check=True
        )
        lines = (tmp_path / "words").read_text(encoding="utf-8").splitlines()
        assert lines
        for line in lines:
            words = line.removesuffix("\t").split("\t")
            if words[0] in ("score", "train", "evaluate") and "--workers" not in words:
                words += ["--workers", "0"]  # no result depends on them, and each costs a copy of this large process
            result = spurcli(*words)
            assert result.code == 0, (words, result.err)

    return run


def removed_of_groups(path: Path) -> dict[str, int]:
    return {row["name"]: row["num_removed"] for row in read_indices(path).summary["by_group"]}


def test_multinli(tmp_path, run_example, write_multinli):
    """Both parts: pruned groups against a control of the same counts, and the word in chosen contradictions."""
    write_multinli(tmp_path / "data")
    small = "--set model.options.width=8 --set model.options.depth=1 --set model.options.num_heads=1"
    run_example(
        "multinli.sh",
        3,
        RECIPE="multinli-cpu",
        COUNT="5",
        DATA="--set dataset.options.available_only=true",
        SETTINGS=f"{small} --set training.epochs=1 --set scoring.epoch=1 --set preprocessing.max_length=8",
    )
    part_a, part_b = (tmp_path / "multinli" / part / "seed3" for part in "AB")
    pruned, control = (removed_of_groups(part_a / f"{arm}.txt") for arm in ("pruned", "random"))
    assert pruned == control
    assert {name for name, count in pruned.items() if count} == {
        "contradiction/negation",
        "entailment/no negation",
        "neutral/no negation",
    }
    carriers = {
        which: set(json.loads((part_b / f"{which}.json").read_text(encoding="utf-8"))["carriers"]["train"])
        for which in ("easiest", "hardest", "none")
    }
    assert {which: len(found) for which, found in carriers.items()} == {"easiest": 5, "hardest": 5, "none": 0}
    assert not carriers["easiest"] & carriers["hardest"]
    for which in carriers:
        evaluation = json.loads((part_b / which / "evaluation.json").read_text(encoding="utf-8"))
        groups = {item["group"]: item["accuracy"]["num_samples"] for item in evaluation["per_group"]}
        assert groups["entailment/word"] == groups["entailment/no word"] > 0
    assert "random" in (tmp_path / "multinli" / "report-A.html").read_text(encoding="utf-8")
    assert (tmp_path / "multinli" / "report-B.html").is_file()


SMALL_TEXT = (
    *(
        "--dataset",
        "multinli",
        "--recipe",
        "multinli-cpu",
        "--workers",
        "0",
        "--set",
        "dataset.options.available_only=true",
    ),
    *("--set", "model.options.width=8", "--set", "model.options.depth=1", "--set", "model.options.num_heads=1"),
    *("--set", "training.epochs=2", "--set", "scoring.epoch=1", "--set", "preprocessing.max_length=8"),
)
SMALLER = {
    "balance_classes = true\n": "",
    '"training.epochs" = 100': '"training.epochs" = 2',
    '"training.batch_size" = 68': '"training.batch_size" = 16, "method.options.num_anchors" = 4, '
    '"method.options.num_positives" = 4, "method.options.num_negatives" = 4',
    '"method.options.warmup_epochs" = 50': '"method.options.warmup_epochs" = 1',
    '"method.options.warmup_epochs" = 70': '"method.options.warmup_epochs" = 2',
    '"method.options.upweight" = 100': '"method.options.upweight" = 3',
}


def methods_of_the_example(path: Path, arms: Iterable[str]) -> list[str]:
    """Write methods.toml to `path` with these of its arms, made small; returns the names of all its arms."""
    text = (ROOT / "examples" / "methods.toml").read_text(encoding="utf-8")
    for large, small in SMALLER.items():
        assert large in text
        text = text.replace(large, small)
    tables = re.findall(r'^(\[arms\."?([^"\]]+)"?\].*?)(?=^\[|\Z)', text, re.MULTILINE | re.DOTALL)
    path.write_text("".join(table for table, name in tables if name in arms), encoding="utf-8")
    return [name for _, name in tables]


def test_methods(tmp_path, spurcli, write_multinli):
    """Every method runs, and each result says which labels led to it."""
    write_multinli(tmp_path / "data")
    by_val = {"val_labels": "data set", "val_groups": "data set"}
    groups = {"training_groups": "data set"}
    pruning = {"pruning_groups": "scores"}
    expected = {
        "erm-1e-3": {},
        "pruning-0.25": pruning,
        "drop-0.25": {"val_labels": "data set"},
        "prototype-0.25": {},
        "k_centre-0.25": {},
        "subg-1e-3": groups,
        "suby-1e-3": {},
        "rwg-1e-3": groups,
        "rwy-1e-3": {},
        "group_dro-0.01": groups,
        "inferred-0.01": {"training_groups": "inferred: mistakes"},
        "jtt-100": {"errors": "inferred: mistakes"},
        "cnc-0.75": {"training_groups": "inferred: predictions"},
        "pde-50": groups,
    }
    refits = {"dfr-train": {**groups, **by_val}, "dfr-val": by_val}
    names = methods_of_the_example(tmp_path / "arms.toml", {*expected, *refits})
    assert {name.partition("-")[0] for name in names} == {name.partition("-")[0] for name in {*expected, *refits}}
    rules = "last,best-val-worst-group"
    done = spurcli("compare", "--arms", "arms.toml", "--seeds", "3,", "--select-epoch", rules, *SMALL_TEXT)
    assert done.code == 0, done.err

    def used(arm: str, evaluation: str) -> dict[str, str]:
        path = tmp_path / "study" / "seed3" / arm / f"{evaluation}evaluation.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["split"] == "test"
        return {what: source for what, source in content["training"]["labels_used"].items() if source}

    for arm, labels in {**expected, "pruning-0.25-random": pruning}.items():
        assert used(arm, "last.") == labels, arm
        assert used(arm, "best-val-worst-group.") == {**labels, **by_val}, arm
    assert {arm: used(arm, "") for arm in refits} == refits


def test_a_value_is_chosen_on_val(tmp_path, spurcli, write_multinli):
    write_multinli(tmp_path / "data")
    tried = ("group_dro-0.01", "group_dro-0.1", "pde-50", "pde-70", "dfr-train")
    methods_of_the_example(tmp_path / "arms.toml", tried)
    words = ("--seeds", "0,", "--split", "val", "--select-epoch", "best-val-worst-group", "--no-controls", *SMALL_TEXT)
    done = spurcli("compare", "--arms", "arms.toml", *words)
    assert done.code == 0, done.err
    seed = tmp_path / "study" / "seed0"
    looks = {json.loads(path.read_text(encoding="utf-8"))["split"] for path in seed.glob("*/*evaluation.json")}
    assert looks == {"val"}  # no look at test
    for metric in ("worst_group_accuracy", "accuracy"):
        best = {}
        for name in tried[:4]:
            epochs = json.loads((seed / name / "history.json").read_text(encoding="utf-8"))["epochs"]
            top = max(epoch["evaluations"]["val"][metric] for epoch in epochs)
            best[name.partition("-")[0]] = max(
                best.get(name.partition("-")[0], (-1.0, "")), (top, name), key=lambda found: found[0]
            )
        command = [sys.executable, ROOT / "examples" / "choose.py", tmp_path / "arms.toml", tmp_path / "study", metric]
        written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        (tmp_path / "chosen.toml").write_text(written, encoding="utf-8")
        chosen = [arm.name for arm in read_study_file(tmp_path / "chosen.toml").arms]
        assert chosen == [*(name for _, name in best.values()), "dfr-train"]


@pytest.mark.data
def test_waterbirds(tmp_path, run_example, benchmark_data, monkeypatch):
    """At a quarter 1,698 of 4,795 are kept, the paper's count, and so many of each group by the control."""
    if not (benchmark_data / "waterbird_complete95_forest2water2").is_dir():
        pytest.skip(f"no waterbirds in {benchmark_data}")
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(benchmark_data))
    run_example(
        "waterbirds.sh",
        1,
        RECIPE="waterbirds-cpu",
        SETTINGS=f"{MLP} --set training.epochs=1 --set preprocessing.image_size=8",
    )
    out = tmp_path / "waterbirds" / "seed1"
    pruned, control = (removed_of_groups(out / f"{arm}.txt") for arm in ("pruned", "random"))
    assert pruned == control == {
        "landbird/land": 2833, "landbird/water": 0, "waterbird/land": 0, "waterbird/water": 264,
    }  # fmt: skip
    assert (out / "random" / "test.evaluation.json").is_file()
    assert "random" in (tmp_path / "waterbirds" / "report.html").read_text(encoding="utf-8")


@pytest.mark.data
def test_celeba(tmp_path, run_example, benchmark_data, monkeypatch):
    if not (benchmark_data / "celeba").is_dir():
        pytest.skip(f"no celeba in {benchmark_data}")
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(benchmark_data))
    # its 202,599 rows, which take two seconds, are read once for all commands
    monkeypatch.setattr("spurcli.datasets.celeba.read_table", functools.cache(read_table))
    run_example(
        "celeba.sh",
        1,
        FRACTIONS="0.1",
        SETTINGS="--set dataset.options.available_only=true --set dataset.options.num_train_per_class=60 --workers 0 "
        "--set preprocessing.image_size=16 --set training.epochs=1 --set scoring.epoch=1",
    )
    arms = tmp_path / "celeba" / "seed1"
    for arm in ("all", "hardest-0.1", "random-0.1"):
        assert (arms / arm / "test.evaluation.json").is_file()


@pytest.mark.data
def test_cifar10s_in_the_strong_setting(tmp_path, run_example, benchmark_data, monkeypatch):
    """Inside the groups that carry their class's feature: no airplane without the line goes."""
    if not (benchmark_data / "cifar-10-batches-bin").is_dir():
        pytest.skip(f"no cifar10 in {benchmark_data}")
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(benchmark_data))
    run_example(
        "cifar10s.sh",
        1,
        SETTING="1",
        PARTS="B",
        SETTINGS=f"{MLP} --set training.epochs=1 --set scoring.epoch=1 --set training.batch_size=512 --set preprocessing.flip=false",
    )
    out = tmp_path / "cifar10s" / "seed1" / "setting1-share-0.1"
    hardest, control = (removed_of_groups(out / f"{arm}.txt") for arm in ("hardest", "random"))
    assert hardest == control
    assert hardest["airplane/line"] == 100
    assert hardest["airplane/no line"] == 0
    assert all((out / arm / "evaluation.json").is_file() for arm in ("all", "hardest", "random"))


@pytest.mark.parametrize("words", [["--help"], ["empty"], []])
def test_sky_writes_no_table_without_photographs(tmp_path, words):
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "sky.py", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "FOLDER/*/airplane/*.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "birds.csv").exists()


@pytest.mark.data
def test_sky(tmp_path, run_example, benchmark_data, monkeypatch):
    """The table has the groups that it says, and the chain finds which of them to prune."""
    if not (benchmark_data / "cifar10-images").is_dir():
        pytest.skip(f"no cifar10-images in {benchmark_data}")
    (tmp_path / "photos").symlink_to(benchmark_data.resolve() / "cifar10-images")
    monkeypatch.setenv("SPURCLI_DATA_ROOT", str(benchmark_data))  # a link may lead there
    subprocess.run([sys.executable, ROOT / "examples" / "sky.py", "photos"], cwd=tmp_path, check=True)
    run_example("sky.sh", 1, FRACTIONS="0.3", SETTINGS=f"{MLP} --set training.epochs=1 --set scoring.epoch=1")
    evaluation = json.loads((tmp_path / "sky" / "seed1" / "all" / "test.evaluation.json").read_text(encoding="utf-8"))
    assert {
        item["group"]: (item["num_train"], item["accuracy"]["num_samples"]) for item in evaluation["per_group"]
    } == {
        "airplane/other": (100, 450),
        "airplane/sky": (900, 450),
        "bird/other": (900, 450),
        "bird/sky": (100, 450),
    }
    pruned, control = (removed_of_groups(tmp_path / "sky" / "seed1" / f"group-0.3{end}.txt") for end in ("", "-random"))
    assert pruned == control == {"airplane/other": 0, "airplane/sky": 270, "bird/other": 270, "bird/sky": 0}
