"""Worst groups in a report: named with their samples, a table for each column, and which metric leads."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from spurcli.reporting.content import build
from spurcli.reporting.gather import gather
from spurcli.reporting.terminal import terminal_tables
from spurcli.stages.report import report

GROUPS = {"hospital": ("sick/north", "sick/south", "well/north"), "sex": ("sick/f", "sick/m", "well/f")}


def share(value, num_samples=200, interval=None, **facts):
    return {"value": value, "num_samples": num_samples, "interval": interval, **facts}


@pytest.fixture
def by_column(make, tmp_path):
    """Write seedN/erm/by-COLUMN.evaluation.json: `groups` are the accuracies of the groups of a column at each seed."""

    def write(column, groups, *, seeds=(1, 2, 3, 4, 5), conflict=None, file="", folder="erm", rule=None, **more):
        for seed in seeds:
            values = {name: per_seed[seed % len(per_seed)] for name, per_seed in groups.items()}
            worst = min(values, key=values.get)
            content = make.evaluation(None, seed=seed, rule=rule, weights=f"w-{seed}-{folder}", **more)
            about = {"data_set": None} if file else {}
            content["provenance"]["settings"]["dataset"] = {
                "name": "table",
                "options": {"path": "patients.csv", "attribute": [column]},
            }
            content["groups_from"] = {"file": file or "patients.csv", "columns": [] if file else [column]} | about
            counts = {name: 50 + number for number, name in enumerate(values)}
            content["per_group"] = [
                {
                    "group": name,
                    "accuracy": share(value, counts[name], [max(0, value - 0.1), min(1, value + 0.1)]),
                }
                for name, value in values.items()
            ]
            metrics = {
                "worst_group_accuracy": share(values[worst], counts[worst], [0.3, 0.9], group=worst),
                "accuracy": share(0.9, 600, [0.88, 0.92]),
            }
            if conflict is not None:
                metrics["conflict_accuracy"] = share(conflict, 60, groups=["sick/south"])
            content["metrics"] = metrics
            make.save(tmp_path / f"runs/seed{seed}/{folder}/by-{column}.evaluation.json", content)
        return tmp_path / "runs"

    return write


def data_of(folder):
    return report([folder], output=folder.parent / "out.json")


def page_of(folder, **more):
    report([folder], output=folder.parent / "page.html", **more)
    return (folder.parent / "page.html").read_text(encoding="utf-8")


def terminal_of(folder, width=80):
    found = build(gather([folder]), title=None, notes=(), command="")
    stream = io.StringIO()
    for table in terminal_tables(found):
        Console(file=stream, width=width).print(table)
    return stream.getvalue()


HOSPITAL = {"sick/north": (0.9, 0.92), "sick/south": (0.6, 0.62), "well/north": (0.95,)}
SEX = {"sick/f": (0.8, 0.7), "sick/m": (0.7, 0.8), "well/f": (0.95,)}


def test_the_worst_group_is_named_with_its_samples_everywhere(by_column):
    folder = by_column("hospital", HOSPITAL)
    data = data_of(folder)
    assert data["title"].startswith("patients.csv by hospital")
    (verdict,) = data["verdict"]
    assert verdict.startswith("Worst-group accuracy on the test split: 61.2 ± 1.1 % for ERM, all samples (5 seeds")
    assert "(5 seeds; worst group: sick/south, n = 51)" in verdict
    assert data["arms"][0]["worst_group"] == {"name": "sick/south", "num_samples": 51, "num_worst": 5, "num_runs": 5}
    terminal = terminal_of(folder)
    (row,) = [line for line in terminal.splitlines() if "sick/south" in line]
    assert "51" in row
    assert "61.2 ± 1.1 %" in row
    assert "← worst" in row
    assert terminal.index("sick/south") < terminal.index("sick/north") < terminal.index("all samples")
    assert max(map(len, terminal.splitlines())) <= 80
    page = page_of(folder)
    marked = re.findall(r'<tr class="worst"><th scope="row">(.*?)</th>.*?</tr>', page)
    assert marked == ['sick/south <span class="mark">worst</span>']
    assert '<span class="which">sick/south, n = 51</span>' in page
    assert '<td class="n soft">51</td><td class="n worst">61.2\xa0±\xa01.1\xa0%</td>' in page


def test_each_column_is_a_table_of_its_own(by_column):
    by_column("hospital", HOSPITAL)
    folder = by_column("sex", SEX)
    data = data_of(folder)
    assert data["title"].startswith("patients.csv by hospital and by sex")
    assert [section["grouping"] for section in data["sections"]] == ["hospital", "sex"]
    assert [arm["num_seeds"] for arm in data["arms"]] == [5, 5]
    first, second = data["verdict"]
    assert first.startswith("By hospital, worst-group accuracy on the test split: 61.2 ± 1.1 % for ERM, all samples (")
    assert second.startswith("By sex, worst-group accuracy on the test split: 70.0 ± 0.0 % for ERM, all samples (")
    assert "worst group: sick/m, n = 51, in 3 of 5 runs" in second or "sick/f, n = 50, in 3 of 5 runs" in second
    terminal = terminal_of(folder)
    assert terminal.count("← worst") == 2
    assert terminal.index("By hospital") < terminal.index("By sex")
    page = page_of(folder)
    assert page.index("<h3>By hospital</h3>") < page.index("by hospital</h3>") < page.index("<h3>By sex</h3>")
    assert "1 arm</span><span>5 runs</span>" in page
    # worst of each seed: another group, so that the mean of the worst is below every group's mean
    assert "seeds differ in their worst group" in page
    assert "attribute =" not in page.split("<h2>Commands</h2>")[0]


def test_a_title_of_one_s_own_does_not_hide_the_column(by_column):
    page = page_of(by_column("hospital", HOSPITAL), title="My patients")
    header = page.split("</header>")[0]
    assert "<h1>My patients</h1>" in header
    assert "groups by hospital" in header


def test_several_arms_are_compared_within_a_column_and_their_worst_groups_named(by_column, make):
    for column, groups in (("hospital", HOSPITAL), ("sex", SEX)):
        by_column(column, groups)
        better = {name: tuple(value + 0.03 for value in values) for name, values in groups.items()}
        better["sick/north" if column == "hospital" else "well/f"] = (0.5,)
        folder = by_column(column, better, folder="hardest", rule=make.rule_of("hardest", "0.3"))
    data = data_of(folder)
    assert [(item["arm"], item["reference"]) for item in data["comparisons"]] == [(1, 0), (3, 2)]
    assert [data["arms"][n]["grouping"] for n in range(4)] == ["hospital", "hospital", "sex", "sex"]
    assert any(line.startswith("By hospital: ") for line in data["verdict"])
    terminal = terminal_of(folder)
    lines = [line.strip() for line in terminal.splitlines()]
    assert lines[lines.index("sick/north") + 1] == "n = 50"
    assert lines[lines.index("sick/south") + 1] == "n = 51"
    page = page_of(folder)
    assert page.count('aria-label="Table of arms') == 2
    assert page.count('<span class="mark">worst</span>') == 4


@pytest.mark.parametrize(
    ("conflict", "injected", "leads"),
    [
        (0.67, False, "worst_group_accuracy"),  # another group is worse
        (0.6, False, "conflict_accuracy"),  # the conflict group is the worst: both are one number
        (0.67, True, "conflict_accuracy"),
    ],
)
def test_what_leads(by_column, make, tmp_path, conflict, injected, leads):
    folder = by_column("hospital", {**HOSPITAL, "sick/south": (0.6,)}, conflict=conflict)
    if injected:
        for path in folder.rglob("*.json"):
            content = report_content(path)
            content.pop("groups_from")
            content["provenance"]["settings"]["dataset"]["injection"] = {"feature": "patch"}
            make.save(path, content)
    assert data_of(folder)["primary_metric"] == leads


def report_content(path):
    import json

    return json.loads(path.read_text(encoding="utf-8"))


def test_an_interval_that_accounts_for_the_choice_is_explained(by_column):
    page = page_of(by_column("hospital", HOSPITAL, seeds=(1,)))
    assert "Worst-group accuracy has the interval 30.0–90.0 instead of 52.0–72.0" in page
    assert "the lowest true accuracy of the 3 groups" in page


def test_an_evaluation_without_groups_is_shown_once_with_them(by_column, make):
    folder = by_column("hospital", HOSPITAL)
    for path in list(folder.rglob("*.json")):
        content = report_content(path)
        del content["groups_from"], content["metrics"]["worst_group_accuracy"]
        content["per_group"] = []
        make.save(path.with_name("evaluation.json"), content)
    data = data_of(folder)
    assert [(arm["num_runs"], arm["grouping"]) for arm in data["arms"]] == [(5, "hospital")]
    assert any("has no groups; the same model is shown by the groups of" in remark for remark in data["remarks"])


def test_a_file_of_groups_and_the_data_set_s_own_are_not_averaged(by_column):
    by_column("hospital", HOSPITAL)
    folder = by_column("other", SEX, file="other.csv")
    data = data_of(folder)
    assert [section["grouping"] for section in data["sections"]] == ["hospital", "other.csv"]
    assert [arm["num_runs"] for arm in data["arms"]] == [5, 5]


def test_predictions_are_called_as_their_file_and_have_no_split(tmp_path, spurcli):
    rows = [f"{n},{n % 2},{0.9 if n % 3 else 0.2},{'AB'[n % 4 // 2]}\n" for n in range(60)]
    (tmp_path / "preds.csv").write_text("id,y,p,hospital\n" + "".join(rows), encoding="utf-8")
    words = ("--predictions", "preds.csv", "--label", "y", "--proba", "p", "--group", "hospital")
    evaluated = spurcli("evaluate", *words)
    assert evaluated.code == 0
    assert "All 60 samples" in evaluated.err
    assert spurcli("evaluate", "predictions.h5", "-o", "again.json").code == 0
    for name in ("evaluation.json", "again.json"):
        shown = spurcli("report", name, "-o", "r.html")
        assert shown.code == 0
        assert "split" not in shown.err
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        header = page.split("</header>")[0]
        assert "by hospital</h1>" in header
        assert "split" not in header.split("</style>")[1]
        assert "predictions preds.csv" not in page.split("<h2>Commands</h2>")[0]
    assert "preds.csv by hospital" in spurcli("report", "evaluation.json", "-o", "r.html").err
