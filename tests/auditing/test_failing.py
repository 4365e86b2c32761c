"""Failing groups: values of a column that the model fails on inside a class, kept apart from suspects."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from made_up import MadeUp

from spurcli.artifacts.audit import read_audit
from spurcli.auditing.evidence import Evidence
from spurcli.auditing.failing import Counts, _p_below, failing_groups
from spurcli.errors import InputError

CLASSES, HOSPITALS = ("a", "b", "c"), ("north", "south", "west")


def evidence(seed, *, failing=None, size=900, accuracy=0.8, low=0.3, extra=None, half=None):
    """Labels and hospitals are independent; a sample is predicted correctly with `accuracy`, in the group `failing` with `low` (only in `half` of it)."""
    rng = np.random.default_rng(seed)
    labels = {split: np.arange(size) % 3 for split in ("train", "val")}
    columns = {split: {"hospital": rng.choice(HOSPITALS, size).tolist()} for split in labels}
    if extra:
        columns["val"]["hospital"][:size:4] = [extra] * len(range(0, size, 4))
    found = Evidence(labels, CLASSES, MadeUp({}), held_out="val", seed=seed, columns=lambda: columns)
    for split, label in labels.items():
        share = np.full(size, accuracy)
        if failing:
            mine = (label == CLASSES.index(failing[0])) & (np.array(columns[split]["hospital"]) == failing[1])
            share[mine if half is None else mine & (found.half(split) == half)] = low
        predicted = np.where(rng.random(size) < share, label, (label + rng.integers(1, 3, size)) % 3)
        found._answers.said[split] = np.eye(3, dtype=np.float32)[predicted]
    return found, columns["val"]["hospital"]


def test_the_p_value_is_that_of_fishers_test_summed_by_hand():
    def by_hand(a, n, b, m):
        rights = range(max(0, a + b - m), a + 1)
        return sum(math.comb(n, k) * math.comb(m, a + b - k) for k in rights) / math.comb(n + m, a + b)

    for a, n, b, m in itertools.product((0, 5, 12), (20, 33), (9, 40), (40, 77)):
        assert _p_below(Counts(n, a), Counts(m, b)) == pytest.approx(by_hand(a, n, b, m), rel=1e-9)


def test_one_group_fails_and_is_counted_over_all_held_out_samples():
    given, hospital = evidence(1, failing=("c", "west"))
    (found,) = failing_groups(given, ["hospital", "no such column"])
    assert (found.label, found.column, found.value, found.name) == ("c", "hospital", "= west", "c/west")
    label, right = given.label("val"), given.logits("val").argmax(axis=1) == given.label("val")
    mine, west = label == 2, np.array(hospital) == "west"
    assert (found.group.num_samples, found.group.num_right) == ((mine & west).sum(), (mine & west & right).sum())
    assert (found.others.num_samples, found.others.num_right) == ((mine & ~west).sum(), (mine & ~west & right).sum())
    assert found.p_adjusted < 0.05


def test_a_value_that_training_does_not_have_is_found_too():
    given, _ = evidence(2, failing=("b", "new"), extra="new")
    assert [each.name for each in failing_groups(given, ["hospital"])] == ["b/new"]


@pytest.mark.parametrize(
    "options",
    [
        {"failing": ("c", "west"), "half": 0},  # only in the half that is searched
        {"failing": ("c", "west"), "size": 170},  # fewer than 20 samples of the other half
        {"failing": ("c", "west"), "low": 0.74, "size": 18_000},  # significant, but hardly lower
        {"accuracy": 0.3},  # all are bad alike
    ],
)
def test_what_is_no_failing_group(options):
    given, _ = evidence(3, **options)
    assert failing_groups(given, ["hospital"]) == []


def test_without_a_failing_group_few_audits_report_one():
    """Holm at 5 % over nine groups: 200 audits report at most some 10 + 3 standard deviations."""
    assert sum(bool(failing_groups(evidence(seed, size=450)[0], ["hospital"])) for seed in range(200)) <= 19


def write_predictions(path: Path, *, leans: bool = False) -> None:
    """Class c fails in west; with `leans` the model takes what is in north for class a, which is frequent there."""
    rng = np.random.default_rng(5)
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["id", "label", "p_a", "p_b", "p_c", "hospital"])
        for n in range(1800):
            y, place = n % 3, int(rng.integers(3))
            if leans and y == 0 and rng.random() < 0.7:
                place = 0
            logit = rng.normal(0, 1, 3) + 2 * np.eye(3)[y]
            logit[2] -= 3 * (y == 2 and place == 2)
            logit[0] += 2.5 * (leans and place == 0)
            p = np.exp(logit) / np.exp(logit).sum()
            rows.writerow([f"s{n}", CLASSES[y], *p, HOSPITALS[place]])


AUDIT = ("audit", "--predictions", "preds.csv", "--proba", "p_*", "--column", "hospital")


def test_the_terminal_the_file_and_the_page_name_the_group_that_is_no_suspect(tmp_path, spurcli):
    write_predictions(tmp_path / "preds.csv")
    done = spurcli(*AUDIT)
    assert done.code == 0, done.err
    (entry,) = read_audit(Path("audit/audit.json"))["failing_groups"]
    assert entry["statement"].startswith("No shortcut, but c/west (hospital = west): ")
    for text in (entry["statement"], *entry["next"], "0 suspects, 0 confirmed, 1 failing group"):
        assert text in done.err
    assert (entry["name"], entry["suspects"], entry["class"]) == ("c/west", [], "c")
    page = Path("audit/audit.html").read_text()
    assert "Failing groups" in page
    assert '<th scope="row">c/west</th>' in page
    command = "spurcli evaluate --predictions preds.csv --proba 'p_*' --group hospital"
    assert entry["next"] == [command]
    assert spurcli("evaluate", "--predictions", "preds.csv", "--proba", "p_*", "--group", "hospital").code == 0
    groups = {one["group"]: one["accuracy"] for one in json.loads(Path("evaluation.json").read_text())["per_group"]}
    assert groups["c/west"]["value"] == entry["accuracy"]["value"]
    assert groups["c/west"]["num_samples"] == entry["accuracy"]["num_samples"]
    again = spurcli(*AUDIT, "--json")
    assert again.json["failing_groups"] == [entry], again.err  # a finished audit says it again
    assert entry["statement"] in spurcli("show", "audit/audit.json", "--json").out


def test_no_command_is_shown_that_empty_cells_would_stop(tmp_path, spurcli):
    write_predictions(tmp_path / "preds.csv")
    lines = Path("preds.csv").read_text().splitlines()
    Path("preds.csv").write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0] + ","]) + "\n")
    done = spurcli(*AUDIT, "--json")
    assert done.code == 0, done.err
    assert [(entry["name"], entry["next"]) for entry in done.json["failing_groups"]] == [("c/west", [])]


def test_a_group_that_fails_in_a_suspected_column_names_the_suspect(tmp_path, spurcli):
    write_predictions(tmp_path / "preds.csv", leans=True)
    done = spurcli(*AUDIT, "--json")
    assert done.code == 0, done.err
    assert done.json["num_confirmed"] >= 1
    failing = {entry["name"]: entry for entry in done.json["failing_groups"]}
    assert "b/north" in failing
    assert failing["b/north"]["suspects"][0] == 1
    assert failing["b/north"]["statement"].startswith("b/north (hospital = north), see suspect 1: ")
    assert "see suspect 1" in Path("audit/audit.html").read_text()


def test_other_finders_look_for_no_failing_groups(tmp_path, spurcli):
    write_predictions(tmp_path / "preds.csv")
    done = spurcli("audit", "--predictions", "preds.csv", "--proba", "p_*", "--finder", "mistakes", "--json")
    assert done.json["failing_groups"] == []
    page = Path("audit/audit.html").read_text()
    assert "Failing groups" not in page
    assert "expected harm" not in page  # no suspect has one
    assert ">–<" not in page  # what is not known is left out
    assert "--second" not in page  # predictions have no second model


@pytest.mark.parametrize("change", [{"next": [3]}, {"suspects": ["1"]}, {"accuracy": 0.5}, {"name": None}])
def test_a_wrong_entry_is_refused(tmp_path, spurcli, change):
    write_predictions(tmp_path / "preds.csv")
    assert spurcli(*AUDIT).code == 0
    content = json.loads(Path("audit/audit.json").read_text())
    content["failing_groups"][0].update(change)
    Path("audit/audit.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        read_audit(Path("audit/audit.json"))
