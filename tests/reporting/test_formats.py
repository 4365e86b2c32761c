"""What `spurcli report` leaves on disk in each format, and what it does with files that are damaged or foreign."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image

from spurcli.errors import UsageError
from spurcli.stages.report import report


def table_of(text):
    """Cells of the first Markdown table, split at bars that are not escaped."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.replace("\\|", "\0").strip("|").split("|")] for line in lines]


def test_html_is_the_standard_output_and_folders_are_searched(grid, spurcli, tmp_path):
    grid()
    done = spurcli("report", "runs")
    assert done.code == 0
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert "hardest 30 %" in done.err
    assert done.out == ""


def test_markdown_has_one_row_an_arm_and_the_commands(grid, tmp_path):
    report([grid()], output=tmp_path / "r.md", notes=["Only *one* pair"])
    text = (tmp_path / "r.md").read_text()
    rows = table_of(text)
    assert rows[0][:3] == ["arm", "seeds", "Spurious misclassification"]
    assert rows[1][:3] == ["ERM, all samples", "3", "27.0 ± 2.0 % \\[22.0–32.0\\]"]
    assert {len(row) for row in rows[:5]} == {4}
    assert "```sh\nspurcli train --seed 0\nspurcli evaluate\n```" in text
    assert "- Only \\*one\\* pair" in text


def test_markdown_escapes_names(make, tmp_path):
    rule = {**make.rule_of("hardest", "0.3"), "per": "group", "groups": ["a|b<i>*x*"]}
    content = make.evaluation(0.2, rule=rule)
    content["provenance"]["lineage"] = ["echo ```", "spurcli evaluate"]
    make.save(tmp_path / "evaluation.json", content)
    report([tmp_path / "evaluation.json"], output=tmp_path / "r.md")
    text = (tmp_path / "r.md").read_text()
    assert "Hardest 30 % of a\\|b\\<i\\>\\*x\\* removed" in text
    assert "````sh\necho ```\nspurcli evaluate\n````" in text  # the fence is longer than what it holds


def test_csv_has_one_row_a_run_with_the_exact_values(grid, make, tmp_path):
    report([grid()], output=tmp_path / "r.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert len(rows) == 12
    found = {
        (row["select"], int(row["seed"])): float(row["spurious_misclassification"])
        for row in rows
        if row["arm"] != "ERM, all samples"
    }
    for arm in ("hardest", "random", "easiest"):
        for seed, value in enumerate(make.LEVELS[arm]):
            assert found[arm, seed] == value
    assert rows[0]["spurious_misclassification_low"] == "0.2"
    assert rows[0]["accuracy_num_samples"] == "200"


def test_csv_quotes_names(make, tmp_path):
    make.save(tmp_path / 'a,"b"' / "evaluation.json", make.evaluation(0.2))
    report([tmp_path / 'a,"b"'], output=tmp_path / "r.csv")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))
    assert row["run"] == 'a,"b"/evaluation.json'


def test_json_holds_everything_and_is_what_the_function_returns(grid, tmp_path):
    returned = report([grid()], output=tmp_path / "r.json")
    text = (tmp_path / "r.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert (content["format"], content["version"]) == ("spurcli.report", 1)
    assert set(content) == {
        "format", "version", "title", "notes", "remarks", "skipped", "warnings", "metrics", "primary_metric", "arms",
        "sections", "common_settings", "comparisons", "rankings", "choices", "claims", "level", "doubts", "runs", "lists", "scores", "checkpoints", "provenance", "verdict", "reading",
    }  # fmt: skip
    assert content == {key: value for key, value in returned.items() if key != "output"}
    assert content["primary_metric"] == "spurious_misclassification"
    assert [metric["unit"] for metric in content["metrics"]] == ["%", "%"]


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_figures_come_as_one_file_a_panel_with_their_numbers(grid, tmp_path, kind):
    folder = grid()
    for name in ("one", "two"):
        report([folder], output=tmp_path / name, format=kind)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert f"results-spurious-misclassification.{kind}" in names
    assert f"curves-training-loss.{kind}" in names
    assert all((tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes() for name in names)
    for path in (tmp_path / "one").glob(f"*.{kind}"):
        if kind == "svg":
            assert ElementTree.fromstring(path.read_text()).tag.endswith("}svg")
        elif kind == "pdf":
            assert path.read_bytes().startswith(b"%PDF-")
        else:
            with Image.open(path) as image:
                assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "one" / "results.csv").read_text())))
    values = [float(row["value"]) for row in rows if row["metric"] == "spurious_misclassification"]
    assert values[:3] == [0.25, 0.27, 0.29]


