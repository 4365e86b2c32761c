"""The workflow of examples/grid: its plan, its commands run whole, and what a kill leaves to do.

Where it only matters which commands are run, Snakemake is given a `spurcli` that writes them down and makes the files
that it waits for; they then run in this process, which spares a start of torch for each.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

GRID = Path(__file__).parents[2] / "examples" / "grid"
SMALL = "--set dataset.options.num_train=300 --set dataset.options.num_val=100 --set dataset.options.num_test=200"
RECORD = 'line=$(printf "%s " "$OMP_NUM_THREADS" "$@"); printf "%s\\n" "$line" >> commands\n'  # one write: jobs run side by side
MAKE_FILES = (
    'while [ $# -gt 0 ]; do case $1 in -o | --save-errors) mkdir -p "$(dirname "$2")"; : > "$2" ;; esac; shift; done\n'
)


@pytest.fixture
def snakemake(tmp_path):
    """Start Snakemake on a copy of the folder, with a `spurcli` that does `what`: snakemake("-n", what="…")."""
    pytest.importorskip("snakemake", reason="needs the extra grid (Python 3.11 or newer)")
    folder = tmp_path / "grid"
    shutil.copytree(GRID, folder)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "spurcli"
    command.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    command.chmod(0o755)

    import yaml

    started: list[subprocess.Popen[str]] = []
    defaults = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))

    def start(*words: str, what: str = "exit 1\n", **config: object) -> subprocess.Popen[str]:
        assert set(config) <= set(defaults)
        (folder / "config.yaml").write_text(json.dumps({**defaults, **config}), encoding="utf-8")  # YAML holds JSON
        command.write_text(f"#!/bin/sh\n{what}", encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *words],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(tmp_path),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait, as long as `process` lives and a very slow machine might take."""
    until = time.monotonic() + 900
    while not is_so():
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=900)
    assert process.returncode == 0, out
    return out


def commands(folder: Path) -> list[list[str]]:
    """The words of each command that was run, in their order, the number of threads first."""
    return [shlex.split(line) for line in (folder / "commands").read_text(encoding="utf-8").splitlines()]


def test_plan(snakemake):
    """One training a seed serves all scores, lists and inferred groups; each list has a control."""
    out = finished(snakemake("-n"))
    table = out.rpartition("Job stats:")[2].partition("total")[0]
    assert {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)} == {
        "inject": 3,
        "train": 3 * (3 + 2 * 2),  # erm, jtt, inferred, and two fractions, pruned and at random
        "score": 3,
        "mistakes": 3,
        "prune": 3 * 2,
        "control": 3 * 2,
        "evaluate": 3 * 7 * 2 * 2,  # two selections on two splits
        "report": 1,
        "all": 1,
    }


def test_every_command_runs(tmp_path, snakemake, spurcli):
    """What the workflow runs are right commands in a right order, threads as configured; nothing runs twice."""
    config = {
        "seeds": [1, 2],
        "fractions": [0.2],
        "threads": 3,
        "data_settings": SMALL,
        "inject": "--feature patch --class 3 --fraction 0.5",
        "settings": "--set training.epochs=3 --set model.options.hidden=[16]",
        "scores": "--add-score prototype",
        "lists": {"drop": "--select random --seed 7 --quotas {recall}", "prototype": "--score prototype"},
        "control": "--match-groups",
        "methods": {
            "jtt": "--method jtt --errors {errors}",
            "inferred": "--method group_dro --group-labels {predictions}",
            "dfr": "--method dfr --checkpoint {erm} --set method.options.num_refits=1",
        },
        "selections": ["last", "best-val-mean"],
        "splits": ["test"],
    }
    finished(snakemake("--cores", "8", what=RECORD + MAKE_FILES, **config))
    run = commands(tmp_path / "grid")
    light = {"inject", "prune", "report"}
    assert {threads for threads, stage, *_ in run if stage not in light} == {"3"}
    assert {threads for threads, stage, *_ in run if stage in light} == {"1"}
    lines = [" ".join(words[1:]) for words in run]
    assert len(set(lines)) == len(lines)
    arms = [
        "erm",
        "jtt",
        "inferred",
        "dfr",
        *(f"{name}-0.2{end}" for name in ("drop", "prototype") for end in ("", "-random")),
    ]
    assert Counter(words[1] for words in run) == {
        "inject": 2, "train": 2 * len(arms), "score": 2, "infer": 4, "prune": 8, "report": 1,
        "evaluate": 2 * (2 * (len(arms) - 1) + 1 + 1),  # the refit has no epochs to choose from; the early model's recall
    }  # fmt: skip

    shutil.rmtree(tmp_path / "grid" / "grid")
    for _, *words in run:
        result = spurcli(*words)
        assert result.code == 0, (words, result.err)
    for arm in arms:
        assert (tmp_path / "grid" / "seed2" / arm / "last.test.evaluation.json").is_file(), arm
    page = (tmp_path / "grid" / "report.html").read_text(encoding="utf-8")
    assert all(word in page for word in ("random", "jtt", "dfr", "group_dro"))


