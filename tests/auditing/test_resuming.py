"""An audit that is there is kept, an interrupted one goes on after its last finder, names that no groups file can hold are said first."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest

from spurcli.artifacts.audit import read_audit
from spurcli.auditing.kept import Found, Kept, read_found, write_found
from spurcli.auditing.running import _announce
from spurcli.auditing.suspect import Counterfactual, Finding
from spurcli.cli.progress import TerminalProgress
from spurcli.errors import InputError

FINDERS = """
import os, signal
from pathlib import Path
import numpy as np
from spurcli.auditing.suspect import Finding

def _found(evidence, name):
    with open("called.txt", "a") as file:
        file.write(name + "\\n")
    evidence.warn(f"{name} warns")
    presence = {split: (np.arange(len(label)) % 3 == 0).astype(np.float32) for split, label in evidence.labels.items()}
    return [Finding(name, "own", 1, presence, f"{name} is seen", details={"z": 1.5})]

def one(evidence):
    return _found(evidence, "one")

def two(evidence):
    if Path("kill").exists():
        os.kill(os.getpid(), int(Path("kill").read_text() or signal.SIGKILL))
    return _found(evidence, "two")
"""
AUDIT = ("audit", "--predictions", "preds.csv", "--label", "y", "--proba", "p_*")
FOUND = [
    word
    for name in ("one", "two", "clusters", "mistakes")
    for word in ("--finder", name if name[0] in "cm" else f"own.py:{name}")
]


@pytest.fixture
def here(spurcli_forked, tmp_path):
    """`spurcli` as processes of their own, where preds.csv and own.py are."""
    (tmp_path / "own.py").write_text(FINDERS)
    write(tmp_path / "preds.csv", ("a", "b"))
    return spurcli_forked


def write(path, classes):
    rng = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "y", *(f"p_{name}" for name in classes), "split"])
        for number in range(300):
            p = rng.dirichlet(np.ones(len(classes)) + np.eye(len(classes))[number % len(classes)])
            rows.writerow([f"s{number}", classes[number % len(classes)], *p, "train" if number < 200 else "val"])


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_audit_is_not_repeated_and_another_is_replaced_with_force_alone(here, tmp_path):
    assert here(*AUDIT, *FOUND).code == 0
    before, calls = files(tmp_path / "audit"), (tmp_path / "called.txt").read_text()
    done = here(*AUDIT, *FOUND, "--json")
    assert (done.code, "already complete" in done.err) == (0, True), done.err
    assert [each["name"] for each in done.json["suspects"]] == [
        each["name"] for each in read_audit(tmp_path / "audit/audit.json")["suspects"]
    ]
    done = here(*AUDIT, *FOUND, "--seed", "1")
    assert (done.code, "--force" in done.err, "seed" in done.err) == (1, True, True), done.err
    assert (files(tmp_path / "audit"), (tmp_path / "called.txt").read_text()) == (before, calls)
    assert here(*AUDIT, *FOUND, "--seed", "1", "--force").code == 0
    assert read_audit(tmp_path / "audit/audit.json")["seed"] == 1
    (tmp_path / "own.py").write_text(f"{FINDERS}\n")  # another finder of the same name
    assert here(*AUDIT, *FOUND, "--seed", "1").code == 1


@pytest.mark.parametrize("lost", ["audit.html", "suspects/1.groups.txt"])
def test_an_audit_of_which_a_file_is_lost_is_made_again(here, tmp_path, lost):
    assert here(*AUDIT, *FOUND).code == 0
    before = files(tmp_path / "audit")
    (tmp_path / "audit" / lost).unlink()
    done = here(*AUDIT, *FOUND)
    assert (done.code, lost in done.err) == (0, True), done.err
    assert files(tmp_path / "audit") == before


def test_an_audit_killed_between_finders_goes_on_and_gives_the_same_bytes(here, tmp_path):
    assert here(*AUDIT, *FOUND).code == 0
    whole = files(tmp_path / "audit")
    shutil.rmtree(tmp_path / "audit")
    (tmp_path / "called.txt").unlink()
    (tmp_path / "kill").touch()
    assert here(*AUDIT, *FOUND).code != 0
    assert not (tmp_path / "audit/audit.json").exists()
    (tmp_path / "kill").unlink()
    done = here(*AUDIT, *FOUND, "--seed", "1")
    assert (done.code, "unfinished" in done.err) == (3, True), done.err
    said = " ".join(done.err.split())
    assert "(seed is 0 there, 1 here)" in said
    assert f"To finish that audit: spurcli {AUDIT[0]}" in said
    assert here(*AUDIT, *FOUND).code == 0
    assert (tmp_path / "called.txt").read_text().split() == ["one", "two"]
    assert files(tmp_path / "audit") == whole
    assert not (tmp_path / "audit.state").exists()


def test_what_an_interrupted_audit_has_found_can_be_seen_and_the_budget_may_change(here, tmp_path):
    (tmp_path / "kill").write_text(str(int(signal.SIGINT)))
    done = here(*AUDIT, *FOUND)
    assert done.code == 130
    assert "Kept in audit.state: the results of own.py:one." in " ".join(done.err.split())
    done = here(*AUDIT, *FOUND, "--budget", "0.000001s")
    assert done.code == 0, done.err
    told = {each["name"]: each["note"] for each in read_audit(tmp_path / "audit/audit.json")["finders"]}
    assert [name for name, note in told.items() if not note] == ["own.py:one"]
    assert "finder own.py:two was not run" in (tmp_path / "audit/audit.html").read_text()


@pytest.mark.parametrize("name", ["# x", "x\ny"])
def test_a_class_that_no_groups_file_can_hold_is_refused_before_the_search(here, tmp_path, name):
    write(tmp_path / "preds.csv", ("a", name))
    done = here(*AUDIT, *FOUND)
    assert (done.code, "groups list" in done.err) == (3, True), done.err
    assert not (tmp_path / "called.txt").exists()


def test_what_a_finder_found_is_read_back_as_it_was(tmp_path):
    presence = {"train": np.array([0, 1, np.nan], np.float32), "odd/name": np.zeros(2, np.float32)}
    twin = Counterfactual(np.array([1, 2]), np.ones((2, 3), np.float32), control=np.zeros((2, 3), np.float32))
    finding = Finding("n", "f", None, presence, "s", {"box": [0, 0, 1, 1]}, {"z": 0.1}, twin, 0.01, "d", True)
    write_found(tmp_path / "0.npz", Found([finding], ["w"], 1.5, ["n"]))
    found = read_found(tmp_path / "0.npz")
    (read,) = found.findings
    assert (found.warnings, found.seconds, found.notes) == (["w"], 1.5, ["n"])
    assert list(read.presence) == list(presence)
    for split, values in presence.items():
        np.testing.assert_array_equal(read.presence[split], values)
    for name in ("index", "logits", "second", "control", "second_control"):
        np.testing.assert_array_equal(getattr(read.counterfactual, name), getattr(twin, name))
    names = ("name", "finder", "label_index", "statement", "shown", "details", "p_value", "doubt", "inferred")
    assert [getattr(read, name) for name in names] == [getattr(finding, name) for name in names]
    kept = Kept.open(tmp_path / "state", "me", replace_other=False)
    shutil.copy(tmp_path / "0.npz", tmp_path / "state/0.npz")
    assert kept.get(0)
    assert kept.get(1) is None
    os.truncate(tmp_path / "state/0.npz", 200)
    assert Kept.open(tmp_path / "state", "me", replace_other=False).get(0) is None
    with pytest.raises(InputError, match="JSON"):
        write_found(tmp_path / "1.npz", Found([Finding("n", "f", 0, {}, "s", details={"x": {1}})], [], 0))


def test_the_parts_of_the_announced_time_add_up_to_it(monkeypatch):
    said = []
    evidence = SimpleNamespace(
        seconds_of_predictions=240.0,
        left=lambda: 1e9,
        progress=SimpleNamespace(say=said.append),
    )
    monkeypatch.setattr("spurcli.auditing.running._seconds", lambda name, *_: {"words": 120.0}[name])
    search = SimpleNamespace(is_asked=True, budget=None, options={})
    _announce(evidence, search, ["words"], SimpleNamespace(get=lambda number: None))
    assert said == ["The search takes about 6.0 min (predictions 4.0 min, words 2.0 min)"]
    evidence.left = lambda: 60.0
    _announce(evidence, search, ["words"], SimpleNamespace(get=lambda number: None))
    assert said[1].startswith("The search takes about 6.0 min, of which the budget allows 60 s (")


def test_the_time_is_said_before_the_search_and_no_more_is_counted_than_there_is(here, monkeypatch, capsys):
    said = here(*AUDIT, *FOUND).err.splitlines()
    (number,) = [number for number, line in enumerate(said) if line.startswith("The search takes about")]
    assert "own.py:one and own.py:two" in said[number]
    assert number < next(number for number, line in enumerate(said) if line.startswith("own.py:one:"))
    monkeypatch.setattr("spurcli.cli.progress._PLAIN", -1.0)
    progress = TerminalProgress()
    progress.start("regions", 1000)
    progress.advance(1002)
    err = capsys.readouterr().err
    assert "1,000 of 1,000" in err
    assert "1,002" not in err
    assert "left" not in err
    progress.start("marks", 4)
    progress._piece_since = (time.monotonic() - 60, 0)
    progress.advance(1)
    assert "(0 a second)" not in capsys.readouterr().err