def test_fractions_are_drawn_against_each_other_once_there_are_two(make, tmp_path):
    for fraction in ("0.1", "0.3"):
        rule = make.rule_of("hardest", fraction)
        make.save(tmp_path / "runs" / f"{fraction}.evaluation.json", make.evaluation(float(fraction), rule=rule))
    report([tmp_path / "runs"], output=tmp_path / "figures", format="svg")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "figures" / "fraction.csv").read_text())))
    found = [(row["fraction_removed"], row["value"]) for row in rows if row["metric"] == "spurious_misclassification"]
    assert found == [("0.1", "0.1"), ("0.3", "0.3")]


def test_a_minimal_foreign_evaluation_is_shown_by_its_name(spurcli, tmp_path):
    (tmp_path / "theirs.json").write_text(
        '{"format": "spurcli.evaluation", "version": 1, "metrics": {"accuracy": {"value": 0.5}, "f1": {"value": 7}}}'
    )
    assert spurcli("report", "theirs.json").code == 0
    done = spurcli("report", "theirs.json", "-o", "r.json", "--json")
    assert done.json["arms"][0]["label"] == "theirs.json"
    assert done.json["verdict"] == ["Accuracy on the test split: 50.0 % for theirs.json (one run)."]


def test_damaged_files_in_a_folder_are_skipped_and_listed(grid, spurcli, tmp_path):
    folder = grid()
    (folder / "seed0" / "evaluation.json").write_text('{"format": "spurcli.evaluation", "version": 1, "metr')
    (folder / "seed1" / "scores.h5").write_bytes(b"no HDF5")
    (folder / "seed2" / "evaluation.json").write_text('{"format": "spurcli.evaluation", "version": 99}')
    (folder / "notes.json").write_text("{")  # nobody's: not worth a word
    done = spurcli("report", "runs", "--json")
    assert done.code == 0
    assert [item["file"] for item in done.json["skipped"]] == [
        "runs/seed0/evaluation.json", "runs/seed1/scores.h5", "runs/seed2/evaluation.json",
    ]  # fmt: skip
    assert "Warning: Not read: runs/seed1/scores.h5" in done.err
    assert len(done.json["runs"]) == 12
    assert "Not read: <code>runs/seed1/scores.h5</code>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["evaluation.json", "scores.h5", "keep.txt", "missing.json", "picture.png"])
def test_a_named_file_that_is_damaged_is_exit_3(spurcli, tmp_path, name):
    if name != "missing.json":
        (tmp_path / name).write_bytes(b"# spurcli indices v1 {" if name == "keep.txt" else b"{]")
    done = spurcli("report", name)
    assert done.code == 3
    assert name in done.err
    assert not (tmp_path / "report.html").exists()


def test_an_empty_folder_is_exit_3_and_says_what_is_wanted(spurcli, tmp_path):
    (tmp_path / "empty").mkdir()
    done = spurcli("report", "empty")
    assert done.code == 3
    assert "Nothing to report on in empty" in done.err
    assert "spurcli evaluate" in done.err


def test_an_unknown_format_is_exit_2(grid, spurcli):
    grid()
    assert spurcli("report", "runs", "--format", "docx").code == 2
    assert spurcli("report", "runs", "-o", "report.docx").code == 2
    with pytest.raises(UsageError):
        report([], output=grid() / "x.docx")


def test_figures_are_not_written_over_a_file(grid, spurcli, tmp_path):
    grid()
    (tmp_path / "taken").write_text("mine")
    assert spurcli("report", "runs", "--format", "svg", "-o", "taken").code == 3
    assert (tmp_path / "taken").read_text() == "mine"


def test_report_never_imports_torch(grid, spurcli_process, tmp_path):
    grid()
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    done = spurcli_process("report", "runs", PYTHONPATH=str(tmp_path))
    assert (done.code, "torch was imported" in done.err) == (0, False)
    assert (tmp_path / "report.html").stat().st_size > 10_000