def test_killed_in_the_middle_of_a_training(tmp_path, warm, snakemake, spurcli):
    """The same line goes on in the middle of that training, repeats nothing else, and ends in the bytes of a calm run."""
    warm.command(tmp_path / "warm", ["-m", "spurcli"])
    real = f'case $1 in train) exec {shlex.quote(str(tmp_path / "warm"))} "$@" ;; esac\n'
    line = {
        "what": RECORD + real + MAKE_FILES,
        "seeds": [1, 2],
        "data_settings": SMALL,
        "inject": "",
        "settings": "--set training.epochs=150 --set training.save_seconds=0.1 --set model.options.hidden=[16]",
        "lists": {},
        "methods": {},
        "selections": ["last"],
        "splits": ["test"],
    }
    folder = tmp_path / "grid"
    models = [folder / "grid" / f"seed{seed}" / "erm" / "model.safetensors" for seed in (1, 2)]

    def is_in_the_middle_of_the_second() -> bool:
        done = [model for model in models if model.exists()]
        states = [
            model.with_name("model.safetensors.state") / "state.safetensors" for model in models if model not in done
        ]
        early = [path.parents[1] / "model.epoch2.safetensors" for path in states]
        return len(done) == 1 and states[0].exists() and early[0].exists()

    process = snakemake("--cores", "1", **line)
    wait_until(is_in_the_middle_of_the_second, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert sum(model.exists() for model in models) == 1
    killed = commands(folder)[-1]

    out = finished(snakemake("--cores", "1", **line))
    assert re.search(r"Going on after epoch \d+", out)
    run = commands(folder)
    assert Counter(words[1] for words in run) == {"train": 3, "evaluate": 2, "report": 1}
    assert run.count(killed) == 2

    finished(snakemake("--cores", "1", **line))
    assert commands(folder) == run  # nothing is left to do

    assert spurcli(*killed[1:]).code == 0  # a calm run, in another folder: this process stands one above
    made = sorted((tmp_path / killed[-1]).parent.glob("*.safetensors"))
    assert [path.name for path in made] == ["model.epoch2.safetensors", "model.last.safetensors", "model.safetensors"]
    for path in made:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path.name

    other = snakemake("--cores", "1", **{**line, "settings": "--set training.epochs=2"})
    out, _ = other.communicate(timeout=900)
    assert other.returncode != 0
    assert out.count("is the finished output of another run") == 2
    assert made[-1].read_bytes() == (folder / killed[-1]).read_bytes()


def test_a_second_snakemake_refuses(tmp_path, snakemake):
    first = snakemake("--cores", "1", what="echo >> started; exec sleep 600\n", inject="")
    wait_until((tmp_path / "grid" / "started").is_file, first)
    second = snakemake("--cores", "1", inject="")
    out, _ = second.communicate(timeout=900)
    assert second.returncode != 0
    assert "Another snakemake is at work" in out


def test_each_job_has_a_gpu_of_its_own_until_it_ends(tmp_path):
    """Three jobs on two GPUs: the third one waits until one is killed, and gets that one's."""
    if not shutil.which("flock"):
        pytest.skip("needs flock (util-linux)")
    words = ["sh", GRID / "gpu.sh", "sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES" >> got; exec sleep 600']
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


@pytest.mark.parametrize("name", ["default", "gpus", "slurm", "kubernetes"])
def test_profiles_name_options_and_rules_that_exist(name):
    cli = pytest.importorskip("snakemake.cli", reason="needs the extra grid (Python 3.11 or newer)")
    import yaml

    profile = yaml.safe_load((GRID / "profiles" / name / "config.yaml").read_text(encoding="utf-8"))
    known = {word.lstrip("-") for action in cli.get_argument_parser()._actions for word in action.option_strings}
    executor = profile.get("executor", "local")
    own = {key.removeprefix(f"{executor}-") for key in profile if key.startswith(f"{executor}-")}
    assert set(profile) - {f"{executor}-{key}" for key in own} <= known
    rules = re.findall(r"^rule (\w+):", (GRID / "Snakefile").read_text(encoding="utf-8"), re.MULTILINE)
    with_model = [rule for rule in rules if rule not in ("all", "inject", "prune", "control", "report")]
    assert list(profile.get("set-resources", dict.fromkeys(with_model))) == with_model
    if own:
        plugin = pytest.importorskip(f"snakemake_executor_plugin_{executor}")
        assert {key.replace("-", "_") for key in own} <= set(plugin.ExecutorSettings.__dataclass_fields__)
