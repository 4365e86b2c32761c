"""The workflow of examples/paper: its plans, its commands run whole on the built-in digits, the CSV files and the page made of them.

Snakemake is given a `spurcli` that writes down its words and makes the files that are waited for; the commands then run in this
process, which spares a start of torch for each.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from pages import loads_nothing, spoken

EXAMPLES = Path(__file__).parents[2] / "examples"
PAPER = EXAMPLES / "paper"
COMMITTED = PAPER / "measured" / "page.html"
MODULES = ("plan", "jobs", "collect", "cost", "page")
# A line in one write: jobs run side by side.
RECORD = 'line=$(printf "%s\\t" "$@"); printf "%s\\n" "$line" >> commands\n'
MAKE_FILES = (
    'while [ $# -gt 0 ]; do case $1 in -o | --save-errors) mkdir -p "$(dirname "$2")"; : > "$2" ;; esac; shift; done\n'
)
DEMO = "--dataset demo --set dataset.options.num_train=300 --set dataset.options.num_val=100 --set dataset.options.num_test=200"
FEATURE = "--feature patch --class 3 --twin-class 8"
GROUP = {"world": "marked", "group": "3/patch"}
TINY = {
    "size": "tiny",
    "output": "results/tiny",
    "seeds": [1, 2],
    "threads": 1,
    "workers": 0,
    "worlds": {
        "digits": {
            "data": DEMO,
            "train": "--recipe demo --set training.epochs=3 --set model.options.hidden=[16]",
            "early": 1,
            "control": "",
        },
        "marked": {
            "base": "digits",
            "inject": f"{FEATURE} --fraction 0.5",
            "relative_cost": {"dfr_train": 0.1},
            "select": "best-val-mean",
        },
    },
    "slices": {
        "digits": {
            "base": "digits",
            "class_size": 20,
            "count": 5,
            "random": False,
            "inject": FEATURE,
            "size": "--set feature.size={}",
        }
    },
    "figures": {
        "fig1b": {
            "digits": {
                "world": "marked",
                "stage1": "--set training.epochs=1 --set training.weight_decay=0.1",
                "groups": {"3/no patch": "threes", "8/no patch": "eights"},
            }
        },
        "fig2ab": {"digits": {"S2": 3}},
        "fig2cd": {"digits": {"size": 3, "epochs": [1, 3]}},
        "fig3": {"digits": {"size": 3, "starts": [0, 15]}},
        "fig4": {"digits": {**GROUP, "fractions": [0.5]}},
        "fig5": {"unidentifiable": {"digits": GROUP}},
        "fig6": {"digits": {"world": "marked", "rule": "--per-class", "fractions": [0.2]}},
        "fig9": {"digits": {"world": "marked", "classes": ["3"]}},
        "table1": {
            "digits": {
                "world": "marked",
                "setting": "small",
                "fraction": 0.2,
                "rule": "--per-class",
                "methods": {
                    "jtt": "--method jtt --errors {errors} --set method.options.upweight=4",
                    "dfr_train": "--method dfr --checkpoint {erm} --set method.options.num_refits=1",
                },
            }
        },
    },
}


@pytest.fixture
def paper(monkeypatch):
    """The modules of the folder, imported as its programs do, and forgotten again: paper("collect")."""
    monkeypatch.syspath_prepend(str(PAPER))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield __import__
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def snakemake(tmp_path):
    """Run Snakemake on a copy of the folder, with a `spurcli` that does `what`: snakemake("-n", what="…") → its output."""
    pytest.importorskip("snakemake", reason="needs the extra grid (Python 3.11 or newer)")
    shutil.copytree(
        EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__", "results", ".snakemake")
    )
    (tmp_path / "examples" / "paper" / "config" / "tiny.yaml").write_text(json.dumps(TINY), encoding="utf-8")
    command = tmp_path / "bin" / "spurcli"
    command.parent.mkdir()

    def run(*words: str, what: str = "exit 1\n", fails: bool = False) -> str:
        command.write_text(f"#!/bin/sh\n{what}", encoding="utf-8")
        command.chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=tmp_path / "examples" / "paper",
            env={
                **os.environ,
                "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
                "XDG_CACHE_HOME": str(tmp_path),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    return run


def recorded(folder: Path) -> list[list[str]]:
    """The words of each command that was run in a folder, in their order."""
    text = (folder / "commands").read_text(encoding="utf-8")
    return [line.split("\t")[:-1] for line in text.splitlines()]


def commands(tmp_path: Path) -> list[list[str]]:
    return recorded(tmp_path / "examples" / "paper")


def jobs_of(paper, config, out="out"):
    plan = paper("plan").Plan(config)
    return plan, paper("jobs").Jobs(plan, str(out))


def words_of(job, seed=1):
    return shlex.split(job.words.replace("{seed}", str(seed)))


@pytest.mark.parametrize("size", ["cpu", "paper"])
def test_every_command_of_the_sizes_is_right(paper, monkeypatch, spurcli, size):
    """All figures are planned, nothing is computed twice, and every option, recipe and setting is one that spurcli takes."""
    monkeypatch.chdir(PAPER)
    plan, jobs = jobs_of(paper, paper("plan").read_config(PAPER / "config" / f"{size}.yaml"))
    assert all(plan.of(figure) for figure in paper("plan").FIGURES)
    run = list(jobs.by_output.values())
    assert run == jobs.behind(plan.points) or {job.output for job in run} == {
        job.output for job in jobs.behind(plan.points)
    }
    assert len({job.words for job in run}) == len(run)
    stages = Counter(job.stage for job in run)
    assert stages["train"] == len({(job.world.name, job.arm) for job in run if job.stage == "train"})
    assert stages["score"] == len({job.world.name for job in run if job.stage == "score"})  # one serves all lists
    seen: set[tuple[str, ...]] = set()
    for job in run:
        words = words_of(job)
        assert all(path in jobs.by_output for path in job.inputs)
        assert job.output.replace("{seed}", "1").replace(".trained", "model.safetensors") in words
        options = (words[0], *sorted({word for word in words if word.startswith("--")}))
        if options not in seen:
            seen.add(options)
            known = spurcli(*words, "--help")
            assert known.code == 0, (words, known.err)
        if words[0] == "train" and not words[2].endswith("inject.json"):
            paper("plan").settings_of(shlex.join(words[1:]))


def test_one_file_is_not_made_in_two_ways(paper):
    figures = {"fig6": {"a": {"world": "marked", "rule": "--per-class", "fractions": [0.2]}}}
    figures["fig7"] = {"a": {"world": "marked", "rule": "--per-group", "fractions": [0.2]}}
    with pytest.raises(Exception, match=r"Two figures want 'hardest-0\.2' of marked"):
        paper("plan").Plan({**TINY, "figures": figures})


def test_snakemake_runs_the_commands_of_the_plan_and_those_that_failed_again(tmp_path, snakemake, paper):
    failing = 'case "$*" in evaluate*marked/seed2/erm*) exit 1 ;; esac\n'
    snakemake("--cores", "8", "--config", "size=tiny", what=RECORD + failing + MAKE_FILES, fails=True)
    before = commands(tmp_path)
    failed = [words for words in before if words[0] == "evaluate" and "marked/seed2/erm" in " ".join(words)]
    assert failed
    snakemake("--cores", "8", "--config", "size=tiny", what=RECORD + MAKE_FILES)
    run = commands(tmp_path)
    assert sorted(run[len(before) :]) == sorted(failed)
    _, jobs = jobs_of(paper, TINY, TINY["output"])
    assert sorted(before) == sorted(words_of(job, seed) for job in jobs.by_output.values() for seed in (1, 2))


def test_a_whole_run(tmp_path, paper, spurcli, monkeypatch, capsys):
    """On the built-in digits: every command, the CSV files, the page."""
    out, folder = tmp_path / "elsewhere", tmp_path / "here"  # an absolute path: no file between the stages holds one
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "tiny.yaml").write_text(json.dumps(TINY), encoding="utf-8")
    monkeypatch.chdir(folder)
    plan, jobs = jobs_of(paper, TINY, out)
    for job in jobs.behind(plan.points):
        for seed in TINY["seeds"]:
            result = spurcli(*words_of(job, seed))
            assert result.code == 0, (job.words, result.err)
            if job.stage == "train":
                Path(job.output.replace("{seed}", str(seed))).touch()  # as Snakemake does

    collect = paper("collect")
    assert collect.main(["config/tiny.yaml", "-o", str(out)]) == 0
    tables = {}
    for figure in TINY["figures"]:
        with (out / "data" / f"{figure}.csv").open(encoding="utf-8", newline="") as file:
            tables[figure] = list(csv.DictReader(file))
        assert tuple(tables[figure][0]) == ("figure", "panel", "setting", "series", "x", "seed", "metric", "value")
        assert {row["seed"] for row in tables[figure]} == {"1", "2"}

    def value(figure: str, **where: str) -> float:
        where = {
            "panel": {"fig1b": "training samples", "fig5": "unidentifiable", "table1": "digits"}.get(figure, ""),
            **where,
        }
        found = [row["value"] for row in tables[figure] if where.items() <= row.items()]
        assert len(found) == 1, (figure, where)
        return float(found[0])

    def metric(path: str, name: str) -> float:
        content = json.loads((out / path).read_text(encoding="utf-8"))
        return 100 * content["metrics"][name]["value"]

    spurious = "spurious_misclassification"
    at = {"metric": spurious, "seed": "2"}
    last, best = "last.test.evaluation.json", "best-val-mean.test.evaluation.json"
    for figure, where, path in (
        ("fig2ab", {"series": "in_hardest", "x": "S2"}, f"digits-3-at15/seed2/erm/{last}"),
        ("fig2ab", {"series": "none", "x": "S2"}, f"digits-3-none/seed2/clean/{last}"),
        ("fig2cd", {"series": "in_easiest", "x": "1"}, "digits-3-at0/seed2/erm/epoch1.test.evaluation.json"),
        ("fig3", {"series": "slice", "x": "15"}, f"digits-3-at15/seed2/erm/{last}"),
        ("fig4", {"series": "carriers_easiest", "x": "50"}, f"marked/seed2/carriers_easiest-0.5/{last}"),
        ("fig6", {"series": "erm", "x": "0"}, f"marked/seed2/erm/{last}"),
        ("fig6", {"series": "random", "x": "20"}, f"marked/seed2/hardest-0.2-random/{last}"),
        ("fig6", {"series": "random", "x": "20", "panel": "best val mean"}, f"marked/seed2/hardest-0.2-random/{best}"),
        ("table1", {"series": "jtt"}, f"marked/seed2/jtt/{last}"),
        ("table1", {"series": "jtt", "panel": "digits, best val mean"}, f"marked/seed2/jtt/{best}"),
    ):
        assert value(figure, **at, **where) == pytest.approx(metric(path, spurious), abs=1e-4)
    wrong = json.loads((out / "marked/seed1/stage1/last.train.evaluation.json").read_text(encoding="utf-8"))
    eights = next(group["accuracy"]["value"] for group in wrong["per_group"] if group["group"] == "8/no patch")
    shown = value("fig1b", panel="training samples", x="eights", seed="1", metric="share_wrong")
    assert shown == pytest.approx(100 * (1 - eights), abs=1e-4)
    for series in ("whole_set", "within_class"):
        shares = [value("fig5", series=series, x=f"Q{quartile}", seed="1") for quartile in (1, 2, 3, 4)]
        assert sum(shares) == pytest.approx(100, abs=1e-3)
    strip = [value("fig9", series="3", x=str(place), seed="1") for place in range(0, 101, 10)]
    assert strip == sorted(strip)

    ran = json.loads((out / "data" / "runs.json").read_text(encoding="utf-8"))
    assert ran["fig6"] | {"cpu_seconds": 0} == {
        "size": "tiny", "dataset": ["demo"], "samples": ["300"], "model": ["mlp"], "epochs": ["3"], "image_size": [],
        "seeds": [1, 2], "version": ran["fig6"]["version"], "cpu_seconds": 0, "cpu_seconds_per_job": {},
    }  # fmt: skip
    assert paper("page").main([str(out), "-o", "page.html"]) == 0
    page = loads_nothing((folder / "page.html").read_text(encoding="utf-8"))
    assert "feature in the hardest" in " ".join(page.text)

    # A training that is to be done again takes its results along; which seeds there are, the folder says.
    (out / "marked/seed2/jtt/.trained").unlink()
    (folder / "config" / "tiny.yaml").write_text(json.dumps({**TINY, "seeds": [1]}), encoding="utf-8")
    assert collect.main(["config/tiny.yaml", "-o", str(out)]) == 0
    with (out / "data" / "table1.csv").open(encoding="utf-8", newline="") as file:
        left = {(row["series"], row["seed"]) for row in csv.DictReader(file)}
    assert left == {(row["series"], row["seed"]) for row in tables["table1"]} - {("jtt", "2")}

    assert collect.main(["config/tiny.yaml", "-o", str(out), "--pictures"]) == 0
    monkeypatch.setattr("spurcli.reporting.page.render_svg", lambda *_, **__: "<svg></svg>")  # drawn above
    for words, number in (([], 1), (["--without-pictures"], 0)):
        assert paper("page").main([str(out), "-o", "page.html", *words]) == 0
        text = (folder / "page.html").read_text(encoding="utf-8")
        assert len(loads_nothing(text).values("alt")) == number
        assert ("Pictures of the data set are left out" in text) == (number == 0)


def test_no_more_jobs_than_cores(tmp_path, snakemake):
    """Each command with a model has a folder of its own while it runs, and notes how many there are."""
    if not shutil.which("flock"):
        pytest.skip("needs flock (util-linux)")
    heavy = "mkdir -p running/$$; ls running | wc -l >> at_once; sleep 0.1; rmdir running/$$"
    count = f"case $1 in train | score | evaluate) {heavy} ;; esac\n"
    snakemake("--cores", "2", "fig6", "--config", "size=tiny", what=count + MAKE_FILES)
    at_once = [int(line) for line in (tmp_path / "examples" / "paper" / "at_once").read_text(encoding="utf-8").split()]
    assert len(at_once) == 2 * (3 + 1 + 6)  # three trainings, a scoring, and of each training two models
    assert max(at_once) == 2


def test_what_is_not_there_is_left_out(tmp_path, paper, capsys):
    collect = paper("collect")
    (tmp_path / "tiny.yaml").write_text(json.dumps(TINY), encoding="utf-8")
    assert collect.main([str(tmp_path / "tiny.yaml"), "-o", str(tmp_path / "out")]) == 0
    assert "fig6: 0 of 12 results" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert collect.main([str(tmp_path / "absent.yaml")]) == 3


def test_a_job_keeps_its_exit_code_and_notes_its_seconds(tmp_path, paper):
    # The shell counts in ticks of 10 ms and cuts: longer by some than what is asked for below.
    busy = [sys.executable, "-c", "import time\nwhile time.process_time() < 0.35: pass\nraise SystemExit(3)"]
    for _ in range(2):
        done = subprocess.run(["sh", PAPER / "job.sh", tmp_path / "sub" / "file", "1", "0", *busy], check=False)
        assert done.returncode == 3
    text = (tmp_path / "sub" / "file").read_text(encoding="utf-8")
    assert 0.6 <= paper("collect").cpu_seconds(text) < 5
    assert paper("collect").cpu_seconds("0m0.01s 0m0.00s\n1m2.5s 0m0.25s\n") == pytest.approx(62.76)


def test_cost_is_the_probe_times_the_jobs(tmp_path, paper, spurcli, monkeypatch, capsys):
    """With a probe of round numbers the table can be worked out by hand."""
    cost = paper("cost")

    def timed(words: str, device: str, threads: int) -> float:
        result = spurcli(*shlex.split(words), "--workers", "0")
        assert result.code == 0, result.err
        if words.startswith("train"):  # 200 start seconds, 1 a sample
            keep = Path(words.partition("--keep ")[2].split()[0])
            return 200.0 + len(keep.read_text(encoding="utf-8").splitlines())
        return 50.0

    monkeypatch.setattr(cost, "timed", timed)
    monkeypatch.setattr(cost, "WARM_UP", 1)
    config = {**TINY, "output": str(tmp_path / "out")}
    (tmp_path / "tiny.yaml").write_text(json.dumps(config), encoding="utf-8")
    for _ in range(2):  # the second time from OUT/probe.json
        assert cost.main([str(tmp_path / "tiny.yaml"), "fig6", "fig4", "--steps", "2"]) == 0
        monkeypatch.setattr(cost, "timed", lambda *_: pytest.fail("the probe was taken again"))
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    full = 200 + 300 * 3
    erm = full + 50  # and its scoring
    pruned = 200 + 240 * 3
    fig6 = erm + 2 * pruned + 6 * 50  # also of the best epoch
    fig4 = erm + 3 * full + 4 * 50
    hours = [f"{2 * seconds / 3600:.2f}" for seconds in (fig6, fig6, fig4, fig4 - erm - 50)]
    assert table[1][:5] == ["fig6", "6", "20", *hours[:2]]
    assert table[2][:5] == ["fig4", "8", "18", *hours[2:]]
    assert cost.main([str(tmp_path / "absent.yaml")]) == 3
    with pytest.raises(pytest.fail.Exception, match="taken again"):  # what was measured elsewhere says nothing here
        cost.main([str(tmp_path / "tiny.yaml"), "fig6", "--steps", "3"])


@pytest.mark.parametrize(("stage1", "seconds"), [("", 50), ("--set scoring.epoch=2", 50 + 2 * 300)])
def test_mistakes_of_a_model_of_its_own_cost_its_training(paper, stage1, seconds):
    cost, world = paper("cost"), paper("plan").World(name="digits", **{**TINY["worlds"]["digits"], "stage1": stage1})
    probes = {cost.kind_of(world): {"start": 200, "sample": 1, "score": 50, "evaluate": 50, "num_train": 300}}
    assert cost.cost_of(paper("jobs").Job("mistakes", "errors.txt", (), "", world), probes) == seconds


def test_the_shortest_chain_runs(tmp_path, spurcli):
    """Its commands, written down by a shell and run here in their order."""
    command = tmp_path / "bin" / "spurcli"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n{RECORD}", encoding="utf-8")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "DATA": DEMO,
        "SETTINGS": "--set training.epochs=2 --set model.options.hidden=[16]",
    }
    subprocess.run(["sh", PAPER / "chain.sh", "4"], cwd=tmp_path, env=environment, check=True)
    for words in recorded(tmp_path):
        result = spurcli(*words)
        assert result.code == 0, (words, result.err)
    for arm in ("erm", "hardest", "random"):
        content = json.loads((tmp_path / "chain" / "seed4" / arm / "evaluation.json").read_text(encoding="utf-8"))
        assert content["metrics"]["spurious_misclassification"]["num_samples"] > 0


def test_the_committed_page_is_that_of_the_committed_numbers(paper):
    text = paper("page").page(PAPER / "measured")
    lists = [
        re.findall(r'(?s)<ul class="findings".*?</ul>', page) for page in (text, COMMITTED.read_text(encoding="utf-8"))
    ]
    assert lists[0] == lists[1]  # python page.py measured -o measured/page.html
    assert len(lists[0]) == 13
    page = loads_nothing(text)
    figures = list(paper("plan").FIGURES)
    assert [name for name in page.values("id") if name in figures] == figures
    assert len(page.values("download")) == len(figures)
    assert len(text) < 3_000_000
    assert len(spoken(text)) == 46
    assert "13 of 13 run" in text
    for verdict in (
        "at the end, the hardest keep the feature and the easiest do not: cifar10s at 6: +18.4\u00a0±\u00a05.1 points (5 of 5 seeds), as the paper says",
        "super-linear: half-way the curve is below the straight line between its ends",
    ):
        assert verdict in text


def test_what_was_not_run_is_said_and_the_published_numbers_stand_there_all_the_same(paper, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    text = " ".join(loads_nothing(paper("page").page(tmp_path)).text)
    assert text.count("Verdict: not run") == 13
    assert "0 of 13 run" in text
    assert "90.93 (0.58)" in text
    assert paper("page").main([str(tmp_path / "absent")]) == 3
    (tmp_path / "data" / "fig3.csv").write_text("figure\n", encoding="utf-8")
    assert paper("page").main([str(tmp_path), "-o", str(tmp_path / "page.html")]) == 3
    assert not (tmp_path / "page.html").exists()


def test_every_published_number_has_a_source_and_a_place(paper):
    from spurcli.studies.description import read_description

    study = read_description(PAPER / "published.toml")
    for figure in study.figures:
        assert figure.claim.endswith(".")
        assert {compare.metric for compare in figure.compare} <= set(figure.metrics)
        for item in figure.published:
            assert item.source
            assert item.value is None or 0 <= item.value <= 1
            assert item.metric in figure.metrics
            assert item.series in ("", *study.series)
    printed = [
        item.words
        for figure in study.figures
        for item in figure.published
        if item.panel == "waterbirds*" and not item.elsewhere
    ]
    assert printed[:2] == ["74.81 (0.7)", "98.10 (0.1)"]
    assert printed[-2:] == ["90.93 (0.58)", "92.48 (0.72)"]
