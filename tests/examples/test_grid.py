"""A study by Snakemake (`compare --cores`, `--profile`): the files of a study in one process, and only what is missing is done."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spurcli.comparing.arms_file import read_study_file
from spurcli.comparing.chain import Source
from spurcli.comparing.study import Study
from spurcli.comparing.workflow import SNAKEFILE, plan_of

ROOT = Path(__file__).parents[2]
GRID = ROOT / "examples" / "grid"
TINY = {
    "dataset.options.num_train": 200,
    "dataset.options.num_val": 60,
    "dataset.options.num_test": 100,
    "model.options.hidden": [16],
    "training.epochs": 2,
    "scoring.epoch": 1,
}
FLAGS = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 900
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


def weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("model.safetensors"))}


def test_snakemake_makes_the_files_of_one_process_and_repeats_nothing(tmp_path, warm, spurcli, monkeypatch):
    """Jobs are forked from a warm process; one whose output is gone is done again, the others are not."""
    pytest.importorskip("snakemake", reason="needs the extra grid (Python 3.11 or newer)")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "spurcli"
    warm.command(tmp_path / "bin" / "warm", ["-m", "spurcli"])
    command.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/run\nexec {tmp_path}/bin/warm "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("spurcli.comparing.workflow.COMMANDS", command.parent)
    line = (
        "compare",
        "--dataset",
        "demo",
        "--arms",
        "erm,prune:0.2",
        "--no-controls",
        "--seeds",
        "1",
        "--workers",
        "0",
        *FLAGS,
    )
    result = spurcli(*line, "--cores", "2")
    assert result.code == 0, result.err
    assert sorted((tmp_path / "run").read_text().split()) == sorted(
        ["evaluate", "evaluate", "prune", "score", "train", "train"]
    )
    made = weights(tmp_path / "study")
    evaluation = (tmp_path / "study/seed1/erm/evaluation.json").read_bytes()
    (tmp_path / "study/seed1/erm/evaluation.json").unlink()
    (tmp_path / "run").unlink()
    assert spurcli(*line, "--cores", "2").code == 0
    assert (tmp_path / "run").read_text().split() == ["evaluate"]
    (tmp_path / "study").rename(tmp_path / "other")
    assert spurcli(*line).code == 0
    assert weights(tmp_path / "study") == made
    assert (tmp_path / "study/seed1/erm/evaluation.json").read_bytes() == evaluation


def test_the_plan_of_the_example(tmp_path):
    """Each command waits for what it reads, and for no more."""
    found = read_study_file(GRID / "study.toml")
    study = Study(tmp_path, Source("demo", settings=TINY), found.arms, [1, 2, 3], inject=found.inject)
    steps = plan_of(study)["steps"]
    here = str(tmp_path / ".steps" / "seed2")
    needs = {name.removeprefix(f"{here}/"): step["needs"] for name, step in steps.items() if name.startswith(here)}
    assert needs["inject.json.inject"] == []
    assert needs["erm/model.safetensors.train"] == [f"{here}/inject.json.inject"]
    assert needs["scores.h5.score"] == [f"{here}/erm/model.safetensors.train"]
    assert needs["keep-hardest-10-random.txt.prune"] == [
        f"{here}/scores.h5.score", f"{here}/keep-hardest-10.txt.prune"
    ]  # fmt: skip
    assert set(needs["jtt/model.safetensors.train"]) == {f"{here}/inject.json.inject", f"{here}/mistakes.txt.infer"}
    assert len(steps) == 3 * len(needs) == 3 * (1 + 1 + 1 + 1 + 4 + 6 + 7)


def test_without_snakemake_the_package_to_install_is_named(spurcli, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = spurcli("compare", "--dataset", "demo", "--arms", "erm", "--seeds", "1", "--cores", "2", *FLAGS)
    assert result.code == 4
    assert "pip install 'spurcli[grid]'" in result.err


def test_each_job_has_a_gpu_of_its_own_until_it_ends(tmp_path):
    """Three jobs on two GPUs: the third one waits until one is killed, and gets that one's."""
    if not shutil.which("flock"):
        pytest.skip("needs flock (util-linux)")
    words = ["sh", SNAKEFILE.with_name("gpu.sh"), "sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES" >> got; exec sleep 600']
    jobs: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        jobs.append(subprocess.Popen(words, cwd=tmp_path, env={**os.environ, "GPUS": "4 7"}))

    def got() -> list[str]:
        path = tmp_path / "got"
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    try:
        for number in (1, 2):
            start()
            wait_until(lambda number=number: len(got()) == number)
        start()
        time.sleep(0.3)
        assert got() == ["4", "7"]
        jobs[1].kill()
        wait_until(lambda: len(got()) == 3)
        assert got()[2] == "7"
    finally:
        for job in jobs:
            job.kill()
            job.wait()


@pytest.mark.parametrize("name", ["gpus", "slurm", "kubernetes"])
def test_profiles_name_options_and_rules_that_exist(name):
    cli = pytest.importorskip("snakemake.cli", reason="needs the extra grid (Python 3.11 or newer)")
    import yaml

    profile = yaml.safe_load((GRID / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    known = {word.lstrip("-") for action in cli.get_argument_parser()._actions for word in action.option_strings}
    executor = profile.get("executor", "local")
    own = {key.removeprefix(f"{executor}-") for key in profile if key.startswith(f"{executor}-")}
    assert set(profile) - {f"{executor}-{key}" for key in own} <= known
    rules = re.findall(r"^rule (\w+):", SNAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    with_model = {rule for rule in rules if rule not in ("all", "inject", "prune")}
    assert set(profile["set-resources"]) == with_model
    if own:
        plugin = pytest.importorskip(f"snakemake_executor_plugin_{executor}")
        assert {key.replace("-", "_") for key in own} <= set(plugin.ExecutorSettings.__dataclass_fields__)
