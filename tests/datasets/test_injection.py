"""inject.json: what identifies it, how it is chosen, and that it is a data set wherever one is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.injection import Injection, read_injection, write_injection
from spurcli.datasets import load_dataset
from spurcli.errors import InputError

DEMO = ["--dataset", "demo", "--set", "dataset.options.num_train=300", "--set", "dataset.options.num_test=200"]
OPTIONS = {"num_train": 300, "num_test": 200}


@pytest.fixture
def written(tmp_path) -> Path:
    label = load_dataset("demo", OPTIONS).splits["train"]
    threes = np.flatnonzero(label.label == 3)
    made = Injection(
        "patch", {"size": 2, "noise": 1.5}, 7, "demo", OPTIONS, label.fingerprint, 3, 8, threes[:9], {"command": "x"}
    )
    write_injection(tmp_path / "inject.json", made)
    return tmp_path / "inject.json"


def test_what_is_written_is_read(written):
    found = read_injection(written)
    assert found.content() == json.loads(json.dumps(found.content()))
    write_injection(written.with_name("again.json"), found)
    assert written.with_name("again.json").read_bytes() == written.read_bytes()


def test_its_identity_is_what_changes_the_data(written):
    found = read_injection(written)
    assert replace(found, provenance={}).sha256 == found.sha256
    changes = {
        "feature": "line", "parameters": {"size": 2, "noise": 1.6}, "seed": 8, "dataset": "other",
        "dataset_options": {**OPTIONS, "draw": 1}, "feature_of": 4, "twin_class": None, "carriers": found.carriers[1:],
        "fingerprint": Fingerprint(300),
    }  # fmt: skip
    hashes = {replace(found, **{key: value}).sha256 for key, value in changes.items()}
    assert len(hashes | {found.sha256}) == len(changes) + 1


def test_carriers_in_another_order_are_the_same_injection(written):
    found = read_injection(written)
    content = json.loads(written.read_text())
    content["carriers"]["train"].reverse()
    written.write_text(json.dumps(content))
    assert read_injection(written).sha256 == found.sha256
    np.testing.assert_array_equal(read_injection(written).carriers, found.carriers)


def test_another_injection_than_before_is_refused(written):
    found = read_injection(written)
    assert load_dataset("demo", OPTIONS, injection=written, injection_sha256=found.sha256).injection_sha256 == (
        found.sha256
    )
    with pytest.raises(InputError, match=f"not the injection that was used before .{found.sha256[:12]}, not 0000"):
        load_dataset("demo", OPTIONS, injection=written, injection_sha256="0" * 64)


def test_on_another_draw_it_is_refused(written):
    with pytest.raises(InputError, match=r"samples.*labels differ"):
        load_dataset("demo", {**OPTIONS, "draw": 1}, injection=written)


def carriers(path: Path) -> list[int]:
    return json.loads(path.read_text())["carriers"]["train"]


def test_random_carriers(spurcli, tmp_path):
    words = ["inject", *DEMO, "--feature", "patch", "--class", "3"]
    for name, more in {
        "a.json": ["--fraction", "0.29"],
        "b.json": ["--fraction", "0.29"],
        "c.json": ["--fraction", "0.29", "--seed", "1"],
        "d.json": ["--count", "4"],
        "none.json": ["--count", "0"],
        "all.json": ["--fraction", "1"],
    }.items():
        assert spurcli(*words, *more, "-o", name).code == 0
    label = load_dataset("demo", OPTIONS).splits["train"].label
    members = np.flatnonzero(label == 3).tolist()
    a, b, c, d, none, everyone = (carriers(tmp_path / f"{name}.json") for name in ("a", "b", "c", "d", "none", "all"))
    assert a == b
    assert a != c
    assert len(a) == len(c) == len(members) * 29 // 100
    assert set(d) < set(a)  # fewer of the same seed are the same ones
    assert none == []
    assert everyone == members
    assert set(a) < set(members)


def test_carriers_by_difficulty(spurcli, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    with h5py.File(tmp_path / "scores.h5") as file:
        el2n, margin = (file[f"scores/{name}/values"][0] for name in ("el2n", "margin"))
        members = np.flatnonzero(file["label"][:] == 3)
    easiest_first = members[np.lexsort((-members, el2n[members]))].tolist()
    by_margin = members[np.argsort(-margin[members], kind="stable")].tolist()
    words = [
        "inject",
        "--dataset",
        "demo",
        *tiny_flags[:6],
        "--feature",
        "patch",
        "--class",
        "3",
        "--scores",
        "scores.h5",
    ]

    def chosen(*more: str) -> set[int]:
        assert spurcli(*words, *more, "-o", "x.json").code == 0
        return set(carriers(tmp_path / "x.json"))

    assert chosen("--select", "easiest", "--count", "6") == set(easiest_first[:6])
    assert chosen("--select", "hardest", "--count", "6") == set(easiest_first[-6:])
    assert chosen("--select", "2:9") == set(easiest_first[2:9])
    assert chosen("--select", "hardest", "--fraction", "0.5") == set(easiest_first[-(len(members) // 2) :])
    assert chosen("--select", "easiest", "--count", "5", "--score", "margin") == set(by_margin[:5])


def test_scores_of_another_data_set_choose_nothing(spurcli, tiny_flags, tmp_path):
    assert spurcli("score", "--dataset", "demo", *tiny_flags).code == 0
    more = ["--set", "dataset.options.draw=1", "--select", "hardest", "--count", "3", "--scores", "scores.h5"]
    result = spurcli("inject", *DEMO, "--feature", "patch", "--class", "3", *more)
    assert result.code == 3
    assert "not about the same samples" in result.err
    assert not (tmp_path / "inject.json").exists()


def test_a_parameter_that_does_not_fit_is_told_before_anything_is_written(spurcli, tmp_path):
    words = ["inject", *DEMO, "--class", "3", "--count", "3"]
    result = spurcli(*words, "--feature", "line", "--set", "feature.position=99")
    assert result.code == 2
    assert "does not fit 16×16×1" in result.err
    assert spurcli(*words, "--feature", "line", "--set", "feature.position=3.5").code == 2
    assert list(tmp_path.iterdir()) == []


def test_data_check_looks_at_the_injected_set(spurcli, tmp_path):
    words = ["--feature", "patch", "--class", "3", "--count", "5", "--set", "feature.size=2"]
    assert spurcli("inject", *DEMO, *words).code == 0
    found = spurcli("data", "check", "inject.json", "--json").json
    assert found["splits"]["train"]["groups"]["3/patch"] == 5
    assert found["splits"]["train"]["groups"]["8/patch"] == 0
    assert found["spurious_features"]["3"]["attribute"] == "patch"
    plain = spurcli("data", "check", *DEMO[1:], "--json").json
    assert plain["splits"]["train"]["groups"] is None
    assert plain["splits"]["train"]["fingerprint"] == found["splits"]["train"]["fingerprint"]


def test_inject_writes_the_same_bytes_again(spurcli, tmp_path):
    words = ["inject", *DEMO, "--feature", "patch", "--class", "3", "--count", "5"]
    first = spurcli(*words)
    before = (tmp_path / "inject.json").read_bytes()
    assert first.code == spurcli(*words).code == 0
    assert (tmp_path / "inject.json").read_bytes() == before
    assert str(tmp_path) not in before.decode()
